//! What a `schema.lua` says, as the same kind of document that the catalogue's files are.

use std::sync::Arc;

use serde_json::Value;

use super::super::catalogue::Kind;
use super::super::compile;

/// The longest text of a schema, in bytes.
const LONGEST: usize = 128 * 1024;
/// The longest name of a plugin, in bytes.
const LONGEST_NAME: usize = 128;

/// What a field's definition may say.
const ATTRIBUTES: [&str; 45] = [
    "abstract",
    "auto",
    "between",
    "contains",
    "custom_validator",
    "default",
    "deprecation",
    "description",
    "elements",
    "encrypted",
    "entity_checks",
    "eq",
    "err",
    "fields",
    "gt",
    "immutable",
    "indexed",
    "is_regex",
    "keys",
    "legacy",
    "len_eq",
    "len_max",
    "len_min",
    "match",
    "match_all",
    "match_any",
    "match_none",
    "mutually_exclusive_subsets",
    "ne",
    "not_match",
    "not_one_of",
    "on_delete",
    "one_of",
    "reference",
    "referenceable",
    "required",
    "shorthand_fields",
    "starts_with",
    "timestamp",
    "transient",
    "type",
    "unique",
    "unique_across_ws",
    "uuid",
    "values",
];

/// A plugin that somebody has written, described by its own schema.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginDefinition {
    /// The plugin's name, as the schema says it.
    pub name: String,
    /// The schema as data; functions are named by their place.
    pub document: Value,
}

/// Why a text isn't a plugin's schema: where, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnusableSchema(pub(super) String);

impl UnusableSchema {
    /// Why it isn't one.
    pub(crate) const fn new(why: String) -> Self {
        Self(why)
    }
}

impl PluginDefinition {
    /// Refuses a text that is too long to be evaluated.
    pub(crate) fn check_length(source: &str) -> Result<(), UnusableSchema> {
        match source.len() > LONGEST {
            true => Err(UnusableSchema(format!(
                "the schema has {} bytes; at most {LONGEST} are accepted",
                source.len()
            ))),
            false => Ok(()),
        }
    }

    /// Checks that what a text was evaluated to describes a plugin. Nothing is believed of the document: who evaluated it ran a
    /// stranger's code.
    pub fn checked(source: &str, document: Value) -> Result<Self, UnusableSchema> {
        let name = checked_name(&document).map_err(UnusableSchema)?;
        check_fields(&document, "").map_err(UnusableSchema)?;
        compile::custom_plugin(&document, &Arc::from(source)).map_err(UnusableSchema)?;
        Ok(Self { name, document })
    }
}

fn checked_name(document: &Value) -> Result<String, String> {
    let name = document.get("name").and_then(Value::as_str).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
        return Err("name: must be the plugin's name: lower-case letters, digits, `-` and `_`".to_owned());
    }
    let plugins = Kind::named("plugins").ok_or("there are no plugins")?;
    if plugins.schema().subschema_names().any(|bundled| bundled == name) {
        return Err(format!(
            "name: '{name}' is a plugin that Kong brings along; give yours another name"
        ));
    }
    Ok(name.to_owned())
}

/// Every field's definition says only what is known, so that a slip of the pen isn't taken for no rule.
fn check_fields(record: &Value, place: &str) -> Result<(), String> {
    let fields = record.get("fields").and_then(Value::as_array);
    let fields = fields.ok_or_else(|| format!("{place}/fields: must be a list of one-field tables"))?;
    for entry in fields {
        let members = entry.as_object().filter(|members| members.len() == 1);
        let members =
            members.ok_or_else(|| format!("{place}/fields: each entry must be a table with one field"))?;
        for (name, definition) in members {
            check_definition(definition, &format!("{place}/{name}"))?;
        }
    }
    Ok(())
}

fn check_definition(definition: &Value, place: &str) -> Result<(), String> {
    let members = definition
        .as_object()
        .ok_or_else(|| format!("{place}: must be a table with `type`"))?;
    if let Some(unknown) = members.keys().find(|name| !ATTRIBUTES.contains(&name.as_str())) {
        return Err(format!("{place}: unknown attribute '{unknown}'"));
    }
    for below in ["elements", "keys", "values"] {
        if let Some(definition) = members.get(below) {
            check_definition(definition, &format!("{place}/{below}"))?;
        }
    }
    match members.contains_key("fields") {
        true => check_fields(definition, place),
        false => Ok(()),
    }
}
