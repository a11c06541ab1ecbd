//! A write: what the caller sent becomes the complete canonical body, or a violation (README §4).

use serde_json::{Map, Value};

use super::catalogue::{Kind, KindSchema};
use super::definition::{RecordSchema, ValueType};
use super::fill::{self, Generator};
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

/// Fills and validates; the answer is the complete canonical body: every field in schema order, null where unset,
/// without shorthands and without transient fields (take those from `input` first: [`transient`]).
///
/// References must already be `{"id": uuid}` ([`super::foreign_reference`]). `updated_at` always becomes the time of
/// the change. A `ttl` is checked and kept beside the fields, where the kind has one. An explicit null in `id` counts
/// as absent, which Kong's schema lets through for its database to refuse.
pub fn fill_and_validate(
    kind: Kind,
    write: Write<'_>,
    mut input: Map<String, Value>,
    generator: &mut dyn Generator,
) -> Result<Map<String, Value>, SchemaViolation> {
    let schema = kind.schema();
    let ttl = if schema.ttl {
        input.swap_remove("ttl")
    } else {
        None
    };
    shorthand::expand(record_of_write(schema, write, &input), &mut input).map_err(SchemaViolation::of)?;
    let (input, updating) = meet(schema, write, input);
    let record = schema.record_for(&input);
    let filled = fill::record(record, input, generator);
    let mut body = check(schema, record, filled, updating)?;
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
    write: Write<'_>,
    input: &Map<String, Value>,
) -> &'s RecordSchema {
    match (write, schema.subschema_key) {
        (Write::Update { existing }, Some(key)) if !input.contains_key(key) => schema.record_for(existing),
        _ => schema.record_for(input),
    }
}

/// Lays the input over what is stored, and says whether that makes it an update.
fn meet(schema: &KindSchema, write: Write<'_>, mut input: Map<String, Value>) -> (Map<String, Value>, bool) {
    match write {
        Write::Insert | Write::Upsert { existing: None } => (input, false),
        Write::Upsert {
            existing: Some(existing),
        } => {
            keep_origin(existing, &mut input);
            (input, false)
        }
        Write::Update { existing } => {
            let record = record_of_write(schema, write, &input);
            if input.get("created_at").is_some_and(Value::is_null) {
                input.swap_remove("created_at");
            }
            let mut merged = existing.clone();
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

fn check(
    schema: &KindSchema,
    record: &RecordSchema,
    body: Map<String, Value>,
    updating: bool,
) -> Result<Map<String, Value>, SchemaViolation> {
    if let Some(key) = schema.subschema_key {
        subschema_is_known(schema, key, &body)?;
    }
    let errors = validate::record(record, &body, updating);
    if errors.is_empty() {
        Ok(body)
    } else {
        Err(SchemaViolation::of(errors))
    }
}

/// Without a known subschema nothing else can be said about a body.
fn subschema_is_known(
    schema: &KindSchema,
    key: &'static str,
    body: &Map<String, Value>,
) -> Result<(), SchemaViolation> {
    let value = body.get(key).unwrap_or(&Value::Null);
    if value.is_null() {
        return Err(SchemaViolation::field(key, "required field missing"));
    }
    if schema.subschema_for(body).is_some() {
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
