//! Lua patterns, which schema files use, as regular expressions over bytes.

use regex::bytes::Regex;

/// A compiled Lua pattern: unanchored unless it says `^` or `$`, ASCII classes, `.` is any byte.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles the subset schema files use: classes, sets, `* + - ?`, anchors. No captures, `%b` or `%f`.
    pub(super) fn lua(source: &str) -> Result<Self, String> {
        let expression = translate(source)?;
        Regex::new(&expression)
            .map(Self)
            .map_err(|error| format!("Lua pattern {source}: {error}"))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }
}

/// The same for patterns with captures; positions `()`, `%b`, `%f` and references to captures are not among them.
pub(super) fn with_captures(source: &str) -> Result<Regex, String> {
    let expression = translate_all(source, true)?;
    Regex::new(&expression).map_err(|error| format!("Lua pattern {source}: {error}"))
}

fn translate(source: &str) -> Result<String, String> {
    translate_all(source, false)
}

fn translate_all(source: &str, captures: bool) -> Result<String, String> {
    let mut expression = String::from("(?s-u)");
    let mut rest = source;
    if let Some(after) = rest.strip_prefix('^') {
        expression.push_str(r"\A");
        rest = after;
    }
    let mut characters = rest.chars().peekable();
    let mut in_set = false;
    // A quantifier applies to the item right before it; anywhere else its character stands for itself.
    let mut quantifiable = false;
    while let Some(character) = characters.next() {
        let quantifies = quantifiable && !in_set && matches!(character, '*' | '+' | '-' | '?');
        match character {
            '%' => {
                let escaped = characters.next().ok_or_else(|| format!("{source} ends in %"))?;
                expression.push_str(&class(escaped, in_set).ok_or_else(|| format!("{source}: %{escaped}"))?);
            }
            '[' if !in_set => {
                in_set = true;
                expression.push('[');
                if characters.next_if_eq(&'^').is_some() {
                    expression.push('^');
                }
            }
            ']' if in_set => {
                in_set = false;
                expression.push(']');
            }
            '-' if in_set => expression.push_str(set_hyphen(&expression, characters.peek().copied())),
            '-' if quantifies => expression.push_str("*?"),
            '*' | '+' | '?' if quantifies => expression.push(character),
            '$' if !in_set && characters.peek().is_none() => expression.push_str(r"\z"),
            '.' if !in_set => expression.push('.'),
            '(' if captures && !in_set && characters.peek() == Some(&')') => {
                return Err(format!("{source}: () isn't supported"));
            }
            '(' | ')' if captures && !in_set => expression.push(character),
            literal => expression.push_str(&regex::escape(&literal.to_string())),
        }
        quantifiable = !quantifies;
    }
    Ok(expression)
}

/// In a set a hyphen is a range between two plain characters and itself anywhere else.
fn set_hyphen(before: &str, after: Option<char>) -> &'static str {
    let opens = before.ends_with('[') || before.ends_with("[^") || before.ends_with('\\');
    let follows_class = before.ends_with("0-9") || before.ends_with("a-z") || before.ends_with("A-Z");
    if opens || follows_class || matches!(after, None | Some(']' | '%')) {
        r"\-"
    } else {
        "-"
    }
}

fn class(name: char, in_set: bool) -> Option<String> {
    let members = match name.to_ascii_lowercase() {
        'a' => "a-zA-Z",
        'd' => "0-9",
        'l' => "a-z",
        'u' => "A-Z",
        'w' => "a-zA-Z0-9",
        'x' => "a-fA-F0-9",
        's' => r"\t\n\x0B\x0C\r ",
        'p' => r"!-/:-@\[-`{-~",
        'c' => r"\x00-\x1F\x7F",
        other if !other.is_alphanumeric() => return Some(regex::escape(&name.to_string())),
        _ => return None,
    };
    match (name.is_ascii_uppercase(), in_set) {
        (false, true) => Some(members.to_owned()),
        (false, false) => Some(format!("[{members}]")),
        (true, _) => Some(format!("[^{members}]")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::lua(pattern).unwrap().matches(text)
    }

    #[test]
    fn every_pattern_of_the_reference_means_what_it_means_in_lua() {
        for (pattern, accepted, refused) in [
            ("^%u+$", "GET", "Get"),
            ("^[^*]*%*?[^*]*$", "a*b", "a**"),
            ("^%*%.", "*.a", "a*."),
            ("%.%*$", "a.*", "a.*b"),
            ("^[^*]*$", "a\nb", "*"),
            ("//", "a//b", "a/b/"),
            ("^~/", "~/a", "/~/"),
            ("^[Hh][Oo][Ss][Tt]$", "hOST", "hosts"),
            (
                "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Tt][Yy][Pp][Ee]$",
                "CONTENT-TYPE",
                "content_type",
            ),
            ("^[^:]+:.*$", "a:b", ":b"),
            ("^.*[^:]$", "a:b", "a:"),
            ("^[^*&%%\\`]+$", "/var/log", "/a%b"),
            ("^[0-9]+-[0-9]+$", "0-1", "01"),
            ("%w*%p*@+%w*%.?%w*", "a@b.c", "a.b.c"),
            ("^[a-z][a-z%d-]-[a-z%d]+$", "my-vault-1", "my-vault-"),
            ("^[%a_-][%a%d_-]*$", "-a_1", "1a"),
            ("^%d+[%.%d]*%-?.*$", "3.9.1-rc", "v3"),
            ("%.%.", "1..2", "1.2"),
        ] {
            assert!(matches(pattern, accepted), "{pattern} should accept {accepted}");
            assert!(!matches(pattern, refused), "{pattern} should refuse {refused}");
        }
    }

    #[test]
    fn a_pattern_that_is_not_understood_is_named() {
        assert!(Pattern::lua("%b()").unwrap_err().contains("%b"));
    }
}
