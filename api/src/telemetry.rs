//! Log lines: where they go, in which form, and what a panic leaves in them. What others wrote is in many of them, so nothing in a line is
//! for a terminal to obey but the formatter's own colours, and a line is one line.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write, stderr};
use std::panic;

use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::foreign_text::{around, visible, visible_json};

/// What is logged unless `RUST_LOG` says otherwise. sqlx and hyper report what the callers report again.
const DEFAULT_FILTER: &str = "info,sqlx=warn,hyper=warn,h2=warn,rustls=warn,async_nats=warn";

/// What the formatter writes for colours. It makes those in what it formats harmless itself.
const COLOURS: [&str; 9] = [
    "\u{1b}[0m",
    "\u{1b}[1m",
    "\u{1b}[2m",
    "\u{1b}[3m",
    "\u{1b}[31m",
    "\u{1b}[32m",
    "\u{1b}[33m",
    "\u{1b}[34m",
    "\u{1b}[35m",
];

/// Sends log lines to standard error, in this form, and panics into the log. Call it once, before anything logs.
pub fn install(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => {
            let builder = builder.with_writer(|| Lines {
                harmless: visible_json,
            });
            builder.json().flatten_event(true).init();
        }
        LogFormat::Text => {
            let builder = builder.with_writer(|| Lines { harmless: text_line });
            builder.with_ansi(colours()).init();
        }
    }
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        error!(location, "{}", panic_message(panic));
    }));
}

/// Standard error, a line at a time, as the formatter writes it.
struct Lines {
    harmless: fn(&str) -> Cow<'_, str>,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (text, end) = match text.strip_suffix('\n') {
            Some(text) => (text, "\n"),
            None => (&*text, ""),
        };
        let line_shown = format!("{}{end}", (self.harmless)(text));
        stderr().lock().write_all(line_shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

fn text_line(line: &str) -> Cow<'_, str> {
    around(line, &COLOURS, visible).into()
}

/// Whether standard error shows colours and its reader wants them (<https://no-color.org>).
fn colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn panic_message(panic: &panic::PanicHookInfo<'_>) -> String {
    let text = panic.payload_as_str().unwrap_or("without a message");
    format!("panicked: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_moves_no_cursor() {
        let line = "\u{1b}[2mnow\u{1b}[0m host=\u{1b}[2J\u{202e}x\nERROR forged";
        assert_eq!(
            text_line(line),
            "\u{1b}[2mnow\u{1b}[0m host=\\u{1b}[2J\\u{202e}x\\nERROR forged"
        );
    }
}
