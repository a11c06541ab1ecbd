//! Lua for uploaded schemas: no files, no clock, no randomness, no other code than what is given; bounded memory, instructions and
//! patterns. What a schema does here depends on its text alone.

use mlua::{Function, Lua, LuaOptions, LuaString, MultiValue, StdLib, Table, Value};

use super::{library, lua_pattern, work};

/// What a schema has of Lua's base library. What is left out could reach outside, run text as code, go on after a limit has ended the
/// evaluation, or tell of memory.
const GLOBALS: [&str; 20] = [
    "_G",
    "_VERSION",
    "assert",
    "error",
    "getmetatable",
    "ipairs",
    "math",
    "next",
    "pairs",
    "rawequal",
    "rawget",
    "rawset",
    "select",
    "setmetatable",
    "string",
    "table",
    "tonumber",
    "tostring",
    "type",
    "unpack",
];
/// What it has of the libraries of texts and tables; of mathematics, everything but chance.
const STRING: [&str; 14] = [
    "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub",
    "upper", "gfind",
];
const TABLE: [&str; 5] = ["concat", "insert", "maxn", "remove", "sort"];
const CHANCE: [&str; 2] = ["random", "randomseed"];

/// Kong's modules that a schema may require, by name.
const MODULES: [(&str, &str); 1] = [("kong.db.schema.typedefs", include_str!("typedefs.lua"))];
/// What requiring one costs, in instructions.
const MODULE_WORK: u64 = 5_000;

/// A fresh interpreter.
pub(super) fn start() -> mlua::Result<Lua> {
    let lua = Lua::new_with(
        StdLib::STRING | StdLib::TABLE | StdLib::MATH,
        LuaOptions::default(),
    )?;
    let globals = lua.globals();
    keep_only(&globals, |name| GLOBALS.contains(&name))?;
    keep_only(&globals.get("math")?, |name| !CHANCE.contains(&name))?;
    keep_only(&globals.get("table")?, |name| TABLE.contains(&name))?;
    let string: Table = globals.get("string")?;
    keep_only(&string, |name| STRING.contains(&name))?;
    lua_pattern::replace_matching(&lua, &string)?;
    library::replace(&lua)?;
    let ngx = lua.create_table()?;
    ngx.set("null", Value::NULL)?;
    globals.set("ngx", ngx)?;
    globals.set("require", require(&lua)?)?;
    work::limit(&lua)?;
    Ok(lua)
}

fn keep_only(library: &Table, allowed: impl Fn(&str) -> bool) -> mlua::Result<()> {
    let names = library.pairs::<LuaString, Value>().map(|pair| Ok(pair?.0));
    for name in names.collect::<mlua::Result<Vec<_>>>()? {
        if !allowed(&name.to_string_lossy()) {
            library.raw_remove(name)?;
        }
    }
    Ok(())
}

/// Runs a schema's text and answers the table that it returns.
pub(super) fn evaluate(lua: &Lua, source: &str) -> mlua::Result<Table> {
    let chunk = lua.load(source).set_name("=schema.lua");
    chunk.set_mode(mlua::chunk::ChunkMode::Text).eval()
}

fn require(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, name: String| {
        let known = MODULES.iter().find(|(known, _)| *known == name);
        let (_, text) = known.ok_or_else(|| {
            let allowed: Vec<_> = MODULES.iter().map(|(known, _)| *known).collect();
            mlua::Error::runtime(format!(
                "module '{name}' can't be required here: a schema may require {} and nothing else",
                allowed.join(", ")
            ))
        })?;
        work::charge(lua, MODULE_WORK)?;
        lua.load(*text).set_name("=typedefs").eval::<MultiValue>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(source: &str) -> Result<String, String> {
        let lua = start().unwrap();
        let table = evaluate(&lua, &format!("return {{ value = (function() {source} end)() }}"));
        let value = table.and_then(|table| table.get::<mlua::Value>("value"));
        value
            .map(|value| value.to_string().unwrap_or_default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn plain_lua_runs() {
        assert_eq!(run("return ('ab'):upper() .. #{1, 2}").unwrap(), "AB2");
        assert_eq!(
            run("return require('kong.db.schema.typedefs').port.type").unwrap(),
            "integer"
        );
    }

    #[test]
    fn nothing_outside_can_be_reached() {
        for reach in [
            "return os.time()",
            "return io.open('/etc/passwd')",
            "return debug.getinfo(1)",
            "return math.random()",
            "return loadstring('return 1')()",
            "return require('socket')",
            "return package.loaded",
            "return string.dump(function() end)",
            "return getfenv(0)",
        ] {
            assert!(run(reach).is_err(), "{reach}");
        }
    }

    #[test]
    fn nothing_depends_on_where_in_memory_something_is() {
        for (shows, what) in [
            ("return tostring({})", "table"),
            ("return tostring(function() end)", "function"),
            ("return tostring(type)", "function"),
            ("return tostring(ngx.null)", "userdata: NULL"),
            (
                "return tostring(setmetatable({}, { __tostring = function() return 'own' end }))",
                "own",
            ),
            (
                "return tostring(1.5) .. tostring(nil) .. tostring('a')",
                "1.5nila",
            ),
        ] {
            assert_eq!(run(shows).unwrap(), what, "{shows}");
        }
        for walks in [
            "for key in pairs({ [{}] = 1 }) do end",
            "return next({ [type] = 1 })",
            "return ('%s'):format({})",
        ] {
            assert!(run(walks).is_err(), "{walks}");
        }
        let failed = run("error({})").unwrap_err();
        assert!(failed.contains(": table") && !failed.contains("0x"), "{failed}");
        let failed = run("error('own', 0)").unwrap_err();
        assert!(failed.starts_with("runtime error: own"), "{failed}");
        assert_eq!(
            run("local n = 0 for key, value in pairs({ a = 1, [2] = 2, [true] = 3 }) do n = n + value end return n").unwrap(),
            "6"
        );
        assert_eq!(run("return next({}) == nil and next({ 'x' })").unwrap(), "1");
    }

    #[test]
    fn endless_loops_and_endless_memory_end() {
        assert!(run("while true do end").unwrap_err().contains("instructions"));
        assert!(run("local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e5) .. i end").is_err());
        assert!(run("return ('x'):rep(1e9)").is_err());
        assert!(run("while pcall(function() while true do end end) or true do end").is_err());
    }

    #[test]
    fn a_pattern_that_would_backtrack_for_ever_does_not() {
        let pattern = ".-".repeat(30);
        let answer = run(&format!("return tostring(('a'):rep(5000):find('{pattern}b'))"));
        assert_eq!(answer.unwrap(), "nil");
    }
}
