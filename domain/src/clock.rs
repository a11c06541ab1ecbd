//! The clock's seam: rooms that need the time are handed one; tests hand in their own.

use crate::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}
