//! Log lines: where they go, in which form, and what a panic leaves in them.

use std::io::{IsTerminal, stderr};
use std::panic;

use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What is logged unless `RUST_LOG` says otherwise. sqlx and hyper report what the callers report again.
const DEFAULT_FILTER: &str = "info,sqlx=warn,hyper=warn,h2=warn,rustls=warn,async_nats=warn";

/// Sends log lines to standard error, in this form, and panics into the log. Call it once, before anything logs.
pub fn install(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(colours()).init(),
    }
    panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        error!(location, "{}", panic_message(panic));
    }));
}

/// Whether standard error shows colours and its reader wants them (<https://no-color.org>).
fn colours() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn panic_message(panic: &panic::PanicHookInfo<'_>) -> String {
    let text = panic.payload_as_str().unwrap_or("without a message");
    format!("panicked: {text}")
}
