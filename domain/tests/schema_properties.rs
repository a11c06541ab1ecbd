//! Whatever arrives, the engine answers; and what it accepted once it accepts again, unchanged.

use std::cell::Cell;

use domain::Timestamp;
use domain::schema::{
    CustomPlugins, FieldSchema, Generator, Judge, Kind, Question, Secrets, ValueType, Write,
    fill_and_validate, present, sealed_paths, without_nulls,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};
use uuid::Uuid;

struct Fixed;

impl Judge for Fixed {
    fn judge(&mut self, question: Question) -> Result<(), String> {
        panic!("no plugin here has functions of its own: {}", question.place)
    }
}

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

/// How probable a field of a made-up body is.
const DENSITY: f64 = 0.3;
/// How probable it is that a field of an accepted body is replaced.
const REPLACED: f64 = 0.05;

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
        ValueType::Record(record) => body_of(&record.fields, DENSITY),
        ValueType::Foreign(_) => Just(json!({"id": TEXTS[19]})).boxed(),
        ValueType::Json => anything(),
    };
    let default = Just(field.default.clone().unwrap_or_default());
    prop_oneof![12 => typed, 3 => default, 1 => anything()].boxed()
}

/// A body in which each field stands with this probability.
fn body_of(fields: &[FieldSchema], density: f64) -> BoxedStrategy<Value> {
    let members: Vec<_> = fields
        .iter()
        .map(|field| {
            (
                Just(field.name.to_owned()),
                prop::option::weighted(density, value_of(field)),
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

/// Input-only settings, which no list of fields has.
const SHORTHANDS: [&str; 6] = [
    "redis_host",
    "redis_port",
    "endpoint",
    "cookie_lifetime",
    "cookie_idletime",
    "cookie_samesite",
];

/// What bodies are made of: a kind, or a kind with the subschema of this name (for plugins: the plugin).
#[derive(Clone, Copy, Debug)]
struct Subject {
    kind: Kind,
    subschema: Option<&'static str>,
}

impl Subject {
    fn all() -> impl Iterator<Item = Self> {
        Kind::all().flat_map(|kind| {
            let named = kind.schema().subschema_key == Some("name");
            let names = kind.schema().subschema_names().filter(move |_| named);
            let each = names.map(move |name| Self {
                kind,
                subschema: Some(name),
            });
            each.chain(std::iter::once(Self {
                kind,
                subschema: None,
            }))
        })
    }

    /// Made-up bodies, and accepted ones of which something is replaced.
    fn bodies(self) -> BoxedStrategy<Map<String, Value>> {
        let accepted = self.accepted();
        if accepted.is_empty() {
            return self.made_up(DENSITY);
        }
        let replaced = (proptest::sample::select(accepted), self.made_up(REPLACED));
        let replaced = replaced.prop_map(|(mut body, other)| {
            replace(&mut body, other);
            body
        });
        prop_oneof![self.made_up(DENSITY), replaced].boxed()
    }

    fn made_up(self, density: f64) -> BoxedStrategy<Map<String, Value>> {
        let schema = self.kind.schema();
        let Some(name) = self.subschema else {
            return objects(body_of(schema.fields(), density));
        };
        let chosen = Map::from_iter([("name".to_owned(), Value::from(name))]);
        let fields = objects(body_of(&schema.record_for(&chosen).fields, density));
        let shorthand = (proptest::sample::select(&SHORTHANDS[..]), anything());
        (fields, prop::option::weighted(0.1, shorthand))
            .prop_map(move |(mut body, shorthand)| {
                body.insert("name".to_owned(), Value::from(name));
                if let (Some((name, value)), Some(Value::Object(config))) =
                    (shorthand, body.get_mut("config"))
                {
                    config.insert(name.to_owned(), value);
                }
                body
            })
            .boxed()
    }

    /// Bodies that Kong accepted, of the vectors.
    fn accepted(self) -> Vec<Map<String, Value>> {
        let vectors = include_str!("vectors.jsonl").lines();
        let vectors = vectors.map(|line| serde_json::from_str::<Value>(line).expect("a vector"));
        vectors
            .filter(|vector| vector["ok"] == true && vector["entity"] == self.kind.name())
            .filter_map(|vector| vector["output"].as_object().cloned())
            .filter(|body| self.subschema.is_none_or(|name| body["name"] == name))
            .collect()
    }
}

fn replace(body: &mut Map<String, Value>, other: Map<String, Value>) {
    for (name, value) in other {
        match (body.get_mut(&name), value) {
            (Some(Value::Object(below)), Value::Object(members)) => replace(below, members),
            (_, value) => {
                body.insert(name, value);
            }
        }
    }
}

fn objects(values: BoxedStrategy<Value>) -> BoxedStrategy<Map<String, Value>> {
    values
        .prop_map(|value| value.as_object().cloned().unwrap_or_default())
        .boxed()
}

#[test]
fn every_body_is_answered_and_an_accepted_one_is_stable() {
    let cases = (Config::default().cases / 8).max(1);
    let accepted = Cell::new(0);
    for subject in Subject::all() {
        let mut runner = TestRunner::new(Config {
            cases,
            failure_persistence: None,
            ..Config::default()
        });
        let outcome = runner.run(&subject.bodies(), |input| {
            accepted.set(accepted.get() + u32::from(answered(subject.kind, input)?));
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{subject:?}: {failure}"));
    }
    assert!(accepted.get() > 0, "no body was accepted, so nothing was tried");
}

/// Whether the body was accepted; then it is tried again in every way in which it may come back.
fn answered(kind: Kind, input: Map<String, Value>) -> Result<bool, TestCaseError> {
    let write = |write, body: Map<String, Value>| {
        fill_and_validate(
            kind,
            &CustomPlugins::default(),
            write,
            body,
            Secrets::Hashed,
            &mut Fixed,
        )
    };
    let stored = match fill_and_validate(
        kind,
        &CustomPlugins::default(),
        Write::Insert,
        input,
        Secrets::Plain,
        &mut Fixed,
    ) {
        Ok(stored) => stored,
        Err(violation) => {
            prop_assert!(violation.message().contains("schema violation"));
            return Ok(false);
        }
    };
    let put = Write::Upsert {
        existing: Some(&stored),
    };
    let again = write(put, stored.clone());
    prop_assert_eq!(again.as_ref(), Ok(&stored));
    let again = write(put, present(kind, stored.clone()));
    prop_assert_eq!(again.as_ref(), Ok(&stored), "what readers see can be sent back");
    let again = write(Write::Update { existing: &stored }, Map::new());
    prop_assert_eq!(again.as_ref(), Ok(&stored));
    for sealed in sealed_paths(kind, &stored) {
        let pointer: String = sealed.path.iter().map(|segment| format!("/{segment}")).collect();
        prop_assert!(Value::Object(stored.clone()).pointer(&pointer).is_some());
    }
    prop_assert!(
        !Value::Object(without_nulls(&stored))
            .to_string()
            .contains(":null")
    );
    Ok(true)
}
