//! A stored body as others see it: readers of the API, and instances.

use serde_json::{Map, Value};

use super::catalogue::Kind;
use super::shorthand;

/// What readers see: the canonical body plus the deprecated places of fields that have moved (README §4, "Select").
pub fn present(kind: Kind, mut body: Map<String, Value>) -> Map<String, Value> {
    let record = kind.schema().record_for(&body);
    shorthand::mirror(record, &mut body);
    body
}

/// Whether readers see bodies of this kind exactly as they are stored, so that showing one is a copy of bytes.
pub fn shown_as_stored(kind: Kind) -> bool {
    let schema = kind.schema();
    let mut subschemas = schema.subschemas.values();
    !shorthand::mirrors(&schema.record) && !subschemas.any(|subschema| shorthand::mirrors(&subschema.record))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moved_fields_are_shown_in_both_places() {
        let body = json!({"name": "rate-limiting", "config": {"redis": {"host": "h", "port": 1}}});
        let shown = present(Kind::named("plugins").unwrap(), body.as_object().unwrap().clone());
        assert_eq!(shown["config"]["redis_host"], json!("h"));
        assert_eq!(shown["config"]["redis_port"], json!(1));
        assert_eq!(shown["config"]["redis_password"], json!(null));
        assert_eq!(shown["config"]["redis"], body["config"]["redis"]);
    }

    #[test]
    fn only_kinds_with_moved_fields_differ_from_what_is_stored() {
        for (kind, as_stored) in [("services", true), ("routes", true), ("plugins", false)] {
            assert_eq!(shown_as_stored(Kind::named(kind).unwrap()), as_stored, "{kind}");
        }
    }

    #[test]
    fn nulls_are_left_out_at_any_depth() {
        let body = json!({"a": null, "b": {"c": null, "d": [{"e": null, "f": 1}]}});
        let sent = without_nulls(body.as_object().unwrap());
        assert_eq!(Value::Object(sent), json!({"b": {"d": [{"f": 1}]}}));
    }
}
