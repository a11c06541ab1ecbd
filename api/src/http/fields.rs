//! Reading a body of our own field by field: everything that doesn't fit is said at once (`invalid_parameters`).

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::refusal::Refusal;

/// A body being read.
pub(crate) struct Fields {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
    invalid: Vec<Value>,
}

impl Fields {
    /// The fields of a body.
    pub(crate) const fn of(body: Map<String, Value>) -> Self {
        Self {
            rest: body,
            known: Vec::new(),
            invalid: Vec::new(),
        }
    }

    /// A field that may be absent or null.
    pub(crate) fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.nullable(name).flatten()
    }

    /// A field where null differs from absent.
    pub(crate) fn nullable<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<Option<T>> {
        self.known.push(name);
        match self.rest.shift_remove(name)? {
            Value::Null => Some(None),
            value => match serde_json::from_value(value) {
                Ok(value) => Some(Some(value)),
                Err(error) => {
                    self.refuse(name, "invalid", &error.to_string());
                    None
                }
            },
        }
    }

    /// A field that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        let before = self.invalid.len();
        let value = self.optional(name);
        if value.is_none() && self.invalid.len() == before {
            self.refuse(name, "required", "is required");
        }
        value
    }

    /// Notes that a field doesn't fit.
    pub(crate) fn refuse(&mut self, field: &str, rule: &str, reason: &str) {
        self.invalid
            .push(json!({ "field": field, "rule": rule, "reason": reason }));
    }

    /// Refuses the body if anything didn't fit, or something is there that nobody asked for.
    pub(crate) fn finish(mut self) -> Result<(), Refusal> {
        let known = self.known.join(", ");
        let unknown: Vec<_> = self.rest.keys().cloned().collect();
        for name in unknown {
            self.refuse(
                &name,
                "unknown_property",
                &format!("unknown field; known ones: {known}"),
            );
        }
        if self.invalid.is_empty() {
            return Ok(());
        }
        let text = |parameter: &Value| {
            let part = |name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
            format!("{}: {}", part("field"), part("reason"))
        };
        let all: Vec<_> = self.invalid.iter().map(text).collect();
        let mut refusal = Refusal::new(StatusCode::BAD_REQUEST, all.join("; "));
        refusal.invalid_parameters = self.invalid;
        Err(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_does_not_fit_is_said_at_once() {
        let body = json!({"description": 7, "nmae": "x"});
        let mut fields = Fields::of(body.as_object().unwrap().clone());
        assert_eq!(fields.required::<String>("name"), None);
        assert_eq!(fields.nullable::<String>("description"), None);
        let refusal = fields.finish().unwrap_err();
        let named: Vec<_> = refusal
            .invalid_parameters
            .iter()
            .map(|parameter| (parameter["field"].clone(), parameter["rule"].clone()))
            .collect();
        assert_eq!(
            named,
            [
                (json!("name"), json!("required")),
                (json!("description"), json!("invalid")),
                (json!("nmae"), json!("unknown_property"))
            ]
        );
    }
}
