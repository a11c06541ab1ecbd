//! Forms as bodies of entities (`deck-go-kong.md` §5.7): `config.minute=5`, `paths[]=/a`, `paths[1]=/a`; the texts get
//! the types that the kind's schema says.

use std::collections::{BTreeMap, HashMap};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use domain::Kind;
use domain::schema::{FieldSchema, RecordSchema, ValueType};
use serde_json::{Map, Number, Value};

use super::body::{self, MOST_VALUES};
use super::refusal::Refusal;

/// How many names and indexes a key may have: far more than any schema is deep.
const DEEPEST: usize = 32;

/// How much of a key is shown where it is refused, in characters.
const LONGEST_SHOWN: usize = 200;

/// Reads a form in either of its media types as an entity of a kind; none if it is none.
pub fn read(kind: Kind, media_type: &str, text: &Bytes) -> Option<Map<String, Value>> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, media_type.parse().ok()?);
    let texts = body::form(&headers, text).ok()??;
    Some(typed(kind, texts, None))
}

/// The object that a form's fields describe, every value still a text.
pub(crate) fn object(fields: Vec<(String, String)>) -> Result<Map<String, Value>, Refusal> {
    let mut root = Node::Members(Members::default());
    let mut nodes = 0;
    for (key, text) in fields {
        let steps = steps(&key).ok_or_else(|| refused(&key, "is nested too deep"))?;
        nodes += steps.len();
        if nodes > MOST_VALUES {
            return Err(body::too_many_values(MOST_VALUES));
        }
        root.put(&steps, text).map_err(|why| refused(&key, why))?;
    }
    match root.into_value() {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// Gives the texts of a form their types; `stored` says which subschema holds where the form doesn't.
pub(crate) fn typed(
    kind: Kind,
    texts: Map<String, Value>,
    stored: Option<&Map<String, Value>>,
) -> Map<String, Value> {
    let schema = kind.schema();
    let chosen = schema.subschema_key.is_some_and(|key| texts.contains_key(key));
    let record = match stored {
        Some(stored) if !chosen => schema.record_for(stored),
        _ => schema.record_for(&texts),
    };
    let mut body = typed_members(record, texts);
    // The time to live stands beside the fields.
    if let Some(ttl) = body.get_mut("ttl").filter(|_| schema.ttl) {
        *ttl = number(ttl.take());
    }
    body
}

fn typed_members(record: &RecordSchema, texts: Map<String, Value>) -> Map<String, Value> {
    let typed = texts.into_iter().map(|(name, value)| {
        let value = match record.input_field(&name) {
            Some(field) => typed_value(field, value),
            None => value,
        };
        (name, value)
    });
    typed.collect()
}

/// An empty text is null; one that isn't of the type stays a text, for the schema to refuse.
fn typed_value(field: &FieldSchema, value: Value) -> Value {
    if value == "" {
        return Value::Null;
    }
    match (&field.value_type, value) {
        (ValueType::Number | ValueType::Integer, value) => number(value),
        (ValueType::Boolean, Value::String(text)) => match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(items)) => items
            .into_iter()
            .map(|item| typed_value(elements, item))
            .collect(),
        (ValueType::Array(elements) | ValueType::Set(elements), Value::String(text)) => {
            Value::Array(vec![typed_value(elements, Value::String(text))])
        }
        (ValueType::Map(_, values), Value::Object(members)) => members
            .into_iter()
            .map(|(name, member)| (name, typed_value(values, member)))
            .collect::<Map<_, _>>()
            .into(),
        (ValueType::Record(record), Value::Object(members)) => typed_members(record, members).into(),
        (ValueType::Foreign(reference), Value::Object(members)) => match reference.kind {
            Some(kind) => typed_members(&kind.schema().record, members).into(),
            None => members.into(),
        },
        (_, value) => value,
    }
}

fn number(value: Value) -> Value {
    let read = |text: &str| {
        let whole = text.parse::<i64>().ok().map(Number::from);
        whole.or_else(|| Number::from_f64(text.parse().ok()?))
    };
    match value.as_str().and_then(read) {
        Some(number) => Value::Number(number),
        None if value == "" => Value::Null,
        None => value,
    }
}

/// One step of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A member of this name.
    Member(String),
    /// The element of this number, counted from 1; the next one if none is named.
    Element(Option<usize>),
}

