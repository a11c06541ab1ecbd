//! What says nothing: nulls that an instance would fill with null anyway, and values equal to their default.

use serde_json::{Map, Value};

use crate::schema::{FieldSchema, RecordSchema, ValueType};

/// A value of a field that the field lists don't describe, without the nulls that mean what their absence means.
pub(super) fn without_unset(value: Value, schema: Option<&FieldSchema>) -> Value {
    let Some(schema) = schema else { return value };
    match (&schema.value_type, value) {
        (ValueType::Record(record), Value::Object(members)) => Value::Object(members_set(members, record)),
        (ValueType::Array(element) | ValueType::Set(element), Value::Array(items)) => items
            .into_iter()
            .map(|item| without_unset(item, Some(element)))
            .collect(),
        (ValueType::Map(_, values), Value::Object(members)) => {
            let member = |(name, value)| (name, without_unset(value, Some(values)));
            Value::Object(members.into_iter().map(member).collect())
        }
        (_, value) => value,
    }
}

fn members_set(members: Map<String, Value>, record: &RecordSchema) -> Map<String, Value> {
    let mut set = Map::new();
    for (name, value) in members {
        let field = record.field(&name);
        let has_default =
            field.is_some_and(|field| field.default.as_ref().is_some_and(|default| !default.is_null()));
        if !value.is_null() || has_default {
            let value = without_unset(value, field);
            set.insert(name, value);
        }
    }
    set
}

/// Whether a value is what the field would hold if nobody had set it. `default` is what a record above gives the field.
pub(super) fn is_default(value: &Value, schema: Option<&FieldSchema>, default: Option<&Value>) -> bool {
    let is_empty = match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    let default = default.or_else(|| schema?.default.as_ref());
    is_empty || default.is_some_and(|default| same(value, default))
}

/// Equal, with `1` and `1.0` the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}
