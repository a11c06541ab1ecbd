//! Values of JSON, YAML and MessagePack within a budget: what somebody sends can't take many times its own size in
//! memory. A `0,` of two bytes is a value of seventy.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How many values may still be read: scalars, lists and objects, each once, at any depth.
#[derive(Debug)]
pub struct NodeBudget {
    most: usize,
    left: Cell<usize>,
    exhausted: Cell<bool>,
}

impl NodeBudget {
    /// A budget of so many values.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            left: Cell::new(most),
            exhausted: Cell::new(false),
        }
    }

    /// Whether reading was stopped because there were more values.
    pub const fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// How many values have been read.
    pub const fn used(&self) -> usize {
        self.most - self.left.get()
    }

    /// Counts one value.
    pub(crate) fn count<E: Error>(&self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.exhausted.set(true);
                let most = self.most;
                Err(E::custom(format_args!("it has more than {most} values")))
            }
        }
    }
}

/// What a key that stands twice in an object means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepeatedKeys {
    /// The last one counts, as in most readers of JSON.
    LastCounts,
    /// A mistake: in a file that people write it is never a wish.
    Refused,
}

/// Reads a value within a budget.
#[derive(Clone, Copy, Debug)]
pub struct BoundedValue<'budget> {
    /// What may be read.
    pub budget: &'budget NodeBudget,
    /// What repeated keys mean.
    pub repeated: RepeatedKeys,
}

/// Reads a value out of JSON text within a budget.
pub fn from_slice(
    text: &[u8],
    budget: &NodeBudget,
    repeated: RepeatedKeys,
) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = BoundedValue { budget, repeated }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

impl<'de> DeserializeSeed<'de> for BoundedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.budget.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BoundedValue<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if self.repeated == RepeatedKeys::Refused && object.contains_key(&name) {
                return Err(stands_twice(&name));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

/// The refusal of a key that stands twice in an object.
pub(crate) fn stands_twice<E: Error>(name: &str) -> E {
    let shown: String = name.chars().take(100).collect();
    E::custom(format_args!("the key \"{shown}\" stands twice in an object"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, most: usize, repeated: RepeatedKeys) -> Result<Value, String> {
        let budget = NodeBudget::new(most);
        from_slice(text.as_bytes(), &budget, repeated).map_err(|error| error.to_string())
    }

    #[test]
    fn values_of_every_type_are_read() {
        let text = r#"{"a":[1,-2,0.5,"x",null,true,{"b":{}}]}"#;
        for repeated in [RepeatedKeys::LastCounts, RepeatedKeys::Refused] {
            assert_eq!(read(text, 100, repeated).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_or_counts_the_last_time() {
        let text = r#"{"a":1,"a":2}"#;
        let refused = read(text, 100, RepeatedKeys::Refused).unwrap_err();
        assert!(refused.starts_with("the key \"a\" stands twice"), "{refused}");
        let read = read(text, 100, RepeatedKeys::LastCounts).unwrap();
        assert_eq!(read.to_string(), r#"{"a":2}"#);
    }

    #[test]
    fn every_value_counts_at_any_depth() {
        for (text, values) in [
            ("0", 1),
            ("[]", 1),
            ("[0,[0,0]]", 5),
            (r#"{"a":{"b":[null]}}"#, 4),
        ] {
            assert!(read(text, values, RepeatedKeys::Refused).is_ok(), "{text}");
            let refused = read(text, values - 1, RepeatedKeys::Refused).unwrap_err();
            assert!(refused.contains("more than"), "{text}: {refused}");
        }
    }

    #[test]
    fn reading_stops_where_the_budget_ends() {
        let budget = NodeBudget::new(10);
        // What follows the eleventh value isn't JSON, and isn't looked at.
        let text = format!("[{}!", "0,".repeat(10));
        assert!(from_slice(text.as_bytes(), &budget, RepeatedKeys::LastCounts).is_err());
        assert!(budget.is_exhausted());
    }
}
