//! Whatever arrives, the engine answers; and what it accepted once it accepts again, unchanged.

use domain::Timestamp;
use domain::schema::{
    FieldSchema, Generator, Kind, Secrets, ValueType, Write, fill_and_validate, present, sealed_paths,
    without_nulls,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use uuid::Uuid;

struct Fixed;

impl Generator for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_125)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn random_string(&mut self, length: usize) -> String {
        "a".repeat(length)
    }
}

/// Texts that some rule looks at closely.
const TEXTS: [&str; 22] = [
    "",
    "a",
    "é,/",
    "a.com",
    "*.a.com",
    "1.2.3.4/8",
    "[::1]:80",
    "/a/../b",
    "/a%2f",
    "~/a(?<b>c)",
    "~/a(",
    "http://u:p@h:99/x;p?q#f",
    "http",
    "tcp",
    "redis",
    "none",
    "header",
    "a:$(b",
    "{vault://env/x}",
    "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
    "rate-limiting",
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
];

fn anything() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2i64..70_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((proptest::sample::select(&["id", "name", "x"][..]), inner), 0..3)
                .prop_map(|members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()),
        ]
    })
    .boxed()
}

/// Mostly of the field's type, sometimes anything.
fn value_of(field: &FieldSchema) -> BoxedStrategy<Value> {
    let texts = proptest::sample::select(&TEXTS[..]).prop_map(Value::from);
    let typed = match &field.value_type {
        ValueType::String => texts.boxed(),
        ValueType::Number | ValueType::Integer => prop_oneof![
            (-1i64..1000).prop_map(Value::from),
            (0i64..90).prop_map(|n| Value::from(n as f64))
        ]
        .boxed(),
        ValueType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        ValueType::Array(elements) | ValueType::Set(elements) => {
            prop::collection::vec(value_of(elements), 0..3)
                .prop_map(Value::from)
                .boxed()
        }
        ValueType::Map(_, values) => prop::collection::vec((texts, value_of(values)), 0..3)
            .prop_map(|members| {
                members
                    .into_iter()
                    .map(|(name, value)| (name.as_str().unwrap_or("").to_owned(), value))
                    .collect()
            })
            .boxed(),
        ValueType::Record(record) => body_of(&record.fields),
        ValueType::Foreign(_) => Just(json!({"id": TEXTS[19]})).boxed(),
        ValueType::Json => anything(),
    };
    prop_oneof![12 => typed, 1 => anything()].boxed()
}

fn body_of(fields: &[FieldSchema]) -> BoxedStrategy<Value> {
    let members: Vec<_> = fields
        .iter()
        .map(|field| {
            (
                Just(field.name.to_owned()),
                prop::option::weighted(0.3, value_of(field)),
            )
        })
        .collect();
    members
        .prop_map(|members| {
            members
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect::<Map<_, _>>()
                .into()
        })
        .boxed()
}

/// Settings of the plugins in the catalogue.
const SETTINGS: [&str; 14] = [
    "minute",
    "second",
    "policy",
    "limit_by",
    "redis",
    "redis_host",
    "sync_rate",
    "origins",
    "methods",
    "add",
    "rename",
    "http_endpoint",
    "headers",
    "queue",
];

fn plugin() -> BoxedStrategy<Map<String, Value>> {
    let names: Vec<_> = Kind::named("plugins")
        .expect("a kind")
        .schema()
        .subschema_names()
        .collect();
    let value = prop_oneof![
        anything(),
        (1i64..100).prop_map(Value::from),
        prop::collection::vec(proptest::sample::select(&TEXTS[..]), 0..3).prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(|text| json!({"host": text, "headers": [text]})),
    ];
    let config = prop::collection::vec((proptest::sample::select(&SETTINGS[..]), value), 0..4);
    (proptest::sample::select(names), config)
        .prop_map(|(name, config)| {
            let config = config
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Map<_, _>>();
            Map::from_iter([
                ("name".to_owned(), name.into()),
                ("config".to_owned(), config.into()),
            ])
        })
        .boxed()
}

fn body() -> BoxedStrategy<(Kind, Map<String, Value>)> {
    let kinds: Vec<Kind> = Kind::all().collect();
    proptest::sample::select(kinds)
        .prop_flat_map(|kind| {
            (
                Just(kind),
                body_of(kind.schema().fields()),
                prop::option::of(plugin()),
            )
        })
        .prop_map(|(kind, body, plugin)| {
            let mut body = body.as_object().cloned().unwrap_or_default();
            if kind.schema().subschema_key == Some("name") {
                body.extend(plugin.unwrap_or_default());
            }
            (kind, body)
        })
        .boxed()
}

proptest! {
    #[test]
    fn every_body_is_answered_and_an_accepted_one_is_stable((kind, input) in body()) {
        match fill_and_validate(kind, Write::Insert, input, Secrets::Plain, &mut Fixed) {
            Err(violation) => prop_assert!(violation.message().contains("schema violation")),
            Ok(stored) => {
                let put = Write::Upsert { existing: Some(&stored) };
                let again = fill_and_validate(kind, put, stored.clone(), Secrets::Hashed, &mut Fixed);
                prop_assert_eq!(again.as_ref(), Ok(&stored));
                let shown = present(kind, &stored);
                let again = fill_and_validate(kind, put, shown, Secrets::Hashed, &mut Fixed);
                prop_assert_eq!(again.as_ref(), Ok(&stored), "what readers see can be sent back");
                let patch = Write::Update { existing: &stored };
                let again = fill_and_validate(kind, patch, Map::new(), Secrets::Hashed, &mut Fixed);
                prop_assert_eq!(again.as_ref(), Ok(&stored));
                for sealed in sealed_paths(kind, &stored) {
                    let pointer: String = sealed.path.iter().map(|segment| format!("/{segment}")).collect();
                    prop_assert!(Value::Object(stored.clone()).pointer(&pointer).is_some());
                }
                prop_assert!(!Value::Object(without_nulls(&stored)).to_string().contains(":null"));
            }
        }
    }
}
