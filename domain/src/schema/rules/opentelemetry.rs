//! The opentelemetry plugin.

use serde_json::Value;

/// Attributes are plain values, and texts aren't empty.
pub(super) fn resource_attributes(attributes: &Value) -> Result<(), String> {
    for value in attributes
        .as_object()
        .into_iter()
        .flat_map(serde_json::Map::values)
    {
        match value {
            Value::String(text) if text.is_empty() => return Err("required field missing".to_owned()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
            _ => return Err("invalid type of value: table".to_owned()),
        }
    }
    Ok(())
}

/// The old name of `traces_endpoint`.
pub(super) fn endpoint(value: &Value) -> Vec<(&'static str, Value)> {
    vec![("traces_endpoint", value.clone())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_are_plain_and_not_empty() {
        assert_eq!(resource_attributes(&json!({"a": "b", "c": 1, "d": true})), Ok(()));
        for bad in [json!({"a": ""}), json!({"a": {}})] {
            assert!(resource_attributes(&bad).is_err(), "{bad}");
        }
    }
}
