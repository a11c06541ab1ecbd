//! Checks over several fields of a body; their texts go to `"@entity"` (README §7).

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::custom::Judge;
use super::definition::{
    CheckRule, Conditional, ConditionalAtLeastOneOf, CustomCheck, EntityCheck, FieldList, FieldSchema, Path,
};
use super::shorthand::value_at;
use super::validate::{self, is_empty, is_reference};
use super::violation::{put, put_entity};

type Errors = Map<String, Value>;

/// Runs one check and adds what it finds.
pub(super) fn run(
    check: &EntityCheck,
    body: &Map<String, Value>,
    updating: bool,
    errors: &mut Errors,
    judge: &mut dyn Judge,
) {
    let by_reference = |path: &Path| value_at(body, path).is_some_and(is_reference);
    if check.referenceable.iter().any(by_reference) {
        return;
    }
    match &check.rule {
        CheckRule::AtLeastOneOf(list) => at_least_one(list, body, updating, errors),
        CheckRule::OnlyOneOf(list) => {
            if set(list, body) != 1 {
                put_entity(
                    errors,
                    format!("exactly one of these fields must be non-empty: {}", list.quoted),
                );
            }
        }
        CheckRule::MutuallyRequired(list) => {
            let count = set(list, body);
            if !failed(&list.paths, errors) && count != 0 && count != list.paths.len() {
                put_entity(
                    errors,
                    format!("all or none of these fields must be set: {}", list.quoted),
                );
            }
        }
        CheckRule::MutuallyExclusive(list) => {
            if !failed(&list.paths, errors) && set(list, body) > 1 {
                put_entity(
                    errors,
                    format!("only one or none of these fields must be set: {}", list.quoted),
                );
            }
        }
        CheckRule::Distinct(list) => distinct(list, body, errors),
        CheckRule::Conditional(check) => conditional(check, body, errors, judge),
        CheckRule::ConditionalAtLeastOneOf(check) => conditional_at_least_one(check, body, errors, judge),
        CheckRule::Custom {
            sources,
            even_if_invalid,
            rule,
        } => {
            if *even_if_invalid || !failed(sources, errors) {
                let judged = match rule {
                    CustomCheck::Rule(rule) => rule(body),
                    CustomCheck::Function(function) => function.check_body(body, judge),
                };
                if let Err(text) = judged {
                    put_entity(errors, text);
                }
            }
        }
    }
}

/// Whether a top-level field among these has an error already.
fn failed(paths: &[Path], errors: &Errors) -> bool {
    !errors.is_empty()
        && paths
            .iter()
            .any(|path| matches!(path.as_slice(), [name] if errors.contains_key(*name)))
}

fn set(list: &FieldList, body: &Map<String, Value>) -> usize {
    list.paths
        .iter()
        .filter(|path| !is_empty(value_at(body, path)))
        .count()
}

fn at_least_one(list: &FieldList, body: &Map<String, Value>, updating: bool, errors: &mut Errors) {
    if set(list, body) == 0 {
        let prefix = if updating { "when updating, " } else { "" };
        let text = format!(
            "{prefix}at least one of these fields must be non-empty: {}",
            list.quoted
        );
        put_entity(errors, text);
    }
}

fn distinct(list: &FieldList, body: &Map<String, Value>, errors: &mut Errors) {
    let mut seen = HashSet::with_capacity(list.paths.len());
    let mut values = list
        .paths
        .iter()
        .filter_map(|path| value_at(body, path))
        .filter(|value| !is_empty(Some(value)));
    if values.any(|value| !seen.insert(value)) {
        put_entity(
            errors,
            format!("values of these fields must be distinct: {}", list.quoted),
        );
    }
}

fn conditional(check: &Conditional, body: &Map<String, Value>, errors: &mut Errors, judge: &mut dyn Judge) {
    if !matches(&check.if_field, value_at(body, &check.if_path), judge) {
        return;
    }
    let then = value_at(body, &check.then_path).unwrap_or(&Value::Null);
    if let Err(error) = validate::field(&check.then_field, then, judge) {
        put(errors, &check.then_path, error);
        let text = check.then_error.map_or_else(
            || {
                format!(
                    "failed conditional validation given value of field '{}'",
                    check.if_name
                )
            },
            str::to_owned,
        );
        put_entity(errors, text);
    }
}

fn conditional_at_least_one(
    check: &ConditionalAtLeastOneOf,
    body: &Map<String, Value>,
    errors: &mut Errors,
    judge: &mut dyn Judge,
) {
    let value = value_at(body, &check.if_path);
    let branches = std::iter::once(&check.then).chain(&check.otherwise);
    let Some((_, list, error)) = branches
        .into_iter()
        .find(|(field, ..)| matches(field, value, judge))
    else {
        return;
    };
    if set(list, body) == 0 {
        let text = match error {
            Some(template) => template.replacen("%s", &list.quoted, 1),
            None => format!("at least one of these fields must be non-empty: {}", list.quoted),
        };
        put_entity(errors, text);
    }
}

/// A field that is null or absent matches everything but a required value and a non-null `eq`.
fn matches(field: &FieldSchema, value: Option<&Value>, judge: &mut dyn Judge) -> bool {
    validate::field(field, value.unwrap_or(&Value::Null), judge).is_ok()
}
