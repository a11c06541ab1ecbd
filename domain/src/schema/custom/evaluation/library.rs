//! Library functions of Lua with limits of their own: what they do, they do in one instruction. And those that would tell where in
//! memory something is.

use mlua::{Function, Lua, LuaString, MultiValue, Table};

use super::work::charge;

/// The longest text that a library function may make, in bytes.
pub(super) const LONGEST_TEXT: usize = 1 << 20;
/// The most values that `unpack` gives at once. Lua's own counts them in 32 bits and writes beyond its stack.
const UNPACKED: i64 = 250;

/// Puts the limited functions in place.
pub(super) fn replace(lua: &Lua) -> mlua::Result<()> {
    let globals = lua.globals();
    globals.set("unpack", lua.create_function(unpack)?)?;
    replace_base(lua, &globals)?;
    let string: Table = globals.get("string")?;
    string.set("rep", lua.create_function(repeat)?)?;
    let table: Table = globals.get("table")?;
    table.set("insert", lua.create_function(insert)?)
}

/// The functions of the base library that depend on where in memory something is.
fn replace_base(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    let own = ["next", "type", "error", "tostring", "getmetatable", "rawget"];
    let own = own.map(|name| globals.get::<Function>(name));
    let own: MultiValue = own
        .into_iter()
        .map(|function| function.map(mlua::Value::Function))
        .collect::<mlua::Result<_>>()?;
    let base = lua.load(include_str!("base.lua")).set_name("=base");
    let (next, pairs, shown, fail): (Function, Function, Function, Function) = base.call(own)?;
    globals.set("next", next)?;
    globals.set("pairs", pairs)?;
    globals.set("tostring", shown)?;
    globals.set("error", fail)
}

fn unpack(lua: &Lua, (list, first, last): (Table, Option<i64>, Option<i64>)) -> mlua::Result<MultiValue> {
    let first = first.unwrap_or(1);
    let last = last.unwrap_or_else(|| i64::try_from(list.raw_len()).unwrap_or(i64::MAX));
    let count = last.saturating_sub(first).saturating_add(1);
    if count > UNPACKED {
        return Err(mlua::Error::runtime(format!(
            "unpack gives at most {UNPACKED} values in a schema"
        )));
    }
    charge(lua, u64::try_from(count).unwrap_or_default())?;
    (first..=last).map(|position| list.raw_get(position)).collect()
}

fn repeat(lua: &Lua, (text, times): (LuaString, i64)) -> mlua::Result<LuaString> {
    let text = text.as_bytes();
    let times = usize::try_from(times).unwrap_or_default();
    let length = text.len().saturating_mul(times);
    if length > LONGEST_TEXT {
        return Err(too_long());
    }
    charge(lua, length as u64 / 16)?;
    lua.create_string(text.repeat(times))
}

/// A position outside of the list would have Lua's own count from there.
fn insert(lua: &Lua, (list, values): (Table, MultiValue)) -> mlua::Result<()> {
    let length = list.raw_len();
    charge(lua, 1 + length as u64 / 16)?;
    let wrong = || mlua::Error::runtime("table.insert takes a list, a position in it and a value");
    let mut values = values.into_iter();
    match (values.next(), values.next(), values.next()) {
        (Some(value), None, None) => list.raw_push(value),
        (Some(position), Some(value), None) => {
            let position = lua.coerce_integer(position)?.ok_or_else(wrong)?;
            match usize::try_from(position) {
                Ok(inside) if (1..=length + 1).contains(&inside) => list.raw_insert(position, value),
                _ => Err(wrong()),
            }
        }
        _ => Err(wrong()),
    }
}

/// The refusal of a text that grows beyond its limit.
pub(super) fn too_long() -> mlua::Error {
    mlua::Error::runtime(format!("a text of more than {LONGEST_TEXT} bytes"))
}
