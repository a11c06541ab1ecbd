//! JSON in which no key stands twice in an object: in a declarative file that is a mistake, never a wish.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A value read that way.
pub(crate) struct UniqueJson(pub(crate) Value);

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = UniqueJson;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<UniqueJson, E> {
        Ok(UniqueJson(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<UniqueJson, E> {
        Ok(UniqueJson(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<UniqueJson, E> {
        Ok(UniqueJson(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<UniqueJson, E> {
        Ok(UniqueJson(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<UniqueJson, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that JSON can't hold"))?;
        Ok(UniqueJson(number.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<UniqueJson, E> {
        Ok(UniqueJson(value.into()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<UniqueJson, E> {
        Ok(UniqueJson(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<UniqueJson, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueJson(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(UniqueJson(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<UniqueJson, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!(
                    "the key \"{name}\" stands twice in an object"
                )));
            }
            let UniqueJson(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(UniqueJson(object.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_type_are_read() {
        let text = r#"{"a":[1,-2,0.5,"x",null,true,{"b":{}}]}"#;
        let UniqueJson(value) = serde_json::from_str(text).unwrap();
        assert_eq!(value.to_string(), text);
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let error = serde_json::from_str::<UniqueJson>(r#"{"a":1,"a":2}"#)
            .err()
            .unwrap();
        assert!(
            error.to_string().starts_with("the key \"a\" stands twice"),
            "{error}"
        );
    }
}
