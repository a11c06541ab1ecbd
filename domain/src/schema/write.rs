//! A write: what the caller sent becomes the complete canonical body, or a violation (README §4).

use serde_json::{Map, Value, json};

use super::catalogue::{Kind, KindSchema};
use super::custom::CustomPlugins;
use super::definition::{RecordSchema, ValueType};
use super::fill::{self, Generator};
use super::transform::{self, Secrets};
use super::violation::SchemaViolation;
use super::{shorthand, validate};

/// Kong's largest `ttl`, in seconds.
const LONGEST_TTL: u64 = 100_000_000;

/// How a body meets what is stored.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    /// Create (POST).
    Insert,
    /// Create or replace (PUT): everything absent is filled anew, but `id` and, unlike Kong, `created_at` are kept
    /// (DESIGN §4).
    Upsert {
        /// The stored canonical body, if there is one.
        existing: Option<&'a Map<String, Value>>,
    },
    /// Change (PATCH): records merge, everything else is replaced, null overwrites.
    Update {
        /// The stored canonical body.
        existing: &'a Map<String, Value>,
    },
}

impl<'a> Write<'a> {
    /// The stored body that is changed in some fields only.
    const fn changed(self) -> Option<&'a Map<String, Value>> {
        match self {
            Self::Update { existing } => Some(existing),
            Self::Insert | Self::Upsert { .. } => None,
        }
    }
}

/// Fills and validates; the answer is the complete canonical body: every field in schema order, null where unset,
/// without shorthands and without transient fields (take those from `input` first: [`transient`]).
///
/// A plugin that isn't Kong's is one of `custom`. References must already be `{"id": uuid}` ([`super::foreign_reference`]). `updated_at` always becomes the time of
/// the change. A `ttl` is checked and kept beside the fields, where the kind has one. An explicit null in `id` counts
/// as absent, which Kong's schema lets through for its database to refuse.
pub fn fill_and_validate(
    kind: Kind,
    custom: &CustomPlugins,
    write: Write<'_>,
    mut input: Map<String, Value>,
    secrets: Secrets,
    generator: &mut dyn Generator,
) -> Result<Map<String, Value>, SchemaViolation> {
    let schema = kind.schema();
    let request = if schema.transformations.is_empty() {
        Map::new()
    } else {
        input.clone()
    };
    let ttl = if schema.ttl {
        input.swap_remove("ttl")
    } else {
        None
    };
    let record = record_of_write(schema, custom, write, &input);
    shorthand::expand(record, &mut input, generator).map_err(SchemaViolation::of)?;
    let (input, updating) = meet(schema, custom, write, input);
    let filled = fill::record(custom.record_for(schema, &input), input, generator);
    // Filling may have set the field that chooses the subschema.
    let record = custom.record_for(schema, &filled);
    if let Some(key) = schema.subschema_key {
        subschema_is_known(schema, custom, key, &filled)?;
    }
    let mut errors = validate::record(record, &filled, updating, generator);
    transform::check(schema, secrets, &request, &filled, write.changed(), &mut errors);
    if !errors.is_empty() {
        return Err(SchemaViolation::of(errors));
    }
    let mut body = filled;
    transform::apply(schema, secrets, &request, &mut body, generator);
    shorthand::settle(record, &mut body);
    body.retain(|name, _| record.field(name).is_some_and(|field| !field.transient));
    if let Some(seconds) = lifetime(ttl, write)? {
        body.insert("ttl".to_owned(), seconds);
    }
    Ok(body)
}

/// The input's transient fields (`certificates.snis`): validated with the rest, but the caller's to act on.
pub fn transient(kind: Kind, input: &Map<String, Value>) -> Map<String, Value> {
    kind.schema()
        .fields()
        .iter()
        .filter(|field| field.transient)
        .filter_map(|field| Some((field.name.to_owned(), input.get(field.name)?.clone())))
        .collect()
}

/// On an update the stored key chooses the subschema when the input has none.
fn record_of_write<'s>(
    schema: &'s KindSchema,
    custom: &'s CustomPlugins,
    write: Write<'_>,
    input: &Map<String, Value>,
) -> &'s RecordSchema {
    match (write, schema.subschema_key) {
        (Write::Update { existing }, Some(key)) if !input.contains_key(key) => {
            custom.record_for(schema, existing)
        }
        _ => custom.record_for(schema, input),
    }
}

