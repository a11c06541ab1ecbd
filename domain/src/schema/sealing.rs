//! Which parts of a body are sealed at rest, and with whose key (DESIGN §4, "Secrets").

use std::borrow::Cow;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::catalogue::{Kind, field_seals};
use super::definition::{FieldSchema, RecordSchema, ValueType};

/// A value that is sealed at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPath {
    /// Names of members and indexes of elements, from the body down.
    pub path: Vec<Cow<'static, str>>,
    /// Whose data key seals it.
    pub sealing: Sealing,
}

/// Whose data key seals a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// The boundary's.
    Boundary,
    /// The consumer's that the entity is or belongs to: [`owner`].
    Owner,
}

/// The values of this body that are sealed at rest: set ones only, in schema order. Fields marked `encrypted` or
/// `x_sealed`, those of the body's plugin included, and a consumer's personal fields.
pub fn sealed_paths(kind: Kind, body: &Map<String, Value>) -> Vec<SealedPath> {
    let schema = kind.schema();
    if !schema.may_seal {
        return Vec::new();
    }
    let sealing = if schema.owned {
        Sealing::Owner
    } else {
        Sealing::Boundary
    };
    let mut found = Vec::new();
    in_record(schema.record_for(body), body, &mut Vec::new(), &mut found);
    found
        .into_iter()
        .map(|path| SealedPath { path, sealing })
        .collect()
}

/// The consumer whose key seals this body's secrets: itself, or the one it belongs to.
pub fn owner(kind: Kind, body: &Map<String, Value>) -> Option<Uuid> {
    let schema = kind.schema();
    let holder = match schema
        .foreign_keys
        .iter()
        .find(|key| key.required && key.reference == "consumers")
    {
        Some(key) => body.get(key.field)?.as_object()?,
        None => body,
    };
    schema
        .owned
        .then(|| Uuid::parse_str(holder.get("id")?.as_str()?).ok())?
}

type Segments = Vec<Cow<'static, str>>;

fn in_record(
    record: &'static RecordSchema,
    body: &Map<String, Value>,
    path: &mut Segments,
    found: &mut Vec<Segments>,
) {
    for field in record.fields.iter().filter(|field| field_seals(field)) {
        if let Some(value) = body.get(field.name).filter(|value| !value.is_null()) {
            path.push(Cow::Borrowed(field.name));
            in_value(field, value, path, found);
            path.pop();
        }
    }
}

fn in_value(field: &'static FieldSchema, value: &Value, path: &mut Segments, found: &mut Vec<Segments>) {
    if field.sealed || field.personal {
        found.push(path.clone());
        return;
    }
    match (&field.value_type, value) {
        (ValueType::Record(record), Value::Object(members)) => in_record(record, members, path, found),
        (ValueType::Map(_, values), Value::Object(members)) => {
            for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
                path.push(Cow::Owned(name.clone()));
                in_value(values, member, path, found);
                path.pop();
            }
        }
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Cow::Owned(index.to_string()));
                in_value(elements, item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}
