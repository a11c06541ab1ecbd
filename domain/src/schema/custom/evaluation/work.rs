//! How much one evaluation may take. Lua counts its own instructions; what a library function does in one instruction is charged by
//! what it handles.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{HookTriggers, Lua, VmState};

/// How much memory one evaluation may take, in bytes.
pub(super) const MEMORY: usize = 16 << 20;
/// How many instructions, or as much work.
const WORK: u64 = 2_000_000;
/// How many instructions are counted at a time.
const STEP: u32 = 10_000;

/// What is left.
#[derive(Clone)]
struct Work(Rc<Cell<u64>>);

/// Limits what this interpreter may take.
pub(super) fn limit(lua: &Lua) -> mlua::Result<()> {
    lua.set_memory_limit(MEMORY)?;
    lua.set_app_data(Work(Rc::new(Cell::new(WORK))));
    let triggers = HookTriggers::new().every_nth_instruction(STEP);
    lua.set_hook(triggers, |lua, _| {
        charge(lua, u64::from(STEP))?;
        Ok(VmState::Continue)
    })
}

/// Takes work from what is left; an error where too little is.
pub(super) fn charge(lua: &Lua, work: u64) -> mlua::Result<()> {
    let left = lua.app_data_ref::<Work>();
    let left = left.as_ref().map(|work| &work.0);
    let before = left.map_or(WORK, |left| left.get());
    let after = before.checked_sub(work);
    if let Some(left) = left {
        left.set(after.unwrap_or_default());
    }
    match after {
        Some(_) => Ok(()),
        None => Err(mlua::Error::runtime(format!(
            "the schema takes more than {WORK} instructions, or as much work in library functions"
        ))),
    }
}
