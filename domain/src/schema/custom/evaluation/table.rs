//! The table that a schema's text returns, as a document.

use mlua::{Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

use super::super::function::id_at;
use super::first_line;

/// The deepest nesting of a definition, the most values, and the most bytes of its texts together, as they are written in JSON.
const DEPTH: usize = 40;
const VALUES: usize = 20_000;
const BYTES: usize = 256 * 1024;
/// The longest name of a member, in bytes: it stands in the place of everything below it.
const LONGEST_NAME: usize = 1024;

/// The document that a table describes, or where and why it describes none.
pub(super) fn document(table: &Table) -> Result<Value, String> {
    Reader::default().table(table, "", 0)
}

/// Walks the table that a schema returns.
#[derive(Default)]
struct Reader {
    values: usize,
    bytes: usize,
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
                Ok(text) => self.text((*text).to_owned(), place),
                Err(_) => Err(format!("{place}: must be UTF-8")),
            },
            LuaValue::Table(table) => self.table(table, place, depth),
            LuaValue::Function(_) => self.text(id_at(place), place),
            other => Err(format!("{place}: a {} means nothing here", other.type_name())),
        }
    }

    fn text(&mut self, text: String, place: &str) -> Result<Value, String> {
        self.count_bytes(&text, place)?;
        Ok(Value::String(text))
    }

    fn count_bytes(&mut self, text: &str, place: &str) -> Result<(), String> {
        // A control character is written as six bytes.
        let escaped = text
            .bytes()
            .filter(|byte| byte.is_ascii_control() || b"\"\\".contains(byte));
        self.bytes = self.bytes.saturating_add(text.len() + 5 * escaped.count());
        match self.bytes > BYTES {
            true => Err(format!(
                "{place}: the schema's texts have more than {BYTES} bytes together"
            )),
            false => Ok(()),
        }
    }

    fn table(&mut self, table: &Table, place: &str, depth: usize) -> Result<Value, String> {
        let unreadable = |error: mlua::Error| format!("{place}: {}", first_line(&error));
        if let Ok(LuaValue::String(rule)) = table.raw_get::<LuaValue>("__rule") {
            return self.text(rule.to_string_lossy(), place);
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
                LuaValue::String(name) => {
                    let name = name.to_string_lossy();
                    if name.len() > LONGEST_NAME {
                        return Err(format!("{place}: a name has more than {LONGEST_NAME} bytes"));
                    }
                    self.count_bytes(&name, place)?;
                    if members.len() > VALUES {
                        return Err(format!("{place}: a table has more than {VALUES} members"));
                    }
                    members.push((name, member));
                }
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

#[cfg(test)]
mod tests {
    use super::super::interpreter;
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        let lua = interpreter::start().unwrap();
        document(&interpreter::evaluate(&lua, text).unwrap())
    }

    #[test]
    fn texts_are_bounded_together_wherever_they_stand() {
        let long = "local long, list = ('x'):rep(1000), {}";
        for (fills, limit) in [
            ("list[i] = long", "texts have more than"),
            ("list[i] = { __rule = long }", "texts have more than"),
            ("list[i] = ('\\1'):rep(200)", "texts have more than"),
            ("list[long .. long] = i", "a name has more than"),
            (
                "list[i] = { { [long] = { [long] = { [long] = type } } } }",
                "texts have more than",
            ),
        ] {
            let refused = read(&format!("{long} for i = 1, 300 do {fills} end return list")).unwrap_err();
            assert!(refused.contains(limit), "{fills}: {refused}");
        }
    }

    #[test]
    fn the_largest_document_fits_into_one_answer() {
        let texts = "local list = {} for i = 1, 200 do list[i] = ('\\1'):rep(200) end";
        let numbers = "for i = 201, 19000 do list[i] = -1.2345678901234567e-300 end return list";
        let document = read(&format!("{texts} {numbers}")).unwrap();
        assert!(document.to_string().len() < 1 << 20);
    }
}