/// Lays the input over what is stored, and says whether that makes it an update.
fn meet(
    schema: &KindSchema,
    custom: &CustomPlugins,
    write: Write<'_>,
    mut input: Map<String, Value>,
) -> (Map<String, Value>, bool) {
    match write {
        Write::Insert | Write::Upsert { existing: None } => (input, false),
        Write::Upsert {
            existing: Some(existing),
        } => {
            keep_origin(existing, &mut input);
            keep_random_defaults(schema.record_for(&input), existing, &mut input);
            (input, false)
        }
        Write::Update { existing } => {
            let record = record_of_write(schema, custom, write, &input);
            if input.get("created_at").is_some_and(Value::is_null) {
                input.swap_remove("created_at");
            }
            let mut merged = existing.clone();
            merged.swap_remove("ttl");
            merge(record, &mut merged, input);
            if let Some(id) = existing.get("id") {
                merged.insert("id".to_owned(), id.clone());
            }
            (merged, true)
        }
    }
}

fn keep_origin(existing: &Map<String, Value>, input: &mut Map<String, Value>) {
    if input.get("created_at").is_none_or(Value::is_null)
        && let Some(created_at) = existing.get("created_at")
    {
        input.insert("created_at".to_owned(), created_at.clone());
    }
    if let Some(id) = existing.get("id") {
        input.insert("id".to_owned(), id.clone());
    }
}

/// A random default is drawn once: what a replacement omits stays, as a default that isn't random would.
fn keep_random_defaults(
    record: &RecordSchema,
    existing: &Map<String, Value>,
    input: &mut Map<String, Value>,
) {
    for field in record.fields.iter().filter(|field| field.has_random_default()) {
        match (&field.value_type, existing.get(field.name)) {
            (ValueType::Record(inner), Some(Value::Object(stored))) => {
                if let Value::Object(below) = input.entry(field.name).or_insert_with(|| json!({})) {
                    keep_random_defaults(inner, stored, below);
                }
            }
            (ValueType::Record(_), _) | (_, None) => {}
            (_, Some(stored)) => {
                input.entry(field.name).or_insert_with(|| stored.clone());
            }
        }
    }
}

/// Records merge field by field; arrays, sets, maps and plain values are replaced; null overwrites.
fn merge(record: &RecordSchema, stored: &mut Map<String, Value>, input: Map<String, Value>) {
    for (name, value) in input {
        let inner = record.field(&name).map(|field| &field.value_type);
        match (inner, stored.get_mut(&name), value) {
            (Some(ValueType::Record(inner)), Some(Value::Object(below)), Value::Object(members)) => {
                merge(inner, below, members);
            }
            (_, _, value) => {
                stored.insert(name, value);
            }
        }
    }
}

/// Without a known subschema nothing else can be said about a body.
fn subschema_is_known(
    schema: &KindSchema,
    custom: &CustomPlugins,
    key: &'static str,
    body: &Map<String, Value>,
) -> Result<(), SchemaViolation> {
    let value = body.get(key).unwrap_or(&Value::Null);
    if value.is_null() {
        return Err(SchemaViolation::field(key, "required field missing"));
    }
    if custom.subschema_for(schema, body).is_some() {
        return Ok(());
    }
    let name = match value {
        Value::Array(items) => items.first().map_or_else(|| "nil".to_owned(), validate::shown),
        value => validate::shown(value),
    };
    let template = schema.subschema_error.unwrap_or("unknown type: %s");
    Err(SchemaViolation::field(key, template.replacen("%s", &name, 1)))
}

