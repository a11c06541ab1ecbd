//! Lua's pattern functions over an engine whose time is bounded by the text's length: the library's own backtrack, in C, where no
//! limit of instructions reaches.

use mlua::{Function, IntoLua, Lua, MultiValue, Table, Value};
use regex::bytes::{Captures, Regex};

use super::super::pattern;

/// Puts the pattern functions of Lua's string library in place.
pub(super) fn replace_matching(lua: &Lua, string: &Table) -> mlua::Result<()> {
    string.set("find", lua.create_function(find)?)?;
    string.set("match", lua.create_function(first_match)?)?;
    string.set("gmatch", lua.create_function(every_match)?)?;
    string.set("gsub", lua.create_function(substitute)?)
}

fn compiled(source: &str) -> mlua::Result<Regex> {
    pattern::with_captures(source).map_err(mlua::Error::runtime)
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

type Search = (mlua::LuaString, String, Option<i64>);

fn find(
    lua: &Lua,
    (text, pattern, position, plain): (mlua::LuaString, String, Option<i64>, Option<bool>),
) -> mlua::Result<MultiValue> {
    let bytes = text.as_bytes();
    let start = start_of(&bytes, position);
    let expression = match plain.unwrap_or_default() {
        true => Regex::new(&format!("(?-u){}", regex::escape(&pattern))).map_err(mlua::Error::external)?,
        false => compiled(&pattern)?,
    };
    let Some(captures) = expression.captures(&bytes[start..]) else {
        return Value::Nil.into_lua(lua).map(|nil| MultiValue::from_iter([nil]));
    };
    let whole = captures.get(0).map_or(0..0, |whole| whole.range());
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
    match compiled(&pattern)?.captures(&bytes[start..]) {
        None => Ok(MultiValue::from_iter([Value::Nil])),
        Some(captures) => Ok(groups_or_whole(lua, &captures)?.into_iter().collect()),
    }
}

fn every_match(lua: &Lua, (text, pattern): (mlua::LuaString, String)) -> mlua::Result<Function> {
    let bytes = text.as_bytes();
    let expression = compiled(&pattern)?;
    let mut found = Vec::new();
    for captures in expression.captures_iter(&bytes) {
        found.push(groups_or_whole(lua, &captures)?);
    }
    let left = std::cell::RefCell::new(found.into_iter());
    lua.create_function(move |_, ()| {
        let next = left.borrow_mut().next();
        Ok(next.map_or_else(MultiValue::new, |values| values.into_iter().collect()))
    })
}

/// Replacements are texts with `%1` or functions.
fn substitute(
    lua: &Lua,
    (text, pattern, replacement, most): (mlua::LuaString, String, Value, Option<usize>),
) -> mlua::Result<(mlua::LuaString, usize)> {
    let bytes = text.as_bytes();
    let expression = compiled(&pattern)?;
    let (mut answer, mut last, mut count) = (Vec::new(), 0, 0);
    for captures in expression.captures_iter(&bytes).take(most.unwrap_or(usize::MAX)) {
        let whole = captures.get(0).map_or(0..0, |whole| whole.range());
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
        last = whole.end;
        count += 1;
    }
    answer.extend_from_slice(&bytes[last..]);
    Ok((lua.create_string(&answer)?, count))
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
