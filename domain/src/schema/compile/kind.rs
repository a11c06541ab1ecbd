//! One kind: its addresses, keys and references, and its record with every subschema merged in.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::super::catalogue::{ForeignKey, KindSchema, OnDelete, PluginFacts, Subschema, UniqueRule, seals};
use super::super::embedded::PLUGIN_KIND;
use super::{Fault, Names, check, field, flag, keep, kept, list, named, text};

/// Compiles a kind's document; `plugins` are the subschemas of [`PLUGIN_KIND`].
pub(super) fn compile(document: Value, plugins: &[Value], names: &Names) -> Result<KindSchema, Fault> {
    let name = kept(&document, "name").ok_or("no name")?;
    let record = field::record(&document, names)?;
    let subschemas = subschemas(name, &document, plugins, names)?;
    let collection = kept(&document, "admin_api_name").unwrap_or(name);
    let foreign_keys = foreign_keys(&document, names)?;
    let served = document.get("generate_admin_api") != Some(&Value::Bool(false));
    let may_seal = seals(&record) || subschemas.values().any(|subschema| seals(&subschema.record));
    Ok(KindSchema {
        name,
        collection,
        nested_collection: kept(&document, "admin_api_nested_name").unwrap_or(collection),
        endpoint_key: kept(&document, "endpoint_key"),
        unique: unique(&document)?,
        ttl: flag(&document, "ttl"),
        tagged: record.field("tags").is_some(),
        exported: document.get("db_export") != Some(&Value::Bool(false)),
        configuration: served || flag(&document, "x_configuration"),
        served,
        owned: record.fields.iter().any(|field| field.personal || field.owner),
        may_seal,
        foreign_keys,
        subschema_key: kept(&document, "subschema_key"),
        subschema_error: kept(&document, "subschema_error"),
        transformations: check::transformations(&document)?,
        record,
        subschemas,
        document: public_document(&document),
    })
}

fn unique(document: &Value) -> Result<Vec<UniqueRule>, Fault> {
    let mut rules = Vec::new();
    for entry in list(document, "unique_fields") {
        let field = kept(entry, "field").ok_or("a unique field without name")?;
        rules.push(UniqueRule {
            fields: vec![field],
            composite: false,
        });
    }
    let cache_key: Vec<_> = list(document, "cache_key")
        .iter()
        .filter_map(Value::as_str)
        .map(keep)
        .collect();
    if cache_key.len() > 1 {
        rules.push(UniqueRule {
            fields: cache_key,
            composite: true,
        });
    }
    Ok(rules)
}

fn foreign_keys(document: &Value, names: &Names) -> Result<Vec<ForeignKey>, Fault> {
    list(document, "foreign_keys")
        .iter()
        .map(|entry| {
            let reference = kept(entry, "reference").ok_or("a foreign key without reference")?;
            Ok(ForeignKey {
                field: kept(entry, "field").ok_or("a foreign key without field")?,
                reference,
                kind: names.kind(reference),
                required: flag(entry, "required"),
                on_delete: match text(entry, "on_delete") {
                    Some("cascade") => OnDelete::Cascade,
                    _ => OnDelete::Restrict,
                },
            })
        })
        .collect()
}

fn subschemas(
    name: &str,
    document: &Value,
    plugins: &[Value],
    names: &Names,
) -> Result<HashMap<&'static str, Subschema>, Fault> {
    let mut compiled = HashMap::new();
    if name == PLUGIN_KIND {
        for plugin in plugins {
            let key = kept(plugin, "name").ok_or("a plugin without name")?;
            let subschema =
                subschema(document, plugin, names).map_err(|fault| format!("plugin {key}: {fault}"))?;
            compiled.insert(key, subschema);
        }
    }
    let Some(own) = document.get("subschemas").and_then(Value::as_object) else {
        return Ok(compiled);
    };
    // Several values of the key may share one subschema (`by_protocol`); without that map a value is its name.
    let aliases: Vec<(&str, &str)> = match own.get("by_protocol").and_then(Value::as_object) {
        Some(aliases) => aliases
            .iter()
            .filter_map(|(key, target)| Some((key.as_str(), target.as_str()?)))
            .collect(),
        None => own.keys().map(|key| (key.as_str(), key.as_str())).collect(),
    };
    for (key, target) in aliases {
        let definition = own.get(target).ok_or_else(|| format!("no subschema {target}"))?;
        compiled.insert(keep(key), subschema(document, definition, names)?);
    }
    Ok(compiled)
}

/// The parent's record with the subschema's fields in place of those of the same name, and both one's checks.
pub(super) fn subschema(parent: &Value, definition: &Value, names: &Names) -> Result<Subschema, Fault> {
    let mut fields = list(parent, "fields").to_vec();
    for entry in list(definition, "fields") {
        let (name, _) = named(entry)?;
        let place = fields.iter_mut().find(|field| field.get(name).is_some());
        *place.ok_or_else(|| format!("{name} isn't a field of the parent"))? = entry.clone();
    }
    if is_null_only(&fields, "consumer") {
        make_null_only(&mut fields, "consumer_group");
    }
    let both = |member: &str| -> Vec<Value> { [list(parent, member), list(definition, member)].concat() };
    let merged = json!({
        "fields": fields,
        "entity_checks": both("entity_checks"),
        "shorthand_fields": both("shorthand_fields"),
    });
    Ok(Subschema {
        record: field::record(&merged, names)?,
        document: public_document(definition),
        facts: PluginFacts {
            priority: definition.get("priority").and_then(Value::as_i64).unwrap_or(0),
            version: kept(definition, "handler_version").unwrap_or(""),
        },
    })
}

/// What `GET /schemas/…` shows: `fields` and `entity_checks`, without functions and our own marks.
fn public_document(document: &Value) -> Value {
    let mut shown = Map::new();
    for member in ["fields", "entity_checks"] {
        shown.insert(member.to_owned(), public(&Value::from(list(document, member))));
    }
    Value::Object(shown)
}

fn public(value: &Value) -> Value {
    const FUNCTIONS: [&str; 3] = ["custom_validator", "fn", "func"];
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(name, member)| !name.starts_with("x_") && !is_function(&FUNCTIONS, name, member))
            .map(|(name, member)| (name.clone(), public(member)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items
            .iter()
            .filter(|item| !is_omitted_when_unset(item))
            .map(public)
            .collect(),
        plain => plain.clone(),
    }
}

/// A field that Kong's open-source schemas don't have.
fn is_omitted_when_unset(entry: &Value) -> bool {
    named(entry).is_ok_and(|(_, definition)| flag(definition, "x_omitted_when_unset"))
}

/// Whether only null is accepted in a field.
fn is_null_only(fields: &[Value], name: &str) -> bool {
    fields
        .iter()
        .any(|field| field.get(name).and_then(|definition| definition.get("eq")) == Some(&Value::Null))
}

/// A plugin that can't stand on a consumer can't stand on a group of them either.
fn make_null_only(fields: &mut [Value], name: &str) {
    let definitions = fields
        .iter_mut()
        .filter_map(|field| field.get_mut(name)?.as_object_mut());
    for definition in definitions {
        definition.insert("eq".to_owned(), Value::Null);
    }
}

/// A function's id is text; a field of that name would be an object.
fn is_function(functions: &[&str], name: &str, member: &Value) -> bool {
    functions.contains(&name) && member.is_string()
}
