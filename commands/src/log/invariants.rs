//! The rules that every log keeps: positions are 1, 2, 3 … without gaps, a log never ends before what somebody has
//! already read, and a record has a largest size.

use domain::Position;
use domain::log::{AppendError, ReadError};

/// Checks that the records read follow one another.
#[derive(Debug)]
pub(crate) struct Continuity {
    last: Position,
}

impl Continuity {
    /// The next record must stand right after this position.
    pub(crate) const fn after(last: Position) -> Self {
        Self { last }
    }

    /// The position of the last record accepted.
    pub(crate) const fn last(&self) -> Position {
        self.last
    }

    /// Accepts the record at `found` if it is the next one.
    pub(crate) fn accept(&mut self, found: Position) -> Result<(), ReadError> {
        let expected = self.last.next();
        if found != expected {
            return Err(ReadError::Gap { expected, found });
        }
        self.last = found;
        Ok(())
    }
}

/// Refuses to continue after a position that the log doesn't hold: its tail was lost, or it is another log.
pub(crate) fn check_tail(tail: Position, checkpoint: Position) -> Result<(), ReadError> {
    if checkpoint <= tail {
        return Ok(());
    }
    Err(ReadError::Damaged(format!(
        "the log ends at {tail}, before the checkpoint {checkpoint}: its tail is lost or it is another log; restore it \
         from an export, or rebuild what holds the checkpoint"
    )))
}

/// Refuses a record that is larger than one append takes.
pub(crate) fn check_size(bytes: usize, limit: usize) -> Result<(), AppendError> {
    if bytes <= limit {
        return Ok(());
    }
    Err(AppendError::Refused(format!(
        "it has {bytes} bytes, one record has at most {limit}"
    )))
}
