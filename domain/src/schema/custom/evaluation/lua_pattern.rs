//! Lua's pattern functions over an engine whose time is bounded by the text's length: the library's own backtrack, in C, where no
//! limit of instructions reaches.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use mlua::{Function, IntoLua, Lua, LuaString, MultiValue, Table, Value};
use regex::bytes::{Captures, Regex};

use super::super::super::pattern;
use super::library::{LONGEST_TEXT, too_long};
use super::work::charge;

/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 512;
/// What compiling a pattern costs, in instructions, and how many compiled ones are kept.
const COMPILATION: u64 = 5_000;
const KEPT: usize = 64;

/// Puts the pattern functions of Lua's string library in place.
pub(super) fn replace_matching(lua: &Lua, string: &Table) -> mlua::Result<()> {
    string.set("find", lua.create_function(find)?)?;
    string.set("match", lua.create_function(first_match)?)?;
    string.set("gmatch", lua.create_function(every_match)?)?;
    string.set("gfind", lua.create_function(every_match)?)?;
    string.set("gsub", lua.create_function(substitute)?)
}

/// The patterns that this interpreter has compiled.
#[derive(Default)]
struct Compiled(HashMap<(String, bool), Regex>);

/// A pattern, or with `plain` a text that stands for itself.
fn compiled(lua: &Lua, source: String, plain: bool) -> mlua::Result<Regex> {
    if source.len() > LONGEST_PATTERN && !plain {
        return Err(mlua::Error::runtime(format!(
            "a pattern has at most {LONGEST_PATTERN} bytes in a schema"
        )));
    }
    let key = (source, plain);
    if let Some(known) = lua
        .app_data_ref::<Compiled>()
        .and_then(|compiled| compiled.0.get(&key).cloned())
    {
        return Ok(known);
    }
    charge(lua, COMPILATION + 16 * key.0.len() as u64)?;
    let expression = match plain {
        true => Regex::new(&format!("(?-u){}", regex::escape(&key.0))).map_err(mlua::Error::external)?,
        false => pattern::with_captures(&key.0).map_err(mlua::Error::runtime)?,
    };
    if lua.app_data_ref::<Compiled>().is_none() {
        lua.set_app_data(Compiled::default());
    }
    if let Some(mut compiled) = lua.app_data_mut::<Compiled>()
        && compiled.0.len() < KEPT
    {
        compiled.0.insert(key, expression.clone());
    }
    Ok(expression)
}

/// What searching a text for a pattern costs at most, in instructions.
fn charge_search(lua: &Lua, text: usize, pattern: usize) -> mlua::Result<()> {
    charge(lua, 10 + (text * (1 + pattern / 16)) as u64)
}

/// The byte at which a search begins; positions count from 1, or from the end where negative.
fn start_of(text: &[u8], position: Option<i64>) -> usize {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    let position = match position.unwrap_or(1) {
        position if position < 0 => (length + position).max(0),
        position => position - 1,
    };
    usize::try_from(position.clamp(0, length)).unwrap_or_default()
}

type Search = (LuaString, String, Option<i64>);

fn find(
    lua: &Lua,
    (text, pattern, position, plain): (LuaString, String, Option<i64>, Option<bool>),
) -> mlua::Result<MultiValue> {
    let bytes = text.as_bytes();
    let start = start_of(&bytes, position);
    charge_search(lua, bytes.len() - start, pattern.len())?;
    let expression = compiled(lua, pattern, plain.unwrap_or_default())?;
    let Some(captures) = expression.captures(&bytes[start..]) else {
        return Value::Nil.into_lua(lua).map(|nil| MultiValue::from_iter([nil]));
    };
    let whole = whole_of(&captures);
    let mut answer = vec![
        Value::Integer((start + whole.start + 1) as i64),
        Value::Integer((start + whole.end) as i64),
    ];
    answer.extend(groups(lua, &captures)?);
    Ok(answer.into_iter().collect())
}

fn first_match(lua: &Lua, (text, pattern, position): Search) -> mlua::Result<MultiValue> {
    let bytes = text.as_bytes();
    let start = start_of(&bytes, position);
    charge_search(lua, bytes.len() - start, pattern.len())?;
    match compiled(lua, pattern, false)?.captures(&bytes[start..]) {
        None => Ok(MultiValue::from_iter([Value::Nil])),
        Some(captures) => Ok(groups_or_whole(lua, &captures)?.into_iter().collect()),
    }
}

/// Each call of the answer looks for the next one: a text may have more of them than there is room for.
fn every_match(lua: &Lua, (text, pattern): (LuaString, String)) -> mlua::Result<Function> {
    let text: Rc<[u8]> = Rc::from(&*text.as_bytes());
    charge_search(lua, text.len(), pattern.len())?;
    let expression = compiled(lua, pattern, false)?;
    let next = std::cell::Cell::new(0);
    lua.create_function(move |lua, ()| {
        let start = next.get();
        let Some(captures) = (start <= text.len())
            .then(|| expression.captures_at(&text, start))
            .flatten()
        else {
            next.set(text.len() + 1);
            return Ok(MultiValue::new());
        };
        let whole = whole_of(&captures);
        charge_search(lua, whole.end - start, 0)?;
        // After nothing was found, the same place has nothing else.
        next.set(whole.end + usize::from(whole.is_empty()));
        Ok(groups_or_whole(lua, &captures)?.into_iter().collect())
    })
}

