//! The system's clock: the one place in the program that reads the time (DESIGN §13, law 3).

use chrono::Utc;
use domain::{Clock, Timestamp};

/// Tells the time of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock; everybody else is handed a Clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_millis())
    }
}
