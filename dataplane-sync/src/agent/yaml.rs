//! Writes JSON values as YAML for people and for Kong's parser (libyaml, YAML 1.1): block style, and every text that
//! any parser could take for something else in double quotes.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A mapping as a YAML document.
pub fn document(mapping: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in mapping {
        write_member(&mut text, 0, name, value);
    }
    text
}

fn write_member(text: &mut String, indent: usize, name: &str, value: &Value) {
    indentation(text, indent);
    scalar_text(text, name);
    text.push(':');
    match value {
        Value::Object(members) if !members.is_empty() => {
            text.push('\n');
            for (name, value) in members {
                write_member(text, indent + 2, name, value);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            write_items(text, indent, items);
        }
        scalar => {
            text.push(' ');
            write_scalar(text, scalar);
            text.push('\n');
        }
    }
}

fn write_items(text: &mut String, indent: usize, items: &[Value]) {
    for item in items {
        let start = text.len();
        match item {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    write_member(text, indent + 2, name, value);
                }
            }
            Value::Array(nested) if !nested.is_empty() => write_items(text, indent + 2, nested),
            scalar => {
                indentation(text, indent + 2);
                write_scalar(text, scalar);
                text.push('\n');
            }
        }
        // The item was written two deeper: its first line begins with the dash instead.
        text.replace_range(start + indent..=start + indent, "-");
    }
}

fn indentation(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

fn write_scalar(text: &mut String, scalar: &Value) {
    match scalar {
        Value::String(string) => scalar_text(text, string),
        // What is empty, a number, a boolean or null is written in YAML as in JSON.
        other => write!(text, "{other}").expect("writing to a string doesn't fail"),
    }
}

fn scalar_text(text: &mut String, string: &str) {
    if is_plain(string) {
        text.push_str(string);
    } else {
        quoted(text, string);
    }
}

/// Whether a text means itself without quotes under every version of YAML.
fn is_plain(string: &str) -> bool {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let letters = |character: char| character.is_ascii_alphanumeric() || "_-./".contains(character);
    string.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/' || first == '_')
        && string.chars().all(letters)
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(string))
}

fn quoted(text: &mut String, string: &str) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}'
                if !matches!(character, '\u{2028}' | '\u{2029}') =>
            {
                text.push(character);
            }
            '\u{10000}'.. => text.push(character),
            unprintable => {
                write!(text, "\\u{:04X}", u32::from(unprintable)).expect("writing to a string doesn't fail");
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_reads_like_one_written_by_hand() {
        let value = json!({
            "_format_version": "3.0",
            "services": [
                {"name": "orders", "tags": ["a", "b c"], "port": 80, "empty": [], "nested": {"on": true}},
                {"name": "true"}
            ],
            "lists": [[1, 2], [[]]],
        });
        let expected = r#"_format_version: "3.0"
services:
- name: orders
  tags:
  - a
  - "b c"
  port: 80
  empty: []
  nested:
    "on": true
- name: "true"
lists:
- - 1
  - 2
- - []
"#;
        assert_eq!(document(value.as_object().unwrap()), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let scalars = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
            "[a-zA-Z0-9:_.-]{0,8}".prop_map(Value::from),
        ];
        scalars.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{1,6}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values()) {
            let mapping = Map::from_iter([("value".to_owned(), value)]);
            let text = document(&mapping);
            let read: Value = serde_saphyr::from_str(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(read, Value::Object(mapping), "{}", text);
        }
    }
}