/// The `ttl` to store: what was sent, or on an update what is stored; never null.
fn lifetime(sent: Option<Value>, write: Write<'_>) -> Result<Option<Value>, SchemaViolation> {
    match (sent, write) {
        (None, Write::Update { existing }) => Ok(existing.get("ttl").cloned()),
        (None | Some(Value::Null), _) => Ok(None),
        (Some(ttl), _) => {
            let seconds = ttl
                .as_f64()
                .filter(|seconds| seconds.fract() == 0.0 && *seconds >= 0.0);
            match seconds {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a whole number between 0 and 10^8"
                )]
                Some(seconds) if seconds <= LONGEST_TTL as f64 => Ok(Some(Value::from(seconds as u64))),
                _ => {
                    let text = format!("must be an integer between 0 and {LONGEST_TTL}");
                    Err(SchemaViolation::field("ttl", text))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fill::FixedGenerator;
    use super::*;

    const CONSUMER: &str = "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn write(kind: &str, write: Write<'_>, input: Value) -> Result<Map<String, Value>, SchemaViolation> {
        fill_and_validate(
            Kind::named(kind).unwrap(),
            &CustomPlugins::default(),
            write,
            object(input),
            Secrets::Plain,
            &mut FixedGenerator,
        )
    }

    #[test]
    fn a_body_has_every_field_in_schema_order_and_nothing_else() {
        let body = write(
            "services",
            Write::Insert,
            json!({"updated_at": 1, "url": "http://h/", "tags": ["a", "a"]}),
        );
        let body = body.unwrap();
        let order: Vec<_> = Kind::named("services")
            .unwrap()
            .schema()
            .fields()
            .iter()
            .map(|field| field.name)
            .collect();
        assert_eq!(body.keys().collect::<Vec<_>>(), order);
        assert_eq!(body["tags"], json!(["a"]));
        assert_eq!(body["updated_at"], json!(1_767_225_600));
    }

    #[test]
    fn integers_stay_integers() {
        let body = write(
            "services",
            Write::Insert,
            json!({"host": "h", "port": 301.0, "retries": 3}),
        )
        .unwrap();
        assert_eq!(body["port"].to_string(), "301");
    }

    #[test]
    fn a_put_keeps_id_and_creation_time_unless_it_brings_a_time() {
        let existing = write(
            "services",
            Write::Insert,
            json!({"host": "h", "id": CONSUMER, "created_at": 5}),
        );
        let existing = existing.unwrap();
        let upsert = Write::Upsert {
            existing: Some(&existing),
        };
        let body = write("services", upsert, json!({"host": "i", "created_at": null})).unwrap();
        assert_eq!(
            (&body["id"], &body["created_at"], &body["host"]),
            (&json!(CONSUMER), &json!(5), &json!("i"))
        );
        let body = write("services", upsert, json!({"host": "i", "created_at": 7})).unwrap();
        assert_eq!(body["created_at"], json!(7));
    }

    #[test]
    fn a_patch_merges_records_and_replaces_lists() {
        let config = json!({"minute": 5, "policy": "redis", "redis": {"host": "h", "port": 1}});
        let existing = write(
            "plugins",
            Write::Insert,
            json!({"name": "rate-limiting", "tags": ["a"], "config": config}),
        );
        let existing = existing.unwrap();
        let update = Write::Update { existing: &existing };
        let body = write(
            "plugins",
            update,
            json!({"tags": ["b"], "config": {"redis_host": "i"}}),
        )
        .unwrap();
        assert_eq!(body["tags"], json!(["b"]));
        assert_eq!(body["config"]["redis"]["host"], json!("i"));
        assert_eq!(body["config"]["redis"]["port"], json!(1));
        assert_eq!(
            body["config"].get("redis_host"),
            None,
            "shorthands are not stored"
        );
    }

    #[test]
    fn a_random_default_is_drawn_once() {
        let session = |config: Value| json!({"name": "session", "config": config});
        let existing = write("plugins", Write::Insert, session(json!({"secret": "mine"}))).unwrap();
        let put = Write::Upsert {
            existing: Some(&existing),
        };
        for input in [session(json!({})), json!({"name": "session"})] {
            assert_eq!(
                write("plugins", put, input).unwrap()["config"]["secret"],
                json!("mine")
            );
        }
        let other = write("plugins", put, session(json!({"secret": "other"}))).unwrap();
        assert_eq!(other["config"]["secret"], json!("other"));
    }

    #[test]
    fn what_a_transformation_needs_comes_with_it() {
        let public = json!({"consumer": {"id": CONSUMER}, "name": "n", "client_secret": null});
        let existing = write("oauth2_credentials", Write::Insert, public).unwrap();
        assert_eq!(existing["client_secret"], json!(null), "nobody asked for a hash");
        let update = Write::Update { existing: &existing };
        assert!(write("oauth2_credentials", update, json!({"tags": ["t"]})).is_ok());
        for alone in [json!({"client_secret": "s"}), json!({"hash_secret": true})] {
            let refused = write("oauth2_credentials", update, alone).unwrap_err();
            let text = "all or none of these fields must be set: 'hash_secret', 'client_secret'";
            assert_eq!(refused.fields, json!({ "@entity": [text] }));
        }
    }

    #[test]
    fn a_ttl_is_kept_over_a_patch_and_dropped_by_null() {
        let credential = json!({"consumer": {"id": CONSUMER}, "ttl": 60.0});
        let existing = write("keyauth_credentials", Write::Insert, credential).unwrap();
        assert_eq!(existing["ttl"], json!(60));
        let update = Write::Update { existing: &existing };
        assert_eq!(
            write("keyauth_credentials", update, json!({"tags": ["a"]})).unwrap()["ttl"],
            json!(60)
        );
        assert_eq!(
            write("keyauth_credentials", update, json!({"ttl": null}))
                .unwrap()
                .get("ttl"),
            None
        );
        for bad in [json!(-1), json!(1.5), json!(100_000_001), json!("x")] {
            let refused = write("keyauth_credentials", update, json!({"ttl": bad})).unwrap_err();
            assert_eq!(
                refused.message(),
                "schema violation (ttl: must be an integer between 0 and 100000000)"
            );
        }
    }

    #[test]
    fn transient_fields_are_validated_but_not_stored() {
        let kind = Kind::named("certificates").unwrap();
        let input = json!({"cert": "{vault://env/c}", "key": "{vault://env/k}", "snis": ["a.com"]});
        assert_eq!(
            transient(kind, &object(input.clone())),
            object(json!({"snis": ["a.com"]}))
        );
        assert_eq!(
            write("certificates", Write::Insert, input).unwrap().get("snis"),
            None
        );
        let refused = write(
            "certificates",
            Write::Insert,
            json!({"cert": "x", "snis": ["1.2.3.4"]}),
        )
        .unwrap_err();
        assert_eq!(refused.fields["snis"], json!(["must not be an IP"]));
        assert_eq!(refused.fields["key"], json!("required field missing"));
    }

    #[test]
    fn ids_are_stored_in_lower_case() {
        let upper = CONSUMER.to_uppercase();
        let input = json!({"id": upper, "consumer": {"id": upper, "username": "x"}});
        let body = write("keyauth_credentials", Write::Insert, input).unwrap();
        assert_eq!(body["id"], json!(CONSUMER));
        assert_eq!(body["consumer"], json!({"id": CONSUMER}));
    }

    #[test]
    fn a_wrong_reference_is_explained_with_the_other_kinds_fields() {
        let input = json!({"paths": ["/"], "service": {"retries": "x"}});
        let refused = write("routes", Write::Insert, input).unwrap_err();
        assert_eq!(
            refused.fields,
            json!({"service": {"retries": "expected an integer"}})
        );
        let refused = write(
            "routes",
            Write::Insert,
            json!({"paths": ["/"], "service": {"id": "x"}}),
        )
        .unwrap_err();
        assert_eq!(
            refused.fields,
            json!({"service": {"id": "expected a valid UUID"}})
        );
    }

    #[test]
    fn the_subschema_of_a_default_applies_too() {
        let refused = write(
            "routes",
            Write::Insert,
            json!({"sources": [{"port": 1}], "paths": ["/"]}),
        )
        .unwrap_err();
        assert_eq!(
            refused.fields,
            json!({"sources": "cannot set 'sources' when 'protocols' is 'http' or 'https'"})
        );
        let refused = write("routes", Write::Insert, json!({"protocols": []})).unwrap_err();
        assert_eq!(refused.fields, json!({"protocols": "unknown type: nil"}));
    }
}