/// Replacements are texts with `%1` or functions.
fn substitute(
    lua: &Lua,
    (text, pattern, replacement, most): (LuaString, String, Value, Option<usize>),
) -> mlua::Result<(LuaString, usize)> {
    let bytes = text.as_bytes();
    charge_search(lua, bytes.len(), pattern.len())?;
    let expression = compiled(lua, pattern, false)?;
    let (mut answer, mut last, mut count) = (Vec::new(), 0, 0);
    for captures in expression.captures_iter(&bytes).take(most.unwrap_or(usize::MAX)) {
        let whole = whole_of(&captures);
        charge_search(lua, whole.end - last, 0)?;
        answer.extend_from_slice(&bytes[last..whole.start]);
        match &replacement {
            Value::Function(function) => {
                let values: MultiValue = groups_or_whole(lua, &captures)?.into_iter().collect();
                match function.call::<Value>(values)? {
                    Value::Nil | Value::Boolean(false) => answer.extend_from_slice(&bytes[whole.clone()]),
                    value => answer.extend_from_slice(
                        &lua.coerce_string(value)?
                            .map_or_else(Vec::new, |text| text.as_bytes().to_vec()),
                    ),
                }
            }
            other => expand(lua, other, &captures, &mut answer)?,
        }
        if answer.len() > LONGEST_TEXT {
            return Err(too_long());
        }
        last = whole.end;
        count += 1;
    }
    answer.extend_from_slice(&bytes[last..]);
    Ok((lua.create_string(&answer)?, count))
}

fn whole_of(captures: &Captures<'_>) -> Range<usize> {
    captures.get(0).map_or(0..0, |whole| whole.range())
}

/// `%0` to `%9` stand for what was found, `%%` for a percent sign.
fn expand(lua: &Lua, template: &Value, captures: &Captures<'_>, answer: &mut Vec<u8>) -> mlua::Result<()> {
    let template = lua
        .coerce_string(template.clone())?
        .ok_or_else(|| mlua::Error::runtime("gsub replaces with a text or a function"))?;
    let template = template.as_bytes();
    let mut bytes = template.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => match bytes.next() {
                Some(digit @ b'0'..=b'9') => {
                    let number = usize::from(digit - b'0');
                    // Without captures of its own, %1 is the whole match.
                    let number = if captures.len() == 1 && number == 1 {
                        0
                    } else {
                        number
                    };
                    answer.extend_from_slice(captures.get(number).map_or(&[][..], |found| found.as_bytes()));
                    if answer.len() > LONGEST_TEXT {
                        return Err(too_long());
                    }
                }
                Some(other) => answer.push(*other),
                None => {}
            },
            other => answer.push(*other),
        }
    }
    Ok(())
}

fn groups(lua: &Lua, captures: &Captures<'_>) -> mlua::Result<Vec<Value>> {
    let group = |index| match captures.get(index) {
        Some(found) => lua.create_string(found.as_bytes()).map(Value::String),
        None => Ok(Value::Nil),
    };
    (1..captures.len()).map(group).collect()
}

fn groups_or_whole(lua: &Lua, captures: &Captures<'_>) -> mlua::Result<Vec<Value>> {
    if captures.len() > 1 {
        return groups(lua, captures);
    }
    let whole = captures.get(0).map_or(&[][..], |whole| whole.as_bytes());
    Ok(vec![Value::String(lua.create_string(whole)?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(expression: &str) -> String {
        let lua = Lua::new();
        let string: Table = lua.globals().get("string").unwrap();
        replace_matching(&lua, &string).unwrap();
        let values: MultiValue = lua.load(format!("return {expression}")).eval().unwrap();
        let texts = values.iter().map(|value| value.to_string().unwrap());
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn they_answer_what_luas_own_do() {
        for (expression, expected) in [
            ("('hello world'):find('wor')", "7 9"),
            ("('hello'):find('l', 4)", "4 4"),
            ("('a.b'):find('.', 1, true)", "2 2"),
            ("('abc'):find('x')", "nil"),
            ("('key=value'):match('^(%w+)=(%w+)$')", "key value"),
            ("('key=value'):match('%w+')", "key"),
            ("('a-b'):gsub('-', '_')", "a_b 1"),
            ("('abc'):gsub('%w', '%0%0')", "aabbcc 3"),
            ("('abc'):gsub('%w', string.upper, 2)", "ABc 2"),
            ("('x'):rep(3)", "xxx"),
        ] {
            assert_eq!(answer(expression), expected, "{expression}");
        }
        let all = "(function() local t = {} for word in ('a b'):gmatch('%a') do t[#t + 1] = word end return table.concat(t, ',') end)()";
        assert_eq!(answer(all), "a,b");
    }

    #[test]
    fn what_it_cannot_translate_is_an_error() {
        let lua = Lua::new();
        let string: Table = lua.globals().get("string").unwrap();
        replace_matching(&lua, &string).unwrap();
        for pattern in ["%b()", "%f[%a]", "(a)%1"] {
            let ran = lua.load(format!("return ('x'):match('{pattern}')")).exec();
            assert!(ran.is_err(), "{pattern}");
        }
    }
}
