//! The one place that writes to standard output and standard error: results to the first, everything else to the second; colours
//! only where a terminal shows them and nobody asked for none (<https://no-color.org>). Nothing that a terminal would obey is written but
//! these colours: most of what is printed somebody else wrote.

use std::io::{self, BufWriter, IsTerminal, Write};

use super::indented_json;
use crate::foreign_text::{around, visible_json, visible_lines};

/// A colour or weight of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Something came to be, or is well.
    Good,
    /// Something changed, or needs a look.
    Notice,
    /// Something is gone or wrong.
    Bad,
    /// A heading.
    Heading,
    /// Beside the point.
    Faint,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Notice => "33",
            Self::Bad => "31",
            Self::Heading => "1",
            Self::Faint => "2",
        }
    }
}

/// Writes lines to standard output.
pub fn print(lines: &str) -> io::Result<()> {
    write(&harmless(lines))
}

/// Writes JSON to standard output; it means the same, whatever is in it.
pub fn print_json(text: &str) -> io::Result<()> {
    write(&visible_json(text))
}

/// Writes JSON to standard output with a line for each member and element; it means the same, whatever is in it.
pub fn print_indented(json: &str) -> io::Result<()> {
    let mut output = BufWriter::new(io::stdout().lock());
    indented_json::write(json, &mut output)?;
    output.write_all(b"\n")?;
    output.flush()
}

/// Writes a document, such as a declarative file or a script, to standard output: as it is for a program or a file, harmless on a terminal.
pub fn print_document(text: &str) -> io::Result<()> {
    match io::stdout().is_terminal() {
        true => write(&visible_lines(text)),
        false => write(text),
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Writes a line to standard error. That nobody can read it there is no reason to fail.
pub fn note(line: &str) {
    let mut output = io::stderr().lock();
    drop(writeln!(output, "{}", harmless(line)));
}

/// Writes a question to standard error, without a line break.
pub fn ask(question: &str) -> io::Result<String> {
    let mut output = io::stderr().lock();
    write!(output, "{}", harmless(question))?;
    output.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// The text as standard output shows it in that style.
pub fn paint(text: &str, style: Style) -> String {
    paint_if(colours(io::stdout().is_terminal()), text, style)
}

/// The text as standard error shows it in that style.
pub fn paint_note(text: &str, style: Style) -> String {
    paint_if(colours(io::stderr().is_terminal()), text, style)
}

/// Whether a person can answer a question.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether somebody watches standard error, so that progress can be shown there.
pub fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// What [`paint`] writes.
const COLOURS: [&str; 6] = [
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[31m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[0m",
];

fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The lines with nothing for a terminal to obey but the colours of [`paint`].
fn harmless(lines: &str) -> String {
    around(lines, &COLOURS, visible_lines)
}

fn paint_if(coloured: bool, text: &str, style: Style) -> String {
    if coloured {
        format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_are_left_to_obey() {
        for style in [
            Style::Good,
            Style::Notice,
            Style::Bad,
            Style::Heading,
            Style::Faint,
        ] {
            let painted = format!("a\n{}", paint_if(true, "text", style));
            assert_eq!(harmless(&painted), painted);
        }
        assert_eq!(
            harmless("\u{1b}[2J\u{1b}]0;title\u{7}"),
            "\\u{1b}[2J\\u{1b}]0;title\\u{7}"
        );
    }
}
