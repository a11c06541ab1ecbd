//! The program's time: the one place that reads the machine's clock.
//!
//! - [`machine`]: what the machine tells: the time, and for how long it has run.
//! - [`steady`]: the clock that the program goes by. It follows the machine's, but never jumps with it.
//! - [`record`]: what it said last, kept in the data directory; [`believe`]: whether a start may believe the machine's clock.

pub mod believe;
pub mod machine;
pub mod record;
pub mod steady;

pub use machine::SystemClock;

use std::time::Duration;

/// A time span in words: `3 days 4 h`, `12 min 5 s`, `0.4 s`.
pub(crate) fn span(milliseconds: i64) -> String {
    let span = Duration::from_millis(milliseconds.unsigned_abs());
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 => format!("{:.1} s", span.as_secs_f64()),
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} days {hours} h"),
    }
}
