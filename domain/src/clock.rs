//! The clock's seam: rooms that need the time are handed one; tests hand in their own.

use std::time::Duration;

use crate::Timestamp;

/// By how much clocks may differ without any of them being wrong: those of several machines, and one that is being set
/// right. 5 minutes.
pub const TOLERANCE: Duration = Duration::from_secs(5 * 60);

impl Timestamp {
    /// The latest time that a right clock may have written by now.
    pub const fn latest_plausible(self) -> Self {
        self.plus_seconds(TOLERANCE.as_secs().cast_signed())
    }
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}
