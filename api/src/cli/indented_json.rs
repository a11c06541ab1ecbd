//! JSON for people and line-wise programs: a line for each member and element. It is written text by text, without values in between, because
//! an answer may be long.

use std::io::{self, Write};

use crate::foreign_text::visible_json;

/// Writes a valid JSON text so. Nothing that a terminal would obey is in it, and it means the same.
pub fn write(json: &str, output: &mut impl Write) -> io::Result<()> {
    let mut depth = 0;
    let mut rest = json.trim_ascii_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '{' | '[' => {
                let inner = rest[1..].trim_ascii_start();
                if inner.starts_with(['}', ']']) {
                    output.write_all(&[rest.as_bytes()[0], inner.as_bytes()[0]])?;
                    rest = inner[1..].trim_ascii_start();
                    continue;
                }
                depth += 1;
                output.write_all(&rest.as_bytes()[..1])?;
                begin_line(depth, output)?;
                1
            }
            '}' | ']' => {
                depth -= 1;
                begin_line(depth, output)?;
                output.write_all(&rest.as_bytes()[..1])?;
                1
            }
            ',' => {
                output.write_all(b",")?;
                begin_line(depth, output)?;
                1
            }
            ':' => {
                output.write_all(b": ")?;
                1
            }
            '"' => {
                let length = length_of_string(rest);
                output.write_all(visible_json(&rest[..length]).as_bytes())?;
                length
            }
            _ => {
                let length = rest.find([',', '}', ']', ' ', '\t', '\n', '\r']);
                let length = length.unwrap_or(rest.len());
                output.write_all(&rest.as_bytes()[..length])?;
                length
            }
        };
        rest = rest[length..].trim_ascii_start();
    }
    Ok(())
}

fn begin_line(depth: usize, output: &mut impl Write) -> io::Result<()> {
    write!(output, "\n{:1$}", "", 2 * depth)
}

/// How many bytes the string has that a text begins with, its quotes included.
fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    closing.map_or(text.len(), |closing| closing + 2)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(json: &str) -> String {
        let mut output = Vec::new();
        write(json, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn it_is_what_a_tree_of_values_would_be_written_as() {
        for value in [
            json!(null),
            json!("a"),
            json!([]),
            json!({}),
            json!([[], {}, [1, -2.5e10, true], {"a": {}, "b": [{"c": null}]}]),
            json!({"quotes \" and \\": "a\\", "{[,:]}": "{[,:]}", "ü": "東京 \n"}),
        ] {
            let expected = serde_json::to_string_pretty(&value).unwrap();
            assert_eq!(written(&value.to_string()), expected);
            assert_eq!(written(&expected), expected);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_as_escapes() {
        let value = json!({"\u{9b}31m": ["\u{1b}[2J", "\u{202e}"]});
        let shown = written(&value.to_string());
        assert!(!shown.contains(['\u{9b}', '\u{1b}', '\u{202e}']), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
