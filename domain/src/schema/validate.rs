//! Validation of a filled body: types, null rules, validators, then the checks over several fields (README §3, §7).

use serde_json::{Map, Value};

use super::check;
use super::constraint;
use super::custom::Judge;
use super::definition::{FieldSchema, RecordSchema, Reference, ValueType};
use super::fill::is_uuid;
use super::sealing::REDACTED;
use super::violation::MOST_ERRORS;

const REQUIRED: &str = "required field missing";
const UNKNOWN: &str = "unknown field";
const PLACEHOLDER: &str = "stands for a secret that whoever read it may not see: give the secret itself";

/// The errors of a body; empty if there are none. `updating` is for the wording of some entity checks.
pub(super) fn record(
    record: &RecordSchema,
    body: &Map<String, Value>,
    updating: bool,
    judge: &mut dyn Judge,
) -> Map<String, Value> {
    let mut errors = fields(record, body, judge);
    for check in &record.checks {
        check::run(check, body, updating, &mut errors, judge);
    }
    errors
}

/// A filled body has the schema's order, so the next field is nearly always the one that comes.
fn fields(record: &RecordSchema, body: &Map<String, Value>, judge: &mut dyn Judge) -> Map<String, Value> {
    let mut errors = Map::new();
    let mut expected = record.fields.iter();
    for (name, value) in body {
        if errors.len() >= MOST_ERRORS {
            break;
        }
        let next = expected.as_slice().first().filter(|field| field.name == name);
        let known = match next {
            Some(_) => expected.next(),
            None => record.field(name),
        };
        // `updated_at` is never validated, at any depth (README §2).
        if name == "updated_at" {
            continue;
        }
        match known {
            None => insert(&mut errors, name, UNKNOWN.into()),
            Some(known) => {
                if let Err(error) = field(known, value, judge) {
                    insert(&mut errors, name, error);
                }
            }
        }
    }
    errors
}

fn insert(errors: &mut Map<String, Value>, name: &str, error: Value) {
    errors.insert(name.to_owned(), error);
}

/// One value against its definition: null rules, type, then the validators in order; the first failure is the answer.
pub(super) fn field(field: &FieldSchema, value: &Value, judge: &mut dyn Judge) -> Result<(), Value> {
    let own = |text: String| Value::String(field.error.map_or(text, str::to_owned));
    if value.is_null() {
        return match null(field) {
            Err(None) => Err(REQUIRED.into()),
            Err(Some(text)) => Err(own(text)),
            Ok(()) => Ok(()),
        };
    }
    if field.equal == Some(Value::Null) {
        return Err(own("value must be null".to_owned()));
    }
    if field.sealed && value == REDACTED {
        return Err(PLACEHOLDER.into());
    }
    if field.referenceable && is_reference(value) {
        return Ok(());
    }
    contents(field, value, judge)?;
    for constraint in &field.constraints {
        constraint::check(constraint, value, judge).map_err(own)?;
    }
    Ok(())
}

/// What is wrong with null here: nothing, that the field is required (`None`), or a text that `err` may replace.
fn null(field: &FieldSchema) -> Result<(), Option<String>> {
    match (&field.unequal, &field.equal) {
        (Some(Value::Null), _) => Err(Some("value must not be null".to_owned())),
        (_, Some(expected)) if !expected.is_null() => Err(Some(format!("value must be {}", shown(expected)))),
        _ if field.required => Err(None),
        _ => Ok(()),
    }
}

fn contents(field: &FieldSchema, value: &Value, judge: &mut dyn Judge) -> Result<(), Value> {
    match (&field.value_type, value) {
        (ValueType::String, Value::String(_))
        | (ValueType::Number, Value::Number(_))
        | (ValueType::Boolean, Value::Bool(_))
        | (ValueType::Json, _) => Ok(()),
        (ValueType::Integer, Value::Number(number)) if is_integer(number) => Ok(()),
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(items)) => {
            list(elements, items, judge)
        }
        (ValueType::Map(keys, values), Value::Object(members)) => {
            members.iter().try_for_each(|(key, member)| {
                self::field(keys, &Value::from(key.as_str()), judge)?;
                self::field(values, member, judge)
            })
        }
        // In Lua a list is a table with the keys 1, 2, …
        (ValueType::Map(keys, _), Value::Array(items)) if !items.is_empty() => {
            self::field(keys, &Value::from(1), judge)
        }
        (ValueType::Record(inner), Value::Object(members)) => {
            let errors = record(inner, members, false, judge);
            if errors.is_empty() {
                Ok(())
            } else {
                Err(Value::Object(errors))
            }
        }
        (ValueType::Foreign(reference), value) => foreign(*reference, value, judge),
        (expected, _) => Err(Value::from(match expected {
            ValueType::String => "expected a string",
            ValueType::Number => "expected a number",
            ValueType::Integer => "expected an integer",
            ValueType::Boolean => "expected a boolean",
            ValueType::Array(_) => "expected an array",
            ValueType::Set(_) => "expected a set",
            ValueType::Map(..) => "expected a map",
            _ => "expected a record",
        })),
    }
}

fn is_integer(number: &serde_json::Number) -> bool {
    !number.is_f64()
        || number
            .as_f64()
            .is_some_and(|float| float.is_finite() && float.fract() == 0.0)
}

/// Errors stand where their elements do; the last one ends the list. After [`MOST_ERRORS`] nothing further is looked at.
fn list(elements: &FieldSchema, items: &[Value], judge: &mut dyn Judge) -> Result<(), Value> {
    let mut errors = Vec::new();
    let mut found = 0;
    for (index, item) in items.iter().enumerate() {
        if let Err(error) = field(elements, item, judge) {
            errors.resize(index, Value::Null);
            errors.push(error);
            found += 1;
        }
        if found == MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Value::Array(errors))
    }
}

/// `{"id": uuid}`. Anything else is explained with the other kind's own fields where they are wrong.
fn foreign(reference: Reference, value: &Value, judge: &mut dyn Judge) -> Result<(), Value> {
    let id = value.as_object().and_then(|members| members.get("id"));
    let error = match id {
        Some(Value::String(id)) if is_uuid(id) => return Ok(()),
        None => "missing primary key",
        Some(Value::Null) => REQUIRED,
        Some(Value::String(_)) => "expected a valid UUID",
        Some(_) => "expected a string",
    };
    let mut errors = match (reference.kind, value) {
        (Some(kind), Value::Object(members)) => {
            let given = members.iter().filter(|(name, _)| *name != "id");
            fields(&kind.schema().record, &given.map(owned).collect(), judge)
        }
        _ => Map::new(),
    };
    if errors.is_empty() || id.is_some() {
        insert(&mut errors, "id", error.into());
    }
    Err(Value::Object(errors))
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// `{vault://…}`, which the gateway resolves.
pub(super) fn is_reference(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.starts_with("{vault://") && text.ends_with('}'))
}

/// A value as Kong's messages print it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether Kong would call the value empty: null, `""`, `[]`, `{}` (README §7).
pub(super) fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.is_empty(),
        Some(_) => false,
    }
}
