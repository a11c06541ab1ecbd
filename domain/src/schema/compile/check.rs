//! Entity checks, and transformations.

use serde_json::Value;

use super::super::definition::{
    CheckRule, Conditional, ConditionalAtLeastOneOf, CustomCheck, EntityCheck, FieldList, FieldSchema, Path,
    Transformation,
};
use super::super::rules;
use super::{Fault, Names, field, flag, keep, kept, list, named, raw_field, text};

/// Compiles the `entity_checks` of an entity or a record.
pub(super) fn all(record: &Value, names: &Names) -> Result<Vec<EntityCheck>, Fault> {
    list(record, "entity_checks")
        .iter()
        .map(|entry| {
            let (name, argument) = named(entry)?;
            let rule = rule(name, argument, record, names).map_err(|fault| format!("{name}: {fault}"))?;
            let referenceable = referenceable(&rule, record);
            Ok(EntityCheck { rule, referenceable })
        })
        .collect()
}

/// Compiles the `transformations` of an entity.
pub(super) fn transformations(document: &Value) -> Result<Vec<Transformation>, Fault> {
    list(document, "transformations")
        .iter()
        .map(|entry| {
            let id = text(entry, "on_write").ok_or("a transformation without function")?;
            let rule = rules::transformation(id).ok_or_else(|| format!("no function {id}"))?;
            let [inputs, needs] = ["input", "needs"].map(|member| list(entry, member));
            Ok(Transformation {
                inputs: field_list(inputs).paths,
                needs: field_list(needs).paths,
                quoted: field_list(&[inputs, needs].concat()).quoted,
                rule,
            })
        })
        .collect()
}

fn rule(name: &str, argument: &Value, record: &Value, names: &Names) -> Result<CheckRule, Fault> {
    Ok(match name {
        "at_least_one_of" => CheckRule::AtLeastOneOf(field_list(list_of(argument))),
        "only_one_of" => CheckRule::OnlyOneOf(field_list(list_of(argument))),
        "mutually_required" => CheckRule::MutuallyRequired(field_list(list_of(argument))),
        "mutually_exclusive" => CheckRule::MutuallyExclusive(field_list(list_of(argument))),
        "distinct" => CheckRule::Distinct(field_list(list_of(argument))),
        "conditional" => CheckRule::Conditional(Box::new(conditional(argument, record, names)?)),
        "conditional_at_least_one_of" => {
            CheckRule::ConditionalAtLeastOneOf(Box::new(conditional_list(argument, record, names)?))
        }
        "custom_entity_check" => {
            let id = text(argument, "fn").ok_or("no function")?;
            CheckRule::Custom {
                sources: field_list(list(argument, "field_sources")).paths,
                even_if_invalid: flag(argument, "run_with_invalid_fields"),
                rule: match names.function(id) {
                    Some(function) => CustomCheck::Function(function),
                    None => CustomCheck::Rule(rules::entity(id).ok_or_else(|| format!("no function {id}"))?),
                },
            }
        }
        _ => return Err("unknown entity check".to_owned()),
    })
}

fn conditional(argument: &Value, record: &Value, names: &Names) -> Result<Conditional, Fault> {
    let if_name = kept(argument, "if_field").ok_or("no if_field")?;
    let then_name = kept(argument, "then_field").ok_or("no then_field")?;
    Ok(Conditional {
        if_path: path(if_name),
        if_name,
        if_field: overlaid(record, if_name, argument, "if_match", names)?,
        then_path: path(then_name),
        then_field: overlaid(record, then_name, argument, "then_match", names)?,
        then_error: kept(argument, "then_err"),
    })
}

fn conditional_list(
    argument: &Value,
    record: &Value,
    names: &Names,
) -> Result<ConditionalAtLeastOneOf, Fault> {
    let if_name = text(argument, "if_field").ok_or("no if_field")?;
    let branch = |matching: &str, fields: &str, error: &str| -> Result<_, Fault> {
        Ok((
            overlaid(record, if_name, argument, matching, names)?,
            field_list(list(argument, fields)),
            kept(argument, error),
        ))
    };
    let otherwise = argument
        .get("else_match")
        .map(|_| branch("else_match", "else_then_at_least_one_of", "else_then_err"))
        .transpose()?;
    Ok(ConditionalAtLeastOneOf {
        if_path: path(if_name),
        then: branch("if_match", "then_at_least_one_of", "then_err")?,
        otherwise,
    })
}

/// The definition of a field with the attributes of a match on top, so that the whole field is checked (README §7).
fn overlaid(
    record: &Value,
    name: &str,
    argument: &Value,
    matching: &str,
    names: &Names,
) -> Result<FieldSchema, Fault> {
    let mut definition = raw_field(record, name)?.clone();
    let attributes = argument
        .get(matching)
        .and_then(Value::as_object)
        .ok_or_else(|| format!("no {matching}"))?;
    for (attribute, value) in attributes {
        definition[attribute] = value.clone();
    }
    field::field(name, &definition, names)
}

fn referenceable(rule: &CheckRule, record: &Value) -> Vec<Path> {
    let paths: Vec<&Path> = match rule {
        CheckRule::AtLeastOneOf(list)
        | CheckRule::OnlyOneOf(list)
        | CheckRule::MutuallyRequired(list)
        | CheckRule::MutuallyExclusive(list)
        | CheckRule::Distinct(list) => list.paths.iter().collect(),
        CheckRule::Conditional(check) => vec![&check.if_path, &check.then_path],
        CheckRule::ConditionalAtLeastOneOf(check) => {
            let otherwise = check.otherwise.iter().flat_map(|branch| &branch.1.paths);
            check.then.1.paths.iter().chain(otherwise).collect()
        }
        CheckRule::Custom { sources, .. } => sources.iter().collect(),
    };
    let accepts_references = |path: &&Path| {
        raw_field(record, &path.join(".")).is_ok_and(|definition| flag(definition, "referenceable"))
    };
    paths.into_iter().filter(accepts_references).cloned().collect()
}

fn list_of(argument: &Value) -> &[Value] {
    argument.as_array().map_or(&[], Vec::as_slice)
}

fn field_list(names: &[Value]) -> FieldList {
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    FieldList {
        paths: names.iter().map(|name| path(name)).collect(),
        quoted: names
            .iter()
            .map(|name| format!("'{name}'"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

fn path(name: &str) -> Path {
    name.split('.').map(keep).collect()
}
