//! A declarative file as it was read: what stands at its top, and every entity below it as a text of its own, so that a
//! file of a hundred thousand entities takes little more room than its bytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value};

use crate::bounded_json::{BoundedValue, NodeBudget, RepeatedKeys, stands_twice};

/// How many values a file may have.
pub const MOST_VALUES: usize = 10_000_000;

/// How many values an entity may have, those nested below it included, and what stands at the top of a file.
const MOST_VALUES_AT_ONCE: usize = 2_000_000;

/// A file's content, read from JSON or YAML.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// `_format_version`, `_info` and what else isn't a list of entities; none where the file isn't a mapping.
    pub(super) head: Option<Map<String, Value>>,
    /// The lists of entities, by the names they stand under, in the file's order.
    pub(super) lists: Vec<(String, List)>,
}

/// What stands under the name of a list.
#[derive(Clone, Debug)]
pub(super) enum List {
    /// Each item as JSON.
    Items(Vec<Box<str>>),
    /// Something else.
    NoList,
}

impl From<&Value> for Document {
    fn from(document: &Value) -> Self {
        let Value::Object(root) = document else {
            return Self::default();
        };
        let mut read = Self {
            head: Some(Map::new()),
            lists: Vec::new(),
        };
        for (key, value) in root {
            match (is_of_head(key), value) {
                (true, value) => read.put(key.clone(), value.clone()),
                (false, Value::Null) => read.lists.push((key.clone(), List::Items(Vec::new()))),
                (false, Value::Array(items)) => {
                    let items = items.iter().map(|item| item.to_string().into()).collect();
                    read.lists.push((key.clone(), List::Items(items)));
                }
                (false, _) => read.lists.push((key.clone(), List::NoList)),
            }
        }
        read
    }
}

impl Document {
    fn put(&mut self, key: String, value: Value) {
        self.head.get_or_insert_default().insert(key, value);
    }

    fn has(&self, key: &str) -> bool {
        self.head.as_ref().is_some_and(|head| head.contains_key(key))
            || self.lists.iter().any(|(known, _)| known == key)
    }
}

fn is_of_head(key: &str) -> bool {
    key.starts_with('_')
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Root)
    }
}

/// The top of a file.
struct Root;

/// How many lists a file has at most: far more than there are kinds.
const MOST_LISTS: usize = 1_000;

impl<'de> Visitor<'de> for Root {
    type Value = Document;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping with _format_version and entities")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Document, A::Error> {
        let left = Cell::new(MOST_VALUES);
        let mut read = Document {
            head: Some(Map::new()),
            lists: Vec::new(),
        };
        while let Some(key) = members.next_key::<String>()? {
            if read.has(&key) {
                return Err(stands_twice(&key));
            }
            if read.lists.len() == MOST_LISTS {
                return Err(A::Error::custom("it has too many lists at its top"));
            }
            if is_of_head(&key) {
                let value = members.next_value_seed(Item { left: &left })?;
                read.put(key, value);
            } else {
                let items = members.next_value_seed(Items { left: &left })?;
                read.lists.push((key, items));
            }
        }
        Ok(read)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Document, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Document::default())
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_none<E: Error>(self) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Document, E> {
        Ok(Document::default())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Document, E> {
        Ok(Document::default())
    }
}

/// One value, counted in the whole file's budget and in its own.
#[derive(Clone, Copy)]
struct Item<'left> {
    left: &'left Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let budget = NodeBudget::new(self.left.get().min(MOST_VALUES_AT_ONCE));
        let value = BoundedValue {
            budget: &budget,
            repeated: RepeatedKeys::Refused,
        };
        let read = value.deserialize(deserializer);
        self.left.set(self.left.get() - budget.used());
        read
    }
}

/// A list, item by item.
struct Items<'left> {
    left: &'left Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = List;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<List, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = List;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of entities")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = elements.next_element_seed(Item { left: self.left })? {
            items.push(item.to_string().into());
        }
        Ok(List::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<List, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(List::NoList)
    }

    fn visit_unit<E: Error>(self) -> Result<List, E> {
        Ok(List::Items(Vec::new()))
    }

    fn visit_none<E: Error>(self) -> Result<List, E> {
        Ok(List::Items(Vec::new()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<List, E> {
        Ok(List::NoList)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<List, E> {
        Ok(List::NoList)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<List, E> {
        Ok(List::NoList)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<List, E> {
        Ok(List::NoList)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<List, E> {
        Ok(List::NoList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_list_by_list() {
        let text =
            r#"{"_format_version":"3.0","services":[{"name":"a"},"b"],"routes":null,"plugins":{"a":1}}"#;
        let read: Document = serde_json::from_str(text).unwrap();
        assert_eq!(read.head.as_ref().unwrap()["_format_version"], "3.0");
        let lists: Vec<_> = read
            .lists
            .iter()
            .map(|(name, list)| (name.as_str(), list))
            .collect();
        let [
            ("services", List::Items(services)),
            ("routes", List::Items(routes)),
            ("plugins", List::NoList),
        ] = lists[..]
        else {
            panic!("{lists:?}");
        };
        assert_eq!(
            services.iter().map(AsRef::as_ref).collect::<Vec<&str>>(),
            [r#"{"name":"a"}"#, "\"b\""]
        );
        assert!(routes.is_empty());
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"services":[],"services":[]}"#,
            r#"{"_info":{},"_info":{}}"#,
            r#"{"services":[{"a":{"b":1,"b":2}}]}"#,
        ] {
            let refused = serde_json::from_str::<Document>(text).unwrap_err().to_string();
            assert!(refused.contains("stands twice"), "{refused}");
        }
    }

    #[test]
    fn an_entity_of_too_many_values_is_refused_before_it_is_read_to_its_end() {
        let text = format!(r#"{{"services":[{{"tags":[{}!"#, "0,".repeat(MOST_VALUES_AT_ONCE));
        let refused = serde_json::from_str::<Document>(&text).unwrap_err().to_string();
        assert!(refused.contains("more than 2000000 values"), "{refused}");
    }

    #[test]
    fn what_is_no_mapping_is_read_without_being_kept() {
        for text in ["[0,0,0]", "1", "\"a\"", "null"] {
            assert!(
                serde_json::from_str::<Document>(text).unwrap().head.is_none(),
                "{text}"
            );
        }
    }
}