/// The steps of `config.a[1]`; none if there are too many. A key that begins or ends with a dot is one name.
fn steps(key: &str) -> Option<Vec<Step>> {
    if key.starts_with('.') || key.ends_with('.') {
        return Some(vec![Step::Member(key.to_owned())]);
    }
    let mut steps = Vec::new();
    for segment in key.split('.').filter(|segment| !segment.is_empty()) {
        let mut name = segment;
        let mut indexes = Vec::new();
        while let Some((before, index)) = indexed(name) {
            name = before;
            indexes.push(Step::Element(index));
            if indexes.len() > DEEPEST {
                return None;
            }
        }
        steps.push(Step::Member(name.to_owned()));
        steps.extend(indexes.into_iter().rev());
        if steps.len() > DEEPEST {
            return None;
        }
    }
    Some(steps)
}

/// `a[1]` is `a` and 1, `a[]` is `a` and no number; anything else has no index.
fn indexed(segment: &str) -> Option<(&str, Option<usize>)> {
    let (before, index) = segment.strip_suffix(']')?.rsplit_once('[')?;
    match (before, index) {
        ("", _) => None,
        (before, "") => Some((before, None)),
        (before, index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((before, Some(index.parse().ok()?)))
        }
        _ => None,
    }
}

/// A form's fields, put together.
#[derive(Debug)]
enum Node {
    Text(String),
    Members(Members),
    Elements(BTreeMap<usize, Self>),
}

/// The members of a record in the order in which they came, each found by its name.
#[derive(Debug, Default)]
struct Members {
    nodes: Vec<(String, Node)>,
    places: HashMap<String, usize>,
}

impl Members {
    fn get_or_insert(&mut self, name: &str, node: impl FnOnce() -> Node) -> &mut Node {
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => {
                self.places.insert(name.to_owned(), self.nodes.len());
                self.nodes.push((name.to_owned(), node()));
                self.nodes.len() - 1
            }
        };
        &mut self.nodes[place].1
    }
}

impl Node {
    fn put(&mut self, steps: &[Step], text: String) -> Result<(), &'static str> {
        const TWO_WAYS: &str = "is given in two ways: as a value, a list or a record";
        let Some((first, rest)) = steps.split_first() else {
            return self.add(text).ok_or(TWO_WAYS);
        };
        let slot = match (self, first) {
            (Self::Members(members), Step::Member(name)) => {
                members.get_or_insert(name, || Self::empty_for(rest))
            }
            (Self::Elements(elements), Step::Element(index)) => {
                let next = elements
                    .last_key_value()
                    .map_or(1, |(last, _)| last.saturating_add(1));
                elements
                    .entry(index.unwrap_or(next))
                    .or_insert_with(|| Self::empty_for(rest))
            }
            _ => return Err(TWO_WAYS),
        };
        slot.put(rest, text)
    }

    fn empty_for(steps: &[Step]) -> Self {
        match steps.first() {
            Some(Step::Member(_)) => Self::Members(Members::default()),
            // A text that comes first is added to nothing.
            Some(Step::Element(_)) | None => Self::Elements(BTreeMap::new()),
        }
    }

    /// The first text of a key is its value; with a second one it is a list. None where the key leads to a record.
    fn add(&mut self, text: String) -> Option<()> {
        match self {
            Self::Elements(elements) if elements.is_empty() => *self = Self::Text(text),
            Self::Text(first) => {
                let first = std::mem::take(first);
                *self = Self::Elements([(1, Self::Text(first)), (2, Self::Text(text))].into());
            }
            Self::Elements(elements) => {
                let next = elements
                    .last_key_value()
                    .map_or(1, |(last, _)| last.saturating_add(1));
                elements.insert(next, Self::Text(text));
            }
            Self::Members(_) => return None,
        }
        Some(())
    }

    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::String(text),
            Self::Members(members) => members
                .nodes
                .into_iter()
                .map(|(name, node)| (name, node.into_value()))
                .collect::<Map<_, _>>()
                .into(),
            Self::Elements(elements) => elements.into_values().map(Self::into_value).collect(),
        }
    }
}

