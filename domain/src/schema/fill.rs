//! Filling: every field present, in schema order, with defaults and generated values (README §4).

use std::collections::HashSet;

use serde_json::{Map, Number, Value};
use uuid::Uuid;

use super::custom::Judge;
#[cfg(test)]
use super::custom::Question;
use super::definition::{Auto, Constraint, FieldSchema, RecordSchema, ValueType};
use crate::Timestamp;

/// Where time, ids, random strings and judgements come from: values of the change being decided, never a clock (DESIGN §13.3).
pub trait Generator: Judge {
    /// The time of the change.
    fn now(&self) -> Timestamp;
    /// The next id.
    fn uuid(&mut self) -> Uuid;
    /// The next string of `length` characters out of `[A-Za-z0-9]`.
    fn random_string(&mut self, length: usize) -> String;
}

/// The record's fields in order, taken from `input`; what it doesn't know stays at the end.
pub(super) fn record(
    record: &RecordSchema,
    mut input: Map<String, Value>,
    generator: &mut dyn Generator,
) -> Map<String, Value> {
    let mut body = Map::with_capacity(record.fields.len());
    for field in &record.fields {
        let given = input.swap_remove(field.name);
        let value = value(field, given, generator);
        if !(field.omitted_when_unset && value.is_null()) {
            body.insert(field.name.to_owned(), value);
        }
    }
    body.extend(input);
    body
}

fn value(field: &FieldSchema, given: Option<Value>, generator: &mut dyn Generator) -> Value {
    match (field.auto, given) {
        (Some(Auto::UpdatedAt), _) | (Some(Auto::CreatedAt), None | Some(Value::Null)) => {
            time(field, generator.now())
        }
        // Kong takes an explicit null as a null id, which no store accepts.
        (Some(Auto::Uuid), None | Some(Value::Null)) => Value::from(generator.uuid().to_string()),
        (Some(Auto::RandomString(length) | Auto::RandomDefault(length)), None) => {
            Value::from(generator.random_string(length))
        }
        (_, Some(given)) => canonical(field, given, generator),
        (_, None) => absent(field, generator),
    }
}

fn absent(field: &FieldSchema, generator: &mut dyn Generator) -> Value {
    match (&field.default, &field.value_type) {
        (Some(default), _) => canonical(field, default.clone(), generator),
        (None, ValueType::Record(inner)) if field.required => {
            Value::Object(record(inner, Map::new(), generator))
        }
        _ => Value::Null,
    }
}

/// Seconds in an integer field; seconds with milliseconds in a number field.
fn time(field: &FieldSchema, now: Timestamp) -> Value {
    match field.value_type {
        ValueType::Number if now.0 % 1000 != 0 => Number::from_f64(milliseconds_as_seconds(now)).into(),
        _ => Value::from(now.seconds()),
    }
}

fn milliseconds_as_seconds(now: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 stay below 2^53 for 285,000 years"
    )]
    let milliseconds = now.0 as f64;
    milliseconds / 1000.0
}

/// The one way in which a value that is present is stored.
fn canonical(field: &FieldSchema, given: Value, generator: &mut dyn Generator) -> Value {
    match (&field.value_type, given) {
        (ValueType::Integer | ValueType::Number, Value::Number(number)) => integral(number),
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(items)) => {
            let mut items: Vec<Value> = items
                .into_iter()
                .map(|item| canonical(elements, item, generator))
                .collect();
            if matches!(field.value_type, ValueType::Set(_)) {
                drop_duplicates(&mut items);
            }
            Value::Array(items)
        }
        // Lua can't tell an empty list from an empty table (README §2).
        (ValueType::Array(_) | ValueType::Set(_), Value::Object(members)) if members.is_empty() => {
            Value::Array(Vec::new())
        }
        (ValueType::Map(..), Value::Array(items)) if items.is_empty() => Value::Object(Map::new()),
        (ValueType::Map(_, values), Value::Object(members)) => members
            .into_iter()
            .map(|(name, member)| (name, canonical(values, member, generator)))
            .collect::<Map<_, _>>()
            .into(),
        (ValueType::Record(inner), Value::Object(members)) => record(inner, members, generator).into(),
        (ValueType::Record(inner), Value::Array(items)) if items.is_empty() => {
            record(inner, Map::new(), generator).into()
        }
        (ValueType::Foreign(_), Value::Object(members)) => foreign(members),
        (ValueType::String, Value::String(text)) => Value::String(string(field, text)),
        (_, given) => given,
    }
}

/// `301.0` is stored as `301`; beyond 2^53 a double doesn't name one integer and is left alone.
pub(super) fn integral(number: Number) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            let whole = float as i64;
            Value::from(whole)
        }
        _ => Value::Number(number),
    }
}

/// The first of equal plain values stays; records are never equal (README §2).
fn drop_duplicates(items: &mut Vec<Value>) {
    let mut seen = HashSet::with_capacity(items.len());
    let first_of_its_kind = |item: &Value| {
        let plain = !matches!(item, Value::Object(_) | Value::Array(_) | Value::Null);
        !plain || seen.insert(item.clone())
    };
    items.retain(first_of_its_kind);
}

/// Only the id of a foreign entity is kept, once it is one.
fn foreign(mut members: Map<String, Value>) -> Value {
    let id = members
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| is_uuid(id))
        .map(str::to_ascii_lowercase);
    if let Some(id) = id {
        members.clear();
        members.insert("id".to_owned(), Value::String(id));
    }
    Value::Object(members)
}

pub(super) fn string(field: &FieldSchema, mut text: String) -> String {
    if field.uuid && is_uuid(&text) {
        text.make_ascii_lowercase();
    }
    for constraint in &field.constraints {
        if let Constraint::Rule(rule) = constraint
            && let Some(normal) = rule.normalise.and_then(|normalise| normalise(&text))
        {
            text = normal;
        }
    }
    text
}

/// 8-4-4-4-12 hexadecimal digits, any case, any version.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// For tests: always the same time, id and string.
#[cfg(test)]
pub(super) struct FixedGenerator;

#[cfg(test)]
impl Judge for FixedGenerator {
    fn judge(&mut self, question: Question) -> Result<(), String> {
        Err(format!("nobody knows what {} says", question.place))
    }
}

#[cfg(test)]
impl Generator for FixedGenerator {
    fn now(&self) -> Timestamp {
        Timestamp(1_767_225_600_000)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn random_string(&mut self, length: usize) -> String {
        "a".repeat(length)
    }
}
