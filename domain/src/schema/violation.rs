//! What a refused body says: errors nested by field, and Kong's one-line text of them (README §9).

use std::fmt;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Where errors over several fields stand.
pub(super) const ENTITY: &str = "@entity";

/// How many errors are told at most: who mends a hundred sends the body again anyhow.
pub(super) const MOST_ERRORS: usize = 100;

/// The longest text of one error, in bytes; the middle of a longer one is left out.
const LONGEST_ERROR: usize = 1_000;

/// A body that doesn't satisfy its schema. Answered with HTTP 400, code 2, `schema violation`.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaViolation {
    /// Errors nested like the input; `"@entity"` lists those over several fields.
    pub fields: Value,
}

impl SchemaViolation {
    /// The first [`MOST_ERRORS`] of these, their texts shortened: what is told doesn't grow with what was sent.
    pub(super) fn of(errors: Map<String, Value>) -> Self {
        let mut fields = Value::Object(errors);
        bound(&mut fields, &mut MOST_ERRORS.clone());
        Self { fields }
    }

    /// One error at one top-level field.
    pub fn field(name: &str, error: impl Into<Value>) -> Self {
        Self::of(Map::from_iter([(name.to_owned(), error.into())]))
    }

    /// Kong's text: `schema violation (f: x)` or `2 schema violations (a: x; b: y)`.
    pub fn message(&self) -> String {
        let mut items = Vec::new();
        let none = Map::new();
        let fields = self.fields.as_object().unwrap_or(&none);
        for error in fields.get(ENTITY).and_then(Value::as_array).into_iter().flatten() {
            items.push(error.as_str().map_or_else(|| error.to_string(), str::to_owned));
        }
        let mut sorted: Vec<_> = fields.iter().filter(|(name, _)| *name != ENTITY).collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        for (name, error) in sorted {
            describe(name, error, &mut items);
        }
        let all = items.join("; ");
        match items.len() {
            1 => format!("schema violation ({all})"),
            count => format!("{count} schema violations ({all})"),
        }
    }
}

/// Leaves so many errors, counting down, and shortens their texts.
fn bound(errors: &mut Value, left: &mut usize) {
    match errors {
        Value::Object(members) => members.retain(|_, error| {
            let kept = *left > 0;
            bound(error, left);
            kept
        }),
        Value::Array(elements) => {
            let mut told = 0;
            for (index, error) in elements
                .iter_mut()
                .enumerate()
                .filter(|(_, error)| !error.is_null())
            {
                if *left == 0 {
                    break;
                }
                bound(error, left);
                told = index + 1;
            }
            elements.truncate(told);
        }
        error => {
            *left = left.saturating_sub(1);
            if let Value::String(text) = error {
                shorten(text);
            }
        }
    }
}

/// Leaves the middle out of a text that is too long: where it begins says which value it is about, where it ends why.
fn shorten(text: &mut String) {
    const GAP: &str = " … ";
    if text.len() > LONGEST_ERROR {
        let half = (LONGEST_ERROR - GAP.len()) / 2;
        let (start, end) = (
            text.floor_char_boundary(half),
            text.ceil_char_boundary(text.len() - half),
        );
        text.replace_range(start..end, GAP);
    }
}

impl fmt::Display for SchemaViolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message())
    }
}

impl std::error::Error for SchemaViolation {}

/// One level of nesting becomes `field.below: text`; anything deeper is printed like a Lua table.
fn describe(name: &str, error: &Value, items: &mut Vec<String>) {
    match error {
        Value::Object(below) => {
            let mut sorted: Vec<_> = below.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            items.extend(
                sorted
                    .into_iter()
                    .map(|(key, error)| format!("{name}.{key}: {}", printed(error))),
            );
        }
        Value::Array(elements) => {
            let failed = elements.iter().enumerate().filter(|(_, error)| !error.is_null());
            items.extend(failed.map(|(index, error)| format!("{name}.{}: {}", index + 1, printed(error))));
        }
        error => items.push(format!("{name}: {}", printed(error))),
    }
}

fn printed(error: &Value) -> String {
    match error {
        Value::String(text) => text.clone(),
        table => {
            let mut text = String::new();
            print_table(table, 1, &mut text);
            text
        }
    }
}

