//! The request-transformer plugin's `name:value` lists.

use super::{lua, names};

/// A valid header name before the colons; the value is free.
pub(super) fn header_pair(text: &str) -> Result<(), String> {
    let (name, _) = split(text);
    valid_header(name)
}

/// Both sides are header names.
pub(super) fn header_rename_pair(text: &str) -> Result<(), String> {
    let (name, value) = split(text);
    valid_header(name)?;
    valid_header(value)
}

/// A name, and a value that isn't empty and whose `$(…)` parts are Lua expressions.
pub(super) fn name_value_template(text: &str) -> Result<(), String> {
    let (name, value) = split(text);
    if name.is_empty() || value.is_empty() {
        return Err(format!("key '{name}' has no value"));
    }
    for expression in substitutions(value) {
        lua::expression(expression)
            .map_err(|error| format!("value '{value}' is not in supported format, error:{error}"))?;
    }
    Ok(())
}

fn valid_header(name: &str) -> Result<(), String> {
    names::header(name).map_err(|_| format!("'{name}' is not a valid header"))
}

/// The text before the first colon and the text after that and any further colons.
fn split(text: &str) -> (&str, &str) {
    let (name, value) = text.split_at(text.find(':').unwrap_or(text.len()));
    (name, value.trim_start_matches(':'))
}

/// The insides of every `$(…)` with balanced parentheses that isn't in another one, from left to right; an unclosed one is
/// literal text. Every byte is looked at once.
fn substitutions(template: &str) -> Vec<&str> {
    let bytes = template.as_bytes();
    // Where each open parenthesis stands, and whether a `$` stands before it.
    let mut open = Vec::new();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'(' => open.push((place, place > 0 && bytes[place - 1] == b'$')),
            b')' => {
                if let Some((start, true)) = open.pop() {
                    // What stands inside belongs to this one.
                    while found.last().is_some_and(|(inner, _)| *inner > start) {
                        found.pop();
                    }
                    found.push((start, place));
                }
            }
            _ => {}
        }
    }
    found
        .into_iter()
        .map(|(start, end)| &template[start + 1..end])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_pair_begins_with_a_header_name() {
        for good in ["a", "a:b", "a:", "a:: b c"] {
            assert_eq!(header_pair(good), Ok(()), "{good}");
        }
        assert_eq!(
            header_pair("a b:c"),
            Err("'a b' is not a valid header".to_owned())
        );
        assert_eq!(header_rename_pair("a::b"), Ok(()));
        assert!(header_rename_pair("a:b c").is_err());
    }

    #[test]
    fn a_value_is_there_and_its_substitutions_are_lua_expressions() {
        for good in [
            "a:b",
            "a:$(headers.x)",
            "a:$(x",
            "a:$((function() return 1 end)())",
            "a:x$(b)y$(c.d)",
        ] {
            assert_eq!(name_value_template(good), Ok(()), "{good}");
        }
        for bad in ["a", "a:", ":x", "a:$(1 +)", "a:$()", "a:$(b)$(c d)"] {
            assert!(name_value_template(bad).is_err(), "{bad}");
        }
    }
}
