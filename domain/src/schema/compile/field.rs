//! Fields, shorthands and records.

use serde_json::Value;

use super::super::choices::Choices;
use super::super::definition::{
    Auto, Constraint, FieldSchema, RecordSchema, Reference, Shorthand, ShorthandEffect, ValueType,
};
use super::super::pattern::Pattern;
use super::super::rules;
use super::{Fault, Names, check, flag, keep, kept, list, named, text};

/// Length of a generated string, as Kong's (README §4).
const RANDOM_STRING: usize = 32;
/// Length of a generated default secret (`session.config.secret`).
const RANDOM_SECRET: usize = 44;

/// Compiles the `fields`, `shorthand_fields` and `entity_checks` of an entity or a record.
pub(super) fn record(document: &Value, names: &Names) -> Result<RecordSchema, Fault> {
    let fields = list(document, "fields")
        .iter()
        .map(|entry| {
            let (name, definition) = self::named(entry)?;
            field(name, definition, names)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let shorthands = list(document, "shorthand_fields")
        .iter()
        .map(|entry| shorthand(entry, names))
        .collect::<Result<Vec<_>, _>>()?;
    let within = fields
        .iter()
        .any(|field| matches!(&field.value_type, ValueType::Record(record) if record.shorthands_within));
    // Of fields of the same name the first one counts.
    let places = fields.iter().enumerate().rev();
    Ok(RecordSchema {
        places: places.map(|(place, field)| (field.name, place)).collect(),
        shorthands_within: within || !shorthands.is_empty(),
        checks: check::all(document, names)?,
        fields,
        shorthands,
    })
}

/// Compiles one field definition.
pub(super) fn field(name: &str, definition: &Value, names: &Names) -> Result<FieldSchema, Fault> {
    let at = |fault| format!("{name}: {fault}");
    let value_type = value_type(definition, names).map_err(at)?;
    Ok(FieldSchema {
        name: keep(name),
        required: flag(definition, "required"),
        default: definition
            .get("default")
            .filter(|default| !default.is_null())
            .cloned(),
        unique: flag(definition, "unique"),
        referenceable: flag(definition, "referenceable"),
        sealed: flag(definition, "encrypted") || flag(definition, "x_sealed"),
        personal: flag(definition, "x_personal"),
        owner: flag(definition, "x_owner"),
        lists: text(definition, "x_lists").and_then(|name| names.kind(name)),
        transient: flag(definition, "transient"),
        omitted_when_unset: flag(definition, "x_omitted_when_unset"),
        auto: auto(name, definition),
        uuid: flag(definition, "uuid"),
        equal: definition.get("eq").cloned(),
        unequal: definition.get("ne").cloned(),
        constraints: constraints(definition, &value_type, names).map_err(at)?,
        error: kept(definition, "err"),
        value_type,
    })
}

fn value_type(definition: &Value, names: &Names) -> Result<ValueType, Fault> {
    let element = |member: &str| -> Result<Box<FieldSchema>, Fault> {
        let inner = definition.get(member).ok_or_else(|| format!("no {member}"))?;
        let mut element = field("", inner, names)?;
        // A null element is refused even where the file doesn't say so (README §2).
        element.required = true;
        Ok(Box::new(element))
    };
    Ok(match text(definition, "type") {
        Some("string") => ValueType::String,
        Some("number") => ValueType::Number,
        Some("integer") => ValueType::Integer,
        Some("boolean") => ValueType::Boolean,
        Some("array") => ValueType::Array(element("elements")?),
        Some("set") => ValueType::Set(element("elements")?),
        Some("map") => ValueType::Map(element("keys")?, element("values")?),
        Some("record") => ValueType::Record(Box::new(record(definition, names)?)),
        Some("foreign") => {
            let name = kept(definition, "reference").ok_or("no reference")?;
            ValueType::Foreign(Reference {
                name,
                kind: names.kind(name),
            })
        }
        Some("json") => ValueType::Json,
        other => return Err(format!("type {other:?}")),
    })
}

fn auto(name: &str, definition: &Value) -> Option<Auto> {
    if definition.get("x_default_generator").is_some() {
        return Some(Auto::RandomDefault(RANDOM_SECRET));
    }
    if !flag(definition, "auto") {
        return None;
    }
    match name {
        "created_at" => Some(Auto::CreatedAt),
        "updated_at" => Some(Auto::UpdatedAt),
        _ if flag(definition, "uuid") => Some(Auto::Uuid),
        _ if text(definition, "type") == Some("string") => Some(Auto::RandomString(RANDOM_STRING)),
        _ => None,
    }
}

fn shorthand(entry: &Value, names: &Names) -> Result<Shorthand, Fault> {
    let (name, definition) = named(entry)?;
    let deprecation = definition.get("deprecation");
    let moved: Vec<_> = deprecation
        .map_or(&[][..], |deprecation| list(deprecation, "replaced_with"))
        .iter()
        .map(|place| {
            list(place, "path")
                .iter()
                .filter_map(Value::as_str)
                .map(keep)
                .collect()
        })
        .collect();
    let effect = if moved.is_empty() {
        let id = text(definition, "func").ok_or_else(|| format!("{name}: no function"))?;
        let rule = rules::shorthand(id).ok_or_else(|| format!("{name}: no function {id}"))?;
        ShorthandEffect::Rewritten(rule)
    } else {
        ShorthandEffect::Moved(moved)
    };
    Ok(Shorthand {
        field: field(name, definition, names)?,
        deprecated: deprecation.is_some(),
        effect,
    })
}

/// The validators a definition names, in the order in which they run (README §3).
fn constraints(definition: &Value, value_type: &ValueType, names: &Names) -> Result<Vec<Constraint>, Fault> {
    let mut constraints = Vec::new();
    let values = |name: &str| definition.get(name).and_then(Value::as_array).cloned();
    let value = |name: &str| definition.get(name).filter(|value| !value.is_null()).cloned();
    let number = |name: &str| definition.get(name).and_then(Value::as_f64);
    let pattern = |name: &str| text(definition, name).map(Pattern::lua).transpose();
    constraints.extend(value("eq").map(Constraint::Equal));
    constraints.extend(value("ne").map(Constraint::Unequal));
    constraints.extend(values("not_one_of").map(|values| Constraint::NotOneOf(Choices::new(values))));
    constraints.extend(values("one_of").map(|values| Constraint::OneOf(Choices::new(values))));
    constraints.extend(number("gt").map(Constraint::GreaterThan));
    constraints.extend(flag(definition, "timestamp").then_some(Constraint::Timestamp));
    constraints.extend(flag(definition, "uuid").then_some(Constraint::Uuid));
    constraints.extend(flag(definition, "is_regex").then_some(Constraint::Regex));
    if let [low, high] = list(definition, "between") {
        let bound = |value: &Value| value.as_f64().ok_or("between isn't two numbers");
        constraints.push(Constraint::Between(bound(low)?, bound(high)?));
    }
    lengths(definition, value_type, &mut constraints);
    constraints.extend(kept(definition, "starts_with").map(Constraint::StartsWith));
    constraints.extend(pattern("not_match")?.map(Constraint::NotMatch));
    constraints.extend(patterns(list(definition, "match_none"))?.map(Constraint::MatchNone));
    constraints.extend(pattern("match")?.map(Constraint::Match));
    constraints.extend(patterns(list(definition, "match_all"))?.map(Constraint::MatchAll));
    if let Some(any) = definition.get("match_any") {
        let patterns: Result<_, _> = list(any, "patterns")
            .iter()
            .filter_map(Value::as_str)
            .map(Pattern::lua)
            .collect();
        constraints.push(Constraint::MatchAny(patterns?, kept(any, "err")));
    }
    constraints.extend(value("contains").map(Constraint::Contains));
    if let Some(id) = text(definition, "custom_validator") {
        constraints.push(match names.function(id) {
            Some(function) => Constraint::Function(function),
            None => Constraint::Rule(rules::field(id).ok_or_else(|| format!("no function {id}"))?),
        });
    }
    if let Some(subsets) = values("mutually_exclusive_subsets") {
        let subsets = subsets
            .into_iter()
            .map(|subset| Choices::new(subset.as_array().cloned().unwrap_or_default()));
        constraints.push(Constraint::ExclusiveSubsets(subsets.collect()));
    }
    Ok(constraints)
}

fn lengths(definition: &Value, value_type: &ValueType, constraints: &mut Vec<Constraint>) {
    let length = |name: &str| {
        definition
            .get(name)
            .and_then(Value::as_u64)
            .and_then(|length| usize::try_from(length).ok())
    };
    // An empty string is refused unless the file says otherwise (README §2).
    let implied = matches!(value_type, ValueType::String).then_some(1);
    constraints.extend(length("len_eq").map(Constraint::LengthEqual));
    constraints.extend(
        length("len_min")
            .or(implied)
            .filter(|length| *length > 0)
            .map(Constraint::LengthMin),
    );
    constraints.extend(length("len_max").map(Constraint::LengthMax));
}

fn patterns(entries: &[Value]) -> Result<Option<Vec<(Pattern, &'static str)>>, Fault> {
    let compiled = entries
        .iter()
        .map(|entry| {
            let pattern = text(entry, "pattern").ok_or("no pattern")?;
            Ok((
                Pattern::lua(pattern)?,
                kept(entry, "err").unwrap_or("invalid value"),
            ))
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok((!compiled.is_empty()).then_some(compiled))
}
