//! A stored body as others see it: readers of the API, and instances.

use serde_json::{Map, Value};

use super::catalogue::Kind;
use super::shorthand;

/// What readers see: the canonical body plus the deprecated places of fields that have moved (README §4, "Select").
pub fn present(kind: Kind, body: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = body.clone();
    shorthand::mirror(kind.schema().record_for(body), &mut shown);
    shown
}

/// What instances receive: without nulls, at any depth (README §4, last line). Elements of lists are never null.
pub fn without_nulls(body: &Map<String, Value>) -> Map<String, Value> {
    let set = body.iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.clone(), stripped(value))).collect()
}

fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(without_nulls(members)),
        Value::Array(items) => items.iter().map(stripped).collect(),
        plain => plain.clone(),
    }
}
