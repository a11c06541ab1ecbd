//! The fields of a stored body as the texts that they are: two bodies are compared without being parsed.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A body's fields at the top, in its order.
#[derive(Debug, Default)]
pub(crate) struct StoredFields<'body>(Vec<(&'body str, &'body RawValue)>);

impl<'body> StoredFields<'body> {
    /// The fields of a canonical body.
    pub(crate) fn of(body: &'body str) -> Self {
        // A canonical body is a JSON object, and its fields' names are the schema's.
        serde_json::from_str(body).unwrap_or_default()
    }

    /// A field's value.
    pub(crate) fn parsed(&self, field: &str) -> Option<Value> {
        let (_, text) = self.0.iter().find(|(name, _)| *name == field)?;
        value_of(text)
    }

    /// The fields that aren't the same in another body, as they are here and there.
    pub(crate) fn differing(&self, other: &Self) -> (Map<String, Value>, Map<String, Value>) {
        (self.others_than(other), other.others_than(self))
    }

    /// The fields that another body doesn't have, or has with another value.
    fn others_than(&self, other: &Self) -> Map<String, Value> {
        let mut found = Map::new();
        for (place, (name, text)) in self.0.iter().enumerate() {
            // Bodies of a kind have their fields in the same order.
            let beside = other.0.get(place).filter(|(other, _)| other == name);
            let beside = beside.or_else(|| other.0.iter().find(|(other, _)| other == name));
            if beside.is_none_or(|(_, beside)| beside.get() != text.get()) {
                found.extend(value_of(text).map(|value| ((*name).to_owned(), value)));
            }
        }
        found
    }
}

fn value_of(text: &RawValue) -> Option<Value> {
    serde_json::from_str(text.get()).ok()
}

impl<'de> Deserialize<'de> for StoredFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = StoredFields<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry::<&'de str, &'de RawValue>()? {
            fields.push(field);
        }
        Ok(StoredFields(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_parsed() {
        let before = StoredFields::of(r#"{"id":"1","port":80,"old":{"a":[1]},"path":null}"#);
        let after = StoredFields::of(r#"{"id":"1","port":81,"path":null,"new":"x"}"#);
        let (was, is) = before.differing(&after);
        assert_eq!(Value::Object(was), json!({"port": 80, "old": {"a": [1]}}));
        assert_eq!(Value::Object(is), json!({"port": 81, "new": "x"}));
        assert_eq!(after.parsed("new"), Some(json!("x")));
        assert_eq!(after.parsed("old"), None);
    }
}
