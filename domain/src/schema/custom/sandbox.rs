//! Lua for uploaded schemas: no files, no clock, no randomness, no other code than what is given; bounded memory, instructions and
//! patterns. What a schema does here depends on its text alone.

use mlua::{Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, VmState};

use super::lua_pattern;

/// How much memory one evaluation may take, in bytes.
const MEMORY: usize = 16 << 20;
/// How many instructions one evaluation may take, counted in steps of this many.
const STEP: u32 = 10_000;
const STEPS: u32 = 200;

/// What Lua's base library has that could reach outside, run text as code, or go on after a limit has ended the evaluation.
const FORBIDDEN: [&str; 12] = [
    "collectgarbage",
    "coroutine",
    "dofile",
    "getfenv",
    "load",
    "loadfile",
    "loadstring",
    "newproxy",
    "pcall",
    "print",
    "setfenv",
    "xpcall",
];

/// Kong's modules that a schema may require, by name.
const MODULES: [(&str, &str); 1] = [("kong.db.schema.typedefs", include_str!("typedefs.lua"))];

/// A fresh interpreter.
pub(super) fn start() -> mlua::Result<Lua> {
    let lua = Lua::new_with(
        StdLib::STRING | StdLib::TABLE | StdLib::MATH,
        LuaOptions::default(),
    )?;
    let globals = lua.globals();
    for name in FORBIDDEN {
        globals.raw_remove(name)?;
    }
    let math: Table = globals.get("math")?;
    for name in ["random", "randomseed"] {
        math.raw_remove(name)?;
    }
    let string: Table = globals.get("string")?;
    string.raw_remove("dump")?;
    lua_pattern::replace_matching(&lua, &string)?;
    let ngx = lua.create_table()?;
    ngx.set("null", mlua::Value::NULL)?;
    globals.set("ngx", ngx)?;
    globals.set("require", require(&lua)?)?;
    lua.set_memory_limit(MEMORY)?;
    limit_instructions(&lua)?;
    Ok(lua)
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
        lua.load(*text).set_name("=typedefs").eval::<MultiValue>()
    })
}

fn limit_instructions(lua: &Lua) -> mlua::Result<()> {
    let steps = std::cell::Cell::new(0);
    let triggers = HookTriggers::new().every_nth_instruction(STEP);
    lua.set_hook(triggers, move |_, _| {
        steps.set(steps.get() + 1);
        if steps.get() > STEPS {
            return Err(mlua::Error::runtime(format!(
                "the schema takes more than {} instructions",
                STEP * STEPS
            )));
        }
        Ok(VmState::Continue)
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
