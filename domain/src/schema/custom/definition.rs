//! From the text of a `schema.lua` to the same kind of document that the catalogue's files are.

use std::sync::Arc;

use mlua::{Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

use super::super::catalogue::Kind;
use super::super::compile;
use super::function::{first_line, id_at};
use super::sandbox;

/// The deepest nesting and the most values of a definition.
const DEPTH: usize = 40;
const VALUES: usize = 20_000;
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

/// Evaluates the text of a `schema.lua` and checks that it describes a plugin. It may take tens of milliseconds and 16 MiB.
pub fn read_plugin_schema(source: &str) -> Result<PluginDefinition, UnusableSchema> {
    if source.len() > LONGEST {
        return Err(UnusableSchema(format!(
            "the schema has {} bytes; at most {LONGEST} are accepted",
            source.len()
        )));
    }
    let read = || -> mlua::Result<Result<Value, String>> {
        let lua = sandbox::start()?;
        let table = sandbox::evaluate(&lua, source)?;
        Ok(Reader::default().table(&table, "", 0))
    };
    let document = read()
        .map_err(|error| UnusableSchema(first_line(&error)))?
        .map_err(UnusableSchema)?;
    let name = checked_name(&document).map_err(UnusableSchema)?;
    check_fields(&document, "").map_err(UnusableSchema)?;
    compile::custom_plugin(&document, &Arc::from(source)).map_err(UnusableSchema)?;
    Ok(PluginDefinition { name, document })
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

/// Walks the table that a schema returns.
#[derive(Default)]
struct Reader {
    values: usize,
}

impl Reader {
    fn value(&mut self, value: &LuaValue, place: &str, depth: usize) -> Result<Value, String> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES {
            return Err(format!(
                "{place}: the schema is nested deeper than {DEPTH} levels or has more than {VALUES} values"
            ));
        }
        match value {
            LuaValue::Nil => Ok(Value::Null),
            null if *null == LuaValue::NULL => Ok(Value::Null),
            LuaValue::Boolean(bool) => Ok(Value::Bool(*bool)),
            LuaValue::Integer(number) => Ok(Value::from(*number)),
            LuaValue::Number(number) => Ok(plain_number(*number)),
            LuaValue::String(text) => match text.to_str() {
                Ok(text) => Ok(Value::from(&*text)),
                Err(_) => Err(format!("{place}: must be UTF-8")),
            },
            LuaValue::Table(table) => self.table(table, place, depth),
            LuaValue::Function(_) => Ok(Value::from(id_at(place))),
            other => Err(format!("{place}: a {} means nothing here", other.type_name())),
        }
    }

    fn table(&mut self, table: &Table, place: &str, depth: usize) -> Result<Value, String> {
        let unreadable = |error: mlua::Error| format!("{place}: {}", first_line(&error));
        if let Ok(LuaValue::String(rule)) = table.raw_get::<LuaValue>("__rule") {
            return Ok(Value::from(rule.to_string_lossy()));
        }
        let mut items = Vec::new();
        for position in 1..=table.raw_len() {
            let item: LuaValue = table.raw_get(position).map_err(unreadable)?;
            items.push(self.value(&item, &format!("{place}/{position}"), depth + 1)?);
        }
        let mut members = Vec::new();
        for pair in table.pairs::<LuaValue, LuaValue>() {
            let (name, member) = pair.map_err(unreadable)?;
            match name {
                LuaValue::String(name) => members.push((name.to_string_lossy(), member)),
                _ if items.is_empty() => {
                    return Err(format!("{place}: a table's keys are names, or 1, 2, 3 …"));
                }
                _ => {}
            }
        }
        if !items.is_empty() && !members.is_empty() {
            return Err(format!(
                "{place}: a table is either a list or has names, not both"
            ));
        }
        if members.is_empty() {
            return Ok(Value::Array(items));
        }
        // Lua has no order of names; a document that is compared and stored needs one.
        members.sort_by(|left, right| left.0.cmp(&right.0));
        let member = |(name, member): (String, LuaValue)| {
            let value = self.value(&member, &format!("{place}/{name}"), depth + 1)?;
            Ok((name, value))
        };
        let members: Result<Map<_, _>, String> = members.into_iter().map(member).collect();
        members.map(Value::Object)
    }
}

fn plain_number(number: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    match number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        true => Value::from(number as i64),
        false => Number::from_f64(number).into(),
    }
}
