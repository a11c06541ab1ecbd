//! The validators of a single value, with Kong's texts (README §3).

use serde_json::Value;

use super::choices::Choices;
use super::custom::Judge;
use super::definition::Constraint;
use super::fill::is_uuid;
use super::rules::regular_expression;
use super::validate::shown;

/// Checks one validator of a value that has the right type.
pub(super) fn check(constraint: &Constraint, value: &Value, judge: &mut dyn Judge) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    let number = || value.as_f64().unwrap_or(f64::NAN);
    let refuse = |ok: bool, message: &dyn Fn() -> String| if ok { Ok(()) } else { Err(message()) };
    match constraint {
        Constraint::Equal(expected) => refuse(same(value, expected), &|| {
            format!("value must be {}", shown(expected))
        }),
        Constraint::Unequal(other) => refuse(!same(value, other), &|| {
            format!("value must not be {}", shown(other))
        }),
        Constraint::NotOneOf(others) => refuse(!others.contains(value), &|| {
            format!("must not be one of: {}", listed(others.listed()))
        }),
        Constraint::OneOf(choices) => refuse(choices.contains(value), &|| {
            format!("expected one of: {}", listed(choices.listed()))
        }),
        Constraint::GreaterThan(bound) => refuse(number() > *bound, &|| {
            format!("value must be greater than {bound}")
        }),
        Constraint::Timestamp => refuse(number() > 0.0, &|| "expected a valid timestamp".to_owned()),
        Constraint::Uuid => refuse(is_uuid(text), &|| "expected a valid UUID".to_owned()),
        Constraint::Regex => regex(text),
        Constraint::Between(low, high) => refuse((*low..=*high).contains(&number()), &|| {
            format!("value should be between {} and {}", low.trunc(), high.trunc())
        }),
        Constraint::LengthEqual(length) => refuse(length_of(value) == *length, &|| {
            format!("length must be {length}")
        }),
        Constraint::LengthMin(least) => refuse(length_of(value) >= *least, &|| {
            format!("length must be at least {least}")
        }),
        Constraint::LengthMax(most) => refuse(length_of(value) <= *most, &|| {
            format!("length must be at most {most}")
        }),
        Constraint::StartsWith(start) => {
            refuse(text.starts_with(start), &|| format!("should start with: {start}"))
        }
        Constraint::NotMatch(pattern) => refuse(!pattern.matches(text), &|| format!("invalid value: {text}")),
        Constraint::Match(pattern) => refuse(pattern.matches(text), &|| format!("invalid value: {text}")),
        Constraint::MatchNone(patterns) => first(patterns.iter().find(|(pattern, _)| pattern.matches(text))),
        Constraint::MatchAll(patterns) => first(patterns.iter().find(|(pattern, _)| !pattern.matches(text))),
        Constraint::MatchAny(patterns, error) => {
            refuse(patterns.iter().any(|pattern| pattern.matches(text)), &|| {
                error.map_or_else(|| format!("invalid value: {text}"), str::to_owned)
            })
        }
        Constraint::Contains(wanted) => {
            let found = value.as_array().is_some_and(|items| contains(items, wanted));
            refuse(found, &|| format!("expected to contain: {}", shown(wanted)))
        }
        Constraint::Rule(rule) => (rule.check)(value),
        Constraint::Function(function) => function.check(value.clone(), judge),
        Constraint::ExclusiveSubsets(subsets) => exclusive(subsets, value),
    }
}

/// Whether the text compiles as PCRE.
pub(super) fn regex(text: &str) -> Result<(), String> {
    regular_expression::pcre(text).map_err(|error| format!("not a valid regex: {text} ({error})"))
}

fn first<Pattern>(offended: Option<&(Pattern, &'static str)>) -> Result<(), String> {
    offended.map_or(Ok(()), |(_, error)| Err((*error).to_owned()))
}

/// Equality as in Lua, where 1 and 1.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

fn contains(values: &[Value], value: &Value) -> bool {
    values.iter().any(|candidate| same(candidate, value))
}

fn listed(values: &[Value]) -> String {
    values.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Bytes of a string, elements of a list, entries of a map.
fn length_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len(),
        Value::Object(members) => members.len(),
        _ => 0,
    }
}

fn exclusive(subsets: &[Choices], value: &Value) -> Result<(), String> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let given = Choices::new(items.to_vec());
    let touched: Vec<_> = subsets
        .iter()
        .filter(|subset| subset.listed().iter().any(|member| given.contains(member)))
        .collect();
    if touched.len() < 2 {
        return Ok(());
    }
    let named: Vec<String> = touched
        .into_iter()
        .map(|subset| {
            let members: Vec<_> = subset
                .listed()
                .iter()
                .map(|member| format!("'{}'", shown(member)))
                .collect();
            format!("({})", members.join(", "))
        })
        .collect();
    Err(format!("these sets are mutually exclusive: {}", named.join(", ")))
}