fn refused(key: &str, why: &str) -> Refusal {
    let shown: String = key.chars().take(LONGEST_SHOWN).collect();
    Refusal::bad_request(format!("Cannot parse the form: the field '{shown}' {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(kind: &str, fields: &[(&str, &str)]) -> Value {
        let fields = fields
            .iter()
            .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let texts = object(fields.collect()).unwrap();
        typed(Kind::named(kind).unwrap(), texts, None).into()
    }

    #[test]
    fn texts_get_the_types_of_the_schema() {
        let service = [
            ("url", "http://h:81/x"),
            ("retries", "7"),
            ("enabled", "false"),
            ("path", ""),
            ("tags", "a"),
            ("connect_timeout", "soon"),
        ];
        assert_eq!(
            read("services", &service),
            json!({
                "url": "http://h:81/x", "retries": 7, "enabled": false, "path": null, "tags": ["a"],
                "connect_timeout": "soon",
            })
        );
    }

    #[test]
    fn lists_are_written_with_brackets_numbers_or_by_repetition() {
        for fields in [
            [("paths[]", "/a"), ("paths[]", "/b")],
            [("paths[2]", "/b"), ("paths[1]", "/a")],
            [("paths", "/a"), ("paths", "/b")],
        ] {
            assert_eq!(
                read("routes", &fields),
                json!({"paths": ["/a", "/b"]}),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn dots_lead_into_records_maps_and_other_entities() {
        let plugin = [
            ("name", "rate-limiting"),
            ("service.id", "x"),
            ("config.minute", "5"),
            ("config.redis.port", "6379"),
            ("config.redis_ssl", "true"),
        ];
        assert_eq!(
            read("plugins", &plugin),
            json!({
                "name": "rate-limiting", "service": {"id": "x"},
                "config": {"minute": 5, "redis": {"port": 6379}, "redis_ssl": true},
            })
        );
        let route = [
            ("headers.x-a[]", "1"),
            ("headers.x-b", "2"),
            ("sources[1].port", "80"),
        ];
        assert_eq!(
            read("routes", &route),
            json!({"headers": {"x-a": ["1"], "x-b": ["2"]}, "sources": [{"port": 80}]})
        );
    }

    #[test]
    fn a_change_of_a_plugin_is_read_with_the_stored_plugins_schema() {
        let plugins = Kind::named("plugins").unwrap();
        let texts = object(vec![("config.minute".to_owned(), "9".to_owned())]).unwrap();
        let stored = json!({"name": "rate-limiting"});
        let body = typed(plugins, texts, stored.as_object());
        assert_eq!(Value::Object(body), json!({"config": {"minute": 9}}));
    }

    #[test]
    fn a_key_that_means_two_things_or_is_too_deep_is_refused() {
        for (first, second) in [("a", "a.b"), ("a.b", "a"), ("a", "a[1]")] {
            let both = [first, second].map(|key| (key.to_owned(), "1".to_owned()));
            let refusal = object(both.to_vec()).unwrap_err();
            let said = format!("'{second}' is given in two ways");
            assert!(refusal.message.contains(&said), "{}", refusal.message);
        }
        for key in ["a.".repeat(100) + "b", "a".to_owned() + &"[1]".repeat(100)] {
            let refusal = object(vec![(key, "1".to_owned())]).unwrap_err();
            assert!(
                refusal.message.ends_with("is nested too deep"),
                "{}",
                refusal.message
            );
        }
    }
}
