//! Shorthand fields: input that is rewritten into other fields before filling (README §5).

use serde_json::{Map, Value};

use super::custom::Judge;
use super::definition::{FieldSchema, Path, RecordSchema, Shorthand, ShorthandEffect, ValueType};
use super::validate;

/// Rewrites the shorthands in `input`, this record's and those of records below.
///
/// The errors of the first record that has any are the whole answer, without the record's own name, as in Kong.
pub(super) fn expand(
    record: &RecordSchema,
    input: &mut Map<String, Value>,
    judge: &mut dyn Judge,
) -> Result<(), Map<String, Value>> {
    if !record.shorthands_within {
        return Ok(());
    }
    let mut errors = Map::new();
    for shorthand in &record.shorthands {
        if let Some(given) = input.get(shorthand.field.name).cloned()
            && let Err(error) = apply(shorthand, given, input, judge)
        {
            errors.insert(shorthand.field.name.to_owned(), error);
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for field in &record.fields {
        if let ValueType::Record(inner) = &field.value_type
            && let Some(Value::Object(below)) = input.get_mut(field.name)
        {
            expand(inner, below, judge)?;
        }
    }
    Ok(())
}

/// Runs again, over a filled body, the shorthands that share their name with a field: what readers see (README §5.4).
pub(super) fn settle(record: &RecordSchema, body: &mut Map<String, Value>) {
    for shorthand in &record.shorthands {
        let ShorthandEffect::Rewritten(rule) = shorthand.effect else {
            continue;
        };
        if record.field(shorthand.field.name).is_none() {
            continue;
        }
        for (name, value) in rule(body.get(shorthand.field.name).unwrap_or(&Value::Null)) {
            body.insert(name.to_owned(), value);
        }
    }
}

fn apply(
    shorthand: &Shorthand,
    given: Value,
    input: &mut Map<String, Value>,
    judge: &mut dyn Judge,
) -> Result<(), Value> {
    validate::field(&shorthand.field, &given, judge)?;
    match &shorthand.effect {
        ShorthandEffect::Moved(places) => {
            for place in places {
                no_mismatch(shorthand.field.name, &given, place, input)?;
            }
            input.swap_remove(shorthand.field.name);
            for place in places {
                place_if_unset(input, place, &given);
            }
        }
        ShorthandEffect::Rewritten(rule) => {
            input.swap_remove(shorthand.field.name);
            for (name, value) in rule(&given) {
                if shorthand.deprecated {
                    place_if_unset(input, &[name], &value);
                } else {
                    input.insert(name.to_owned(), value);
                }
            }
        }
    }
    Ok(())
}

fn no_mismatch(name: &str, given: &Value, place: &Path, input: &Map<String, Value>) -> Result<(), Value> {
    match value_at(input, place) {
        Some(new) if !new.is_null() && !given.is_null() && new != given => Err(Value::String(format!(
            "both deprecated and new field are used but their values mismatch: {name} = {} vs {} = {}",
            validate::shown(given),
            place.join("."),
            validate::shown(new),
        ))),
        _ => Ok(()),
    }
}

/// The user's own value in the new place wins, unless it is null.
fn place_if_unset(input: &mut Map<String, Value>, place: &[&str], value: &Value) {
    let Some((first, rest)) = place.split_first() else {
        return;
    };
    let slot = input.entry(*first).or_insert(Value::Null);
    if rest.is_empty() {
        if slot.is_null() {
            *slot = value.clone();
        }
        return;
    }
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(below) = slot {
        place_if_unset(below, rest, value);
    }
}

/// The value at a dotted field; walking through anything but an object finds nothing.
pub(super) fn value_at<'a>(body: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(body.get(*first)?, |value, name| value.as_object()?.get(*name))
}

/// Whether [`mirror`] adds anything to bodies of this record.
pub(super) fn mirrors(record: &RecordSchema) -> bool {
    let moved = |shorthand: &Shorthand| matches!(shorthand.effect, ShorthandEffect::Moved(_));
    let below = |field: &FieldSchema| match &field.value_type {
        ValueType::Record(inner) => mirrors(inner),
        _ => false,
    };
    record.shorthands_within && (record.shorthands.iter().any(moved) || record.fields.iter().any(below))
}

/// Adds the deprecated places of moved fields, as readers see them (README §4, "Select").
pub(super) fn mirror(record: &RecordSchema, body: &mut Map<String, Value>) {
    if !record.shorthands_within {
        return;
    }
    for shorthand in &record.shorthands {
        if let ShorthandEffect::Moved(places) = &shorthand.effect {
            let current = places.first().and_then(|place| value_at(body, place)).cloned();
            body.insert(shorthand.field.name.to_owned(), current.unwrap_or(Value::Null));
        }
    }
    for field in &record.fields {
        if let ValueType::Record(inner) = &field.value_type
            && let Some(Value::Object(below)) = body.get_mut(field.name)
        {
            mirror(inner, below);
        }
    }
}
