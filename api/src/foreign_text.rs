//! Text that somebody else wrote, before a terminal gets it: a host's name, a label, a message may hold sequences that move the cursor,
//! hide what was printed, or turn the direction of writing. Such characters are shown instead of obeyed.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The text in one line, its control characters and those that nobody sees written as `\u{1b}`, `\n`.
pub fn visible(text: &str) -> Cow<'_, str> {
    shown(text, |_| false)
}

/// The same with its line breaks and tabs.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    shown(text, |letter| matches!(letter, '\n' | '\t'))
}

/// A value with every text in it visible.
pub fn visible_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(visible(text)),
        Value::Array(items) => items.iter().map(visible_value).collect(),
        Value::Object(members) => {
            let shown = members.iter();
            let shown = shown.map(|(name, value)| (visible(name).into_owned(), visible_value(value)));
            Value::Object(shown.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// JSON text that means the same and holds no such character.
pub fn visible_json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|letter| letter != '\n' && is_hidden(letter)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if letter == '\n' || !is_hidden(letter) {
            shown.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a string can't fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

/// A text with sequences of our own in it: these stay, and what stands between them is made harmless.
pub fn around(text: &str, own: &[&str], harmless: fn(&str) -> Cow<'_, str>) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\u{1b}') {
        let (before, from) = rest.split_at(start);
        let sequence = own.iter().find(|sequence| from.starts_with(**sequence));
        made.push_str(&harmless(before));
        let (escape, behind) = from.split_at(sequence.map_or(1, |sequence| sequence.len()));
        match sequence {
            Some(sequence) => made.push_str(sequence),
            None => made.push_str(&harmless(escape)),
        }
        rest = behind;
    }
    made.push_str(&harmless(rest));
    made
}

fn shown(text: &str, passes: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|letter| is_hidden(letter) && !passes(letter)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            letter if !is_hidden(letter) || passes(letter) => shown.push(letter),
            '\n' | '\r' | '\t' => shown.extend(letter.escape_default()),
            letter => shown.extend(letter.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal obeys a character, or shows nothing for it: controls, line separators, marks and overrides of direction, spaces
/// without width, tags.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            visible("a\u{1b}[2Jb\u{9b}31m\u{7f}"),
            "a\\u{1b}[2Jb\\u{9b}31m\\u{7f}"
        );
        assert_eq!(visible("user\u{202e}nimda\n\r\t"), "user\\u{202e}nimda\\n\\r\\t");
        assert_eq!(visible_lines("one\ntwo\tthree\r"), "one\ntwo\tthree\\r");
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        for text in ["", "Überfällig, 東京 👩‍👩‍👧 \u{301}", "نص عربي"] {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn json_means_the_same() {
        let value = json!({"a\u{202e}": ["\u{1b}[2J", "\u{9b}\u{e0041}", "plain"]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = visible_json(&text);
        assert!(shown.chars().all(|letter| letter == '\n' || !is_hidden(letter)));
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        let visible = visible_value(&value).to_string();
        assert_eq!(
            visible,
            r#"{"a\\u{202e}":["\\u{1b}[2J","\\u{9b}\\u{e0041}","plain"]}"#
        );
    }
}
