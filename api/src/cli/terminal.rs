//! The one place that writes to standard output and standard error: results to the first, everything else to the second; colours
//! only where a terminal shows them and nobody asked for none (<https://no-color.org>).

use std::io::{self, IsTerminal, Write};

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

/// Writes a line to standard output.
pub fn print(line: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes())?;
    if !line.ends_with('\n') {
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Writes a line to standard error. That nobody can read it there is no reason to fail.
pub fn note(line: &str) {
    let mut output = io::stderr().lock();
    drop(writeln!(output, "{line}"));
}

/// Writes a question to standard error, without a line break.
pub fn ask(question: &str) -> io::Result<String> {
    let mut output = io::stderr().lock();
    write!(output, "{question}")?;
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

fn colours(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint_if(coloured: bool, text: &str, style: Style) -> String {
    if coloured {
        format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
    } else {
        text.to_owned()
    }
}
