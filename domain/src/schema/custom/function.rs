//! A function of an uploaded schema: a custom validator or entity check, run in the sandbox whenever a value is checked.

use std::fmt;
use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Value as LuaValue};
use serde_json::{Map, Value};

use super::sandbox;

/// What marks a function's place where the catalogue's files name a rule.
const MARK: &str = "lua:";

/// A function, by its place in the table that the schema's text returns.
#[derive(Clone)]
pub(in crate::schema) struct LuaFunction {
    source: Arc<str>,
    /// Names and positions from the table down, each after a slash.
    place: Arc<str>,
}

impl fmt::Debug for LuaFunction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.place)
    }
}

/// The id that stands in a definition for the function at a place.
pub(super) fn id_at(place: &str) -> String {
    format!("{MARK}{place}")
}

impl LuaFunction {
    /// The function that an id stands for, if it stands for one.
    pub(in crate::schema) fn of(id: &str, source: &Arc<str>) -> Option<Self> {
        let place = id.strip_prefix(MARK)?;
        Some(Self {
            source: Arc::clone(source),
            place: place.into(),
        })
    }

    /// Asks the function about a value: it answers true, or nil and why not.
    pub(in crate::schema) fn check(&self, value: &Value) -> Result<(), String> {
        self.call(value)
            .unwrap_or_else(|error| Err(format!("the plugin's schema failed: {}", first_line(&error))))
    }

    /// The same about a whole body.
    pub(in crate::schema) fn check_body(&self, body: &Map<String, Value>) -> Result<(), String> {
        self.check(&Value::Object(body.clone()))
    }

    fn call(&self, value: &Value) -> mlua::Result<Result<(), String>> {
        let lua = sandbox::start()?;
        let mut found = LuaValue::Table(sandbox::evaluate(&lua, &self.source)?);
        for step in self.place.split('/').skip(1) {
            let table = found.as_table().ok_or_else(|| moved(&self.place))?;
            found = match step.parse::<i64>() {
                Ok(position) if table.raw_len() > 0 => table.get(position)?,
                _ => table.get(step)?,
            };
        }
        let LuaValue::Function(function) = found else {
            return Err(moved(&self.place));
        };
        answer(&function, to_lua(&lua, value)?)
    }
}

fn answer(function: &Function, value: LuaValue) -> mlua::Result<Result<(), String>> {
    let answers: MultiValue = function.call(value)?;
    let mut answers = answers.into_iter();
    let accepted = !matches!(
        answers.next(),
        None | Some(LuaValue::Nil | LuaValue::Boolean(false))
    );
    if accepted {
        return Ok(Ok(()));
    }
    let why = match answers.next() {
        Some(LuaValue::String(why)) => why.to_string_lossy(),
        _ => "failed its custom check".to_owned(),
    };
    Ok(Err(why))
}

fn moved(place: &str) -> mlua::Error {
    mlua::Error::runtime(format!("there is no function at {place} any more"))
}

/// A failure without its trace.
pub(super) fn first_line(error: &mlua::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let prefixes = ["runtime error: ", "syntax error: "];
    let cut = prefixes.iter().find_map(|prefix| line.strip_prefix(prefix));
    cut.unwrap_or(line).to_owned()
}

/// Null is `ngx.null`, as in Kong.
fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::NULL,
        Value::Bool(bool) => LuaValue::Boolean(*bool),
        Value::Number(number) => LuaValue::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let items = items.iter().map(|item| to_lua(lua, item));
            LuaValue::Table(lua.create_sequence_from(items.collect::<mlua::Result<Vec<_>>>()?)?)
        }
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, member)| Ok((name.as_str(), to_lua(lua, member)?)));
            LuaValue::Table(lua.create_table_from(members.collect::<mlua::Result<Vec<_>>>()?)?)
        }
    })
}
