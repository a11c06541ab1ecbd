//! A function of a schema, asked about a value.

use mlua::{Function, Lua, MultiValue, Value as LuaValue};
use serde_json::Value;

use super::{first_line, interpreter};

/// What the function at a place says about a value: nothing, or why it isn't right.
pub(super) fn function(source: &str, place: &str, value: &Value) -> Result<(), String> {
    call(source, place, value)
        .unwrap_or_else(|error| Err(format!("the plugin's schema failed: {}", first_line(&error))))
}

fn call(source: &str, place: &str, value: &Value) -> mlua::Result<Result<(), String>> {
    let lua = interpreter::start()?;
    let mut found = LuaValue::Table(interpreter::evaluate(&lua, source)?);
    for step in place.split('/').skip(1) {
        let table = found.as_table().ok_or_else(|| moved(place))?;
        found = match step.parse::<i64>() {
            Ok(position) if table.raw_len() > 0 => table.get(position)?,
            _ => table.get(step)?,
        };
    }
    let LuaValue::Function(function) = found else {
        return Err(moved(place));
    };
    answer(&function, to_lua(&lua, value)?)
}

/// It answers true, or nil and why not.
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
