//! How a text stands in a shell script, whatever it holds.

/// The text as one word.
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A comment of one line.
pub(super) fn comment(text: &str) -> String {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    format!("# {line}\n")
}

/// A command whose input is the text. The text is one of ours and holds no line that says only `END`.
pub(super) fn with_input(command: &str, text: &str) -> String {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("{command} <<'END'\n{text}{end}END\n")
}
