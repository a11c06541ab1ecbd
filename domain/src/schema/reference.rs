//! How a caller may name another entity in a foreign field.

use serde_json::Value;
use uuid::Uuid;

use super::violation::SchemaViolation;

/// Another entity, as a body names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignReference {
    /// `{"id": uuid}`.
    Id(Uuid),
    /// `{"name": "x"}`: by a unique field, which the caller resolves to an id before filling.
    Unique {
        /// The other kind's field.
        field: String,
        /// Its value.
        value: String,
    },
}

/// Reads a foreign field's value; null is no reference. The violation is the one to show below the field's name.
pub fn foreign_reference(value: &Value) -> Result<Option<ForeignReference>, SchemaViolation> {
    let refuse = |error: &str| Err(SchemaViolation::field("id", error));
    let members = match value {
        Value::Null => return Ok(None),
        Value::Object(members) => members,
        _ => return refuse("missing primary key"),
    };
    match members.get("id") {
        Some(Value::String(id)) => match Uuid::try_parse(id) {
            Ok(parsed) if super::fill::is_uuid(id) => Ok(Some(ForeignReference::Id(parsed))),
            _ => refuse("expected a valid UUID"),
        },
        Some(Value::Null) => refuse("required field missing"),
        Some(_) => refuse("expected a string"),
        None => {
            let named = members
                .iter()
                .find_map(|(field, value)| Some((field, value.as_str()?)));
            let Some((field, value)) = named else {
                return refuse("missing primary key");
            };
            Ok(Some(ForeignReference::Unique {
                field: field.clone(),
                value: value.to_owned(),
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entity_is_named_by_id_by_a_unique_field_or_not_at_all() {
        let id = "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";
        let expected = Uuid::parse_str(id).unwrap();
        assert_eq!(foreign_reference(&Value::Null), Ok(None));
        assert_eq!(
            foreign_reference(&json!({"id": id})),
            Ok(Some(ForeignReference::Id(expected)))
        );
        assert_eq!(
            foreign_reference(&json!({"name": "x"})),
            Ok(Some(ForeignReference::Unique {
                field: "name".into(),
                value: "x".into()
            }))
        );
    }

    #[test]
    fn what_names_no_entity_is_refused_at_its_id() {
        for (value, error) in [
            (json!("x"), "missing primary key"),
            (json!({}), "missing primary key"),
            (json!({"id": "x"}), "expected a valid UUID"),
            (json!({"id": 1}), "expected a string"),
            (json!({"id": null}), "required field missing"),
        ] {
            assert_eq!(
                foreign_reference(&value),
                Err(SchemaViolation::field("id", error)),
                "{value}"
            );
        }
    }
}