/// Like Penlight's `pretty.write`: two spaces a level, plain keys bare, list entries without keys.
fn print_table(value: &Value, level: usize, text: &mut String) {
    let indent = "  ".repeat(level);
    let entries: Vec<String> = match value {
        Value::Array(elements) => {
            let mut dense = true;
            let mut entries = Vec::new();
            for (index, element) in elements.iter().enumerate() {
                dense &= !element.is_null();
                if !element.is_null() {
                    let key = if dense {
                        String::new()
                    } else {
                        format!("[{}] = ", index + 1)
                    };
                    entries.push(key + &nested(element, level));
                }
            }
            entries
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            sorted
                .into_iter()
                .map(|(key, member)| bare_key(key) + " = " + &nested(member, level))
                .collect()
        }
        _ => return text.push_str(&nested(value, level)),
    };
    let body = entries.join(&format!(",\n{indent}"));
    // Writing to a String can't fail.
    let _ = write!(text, "{{\n{indent}{body}\n{}}}", "  ".repeat(level - 1));
}

fn nested(value: &Value, level: usize) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Array(_) | Value::Object(_) => {
            let mut text = String::new();
            print_table(value, level + 1, &mut text);
            text
        }
        plain => plain.to_string(),
    }
}

fn bare_key(key: &str) -> String {
    let word = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !key.starts_with(|first: char| first.is_ascii_digit());
    if word {
        key.to_owned()
    } else {
        format!("[{key:?}]")
    }
}

/// Puts an error at a dotted field, unless a field on the way has failed as a whole.
pub(super) fn put(errors: &mut Map<String, Value>, path: &[&str], error: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        errors.insert((*first).to_owned(), error);
        return;
    }
    let below = errors.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(below) = below {
        put(below, rest, error);
    }
}

/// Adds an error over several fields.
pub(super) fn put_entity(errors: &mut Map<String, Value>, text: String) {
    if let Value::Array(list) = errors.entry(ENTITY).or_insert_with(|| Value::Array(Vec::new())) {
        list.push(Value::String(text));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_message_lists_entity_errors_first_and_then_fields_by_name() {
        let violation = SchemaViolation {
            fields: json!({"b": {"x": "two"}, "a": [null, "one"], "@entity": ["zero"]}),
        };
        assert_eq!(
            violation.message(),
            "3 schema violations (zero; a.2: one; b.x: two)"
        );
    }

    #[test]
    fn deeper_errors_are_printed_like_a_lua_table() {
        let violation = SchemaViolation {
            fields: json!({"config": {"add": {"body": ["bad"], "a-b": "x"}}}),
        };
        assert_eq!(
            violation.message(),
            "schema violation (config.add: {\n  [\"a-b\"] = \"x\",\n  body = {\n    \"bad\"\n  }\n})"
        );
    }

    #[test]
    fn only_the_first_errors_are_told_and_long_texts_are_shortened() {
        let many: Vec<_> = (0..1_000)
            .map(|number| json!({"x": number.to_string()}))
            .collect();
        let errors = json!({"a": many, "b": "last"});
        let violation = SchemaViolation::of(errors.as_object().unwrap().clone());
        assert_eq!(violation.fields["a"].as_array().unwrap().len(), MOST_ERRORS);
        assert!(violation.fields.get("b").is_none());
        assert!(violation.message().starts_with("100 schema violations (a.1: "));

        let text = format!("invalid value: {}: é", "é".repeat(100_000));
        let violation = SchemaViolation::field("a", text);
        let told = violation.fields["a"].as_str().unwrap();
        assert!(told.len() <= LONGEST_ERROR, "{}", told.len());
        assert!(
            told.starts_with("invalid value: éé") && told.ends_with("éé: é"),
            "{told}"
        );
    }

    #[test]
    fn an_error_below_a_field_that_failed_as_a_whole_is_dropped() {
        let mut errors = Map::new();
        put(&mut errors, &["config"], json!("bad"));
        put(&mut errors, &["config", "redis", "host"], json!("missing"));
        assert_eq!(Value::Object(errors), json!({"config": "bad"}));
    }
}
