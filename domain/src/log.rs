//! The event log's seam (DESIGN §5): one trait, implemented in `commands` for memory, SQLite and NATS JetStream.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::{Boundary, CommitId, Position};

/// The guard of an append: what the last record of that boundary must be. There is no "any".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The boundary has no record yet.
    Empty,
    /// The boundary's last record stands here.
    At(Position),
}

impl Expected {
    /// As a number: 0 for empty.
    pub const fn sequence(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::At(position) => position.0,
        }
    }

    /// The guard after this position, `None` or [`Position::START`] meaning empty.
    pub const fn after(position: Option<Position>) -> Self {
        match position {
            None | Some(Position::START) => Self::Empty,
            Some(position) => Self::At(position),
        }
    }
}

/// One encoded record as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number.
    pub position: Position,
    /// Whose it is.
    pub boundary: Boundary,
    /// What [`crate::codec`] encoded.
    pub bytes: Bytes,
}

/// A record that an import puts back at the position it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The record and where it belongs.
    pub record: Record,
    /// Its boundary's record before it.
    pub expected: Expected,
    /// The same at every attempt.
    pub id: CommitId,
}

/// Why an append was not (known to be) stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else's record stands after the guard, or one is in flight: catch up and decide again.
    #[error("another writer appended to this boundary first")]
    Conflict,
    /// The log may or may not hold the record, or may hold it later: send the same record with the same guard again.
    #[error("the log gave no definite answer: {0}")]
    Unknown(String),
    /// The log can't be reached for the moment: nothing was stored.
    #[error("the log takes nothing for the moment: {0}")]
    Away(String),
    /// The log has no room: nothing was stored.
    #[error("the log is full: {0}; free space or raise its limit, then writing resumes by itself")]
    Full(String),
    /// Definitely refused for another reason: nothing was stored.
    #[error("the log refused the record: {0}")]
    Refused(String),
}

/// Why the log could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// For the moment; try again.
    #[error("the log can't be read for the moment: {0}")]
    Unavailable(String),
    /// Positions must have no gaps.
    #[error(
        "the log has a gap: expected position {expected}, found {found}; records are missing, restore the log from an export"
    )]
    Gap {
        /// What should have come.
        expected: Position,
        /// What came.
        found: Position,
    },
    /// The log isn't the one this program knows, or has lost records.
    #[error("the log is damaged: {0}")]
    Damaged(String),
}

/// An append-only log of records with a guard per boundary. Every adapter passes `commands`' conformance suite.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Appends one record, durable when this answers. `id` makes a repeated append recognizable where the engine can.
    /// A repeat of a record that is already stored answers `Conflict` or its position, never stores it twice.
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError>;

    /// Appends consecutive records exactly at their positions, for an import into a log that nobody else writes to.
    /// After an error a beginning of them may be stored, now or later, but never one at another position.
    async fn append_at(&self, records: Vec<Placed>) -> Result<(), AppendError> {
        for Placed { record, expected, id } in records {
            let tail = self
                .tail()
                .await
                .map_err(|error| AppendError::Unknown(error.to_string()))?;
            if record.position != tail.next() {
                return Err(AppendError::Conflict);
            }
            self.append(record.boundary, expected, id, record.bytes).await?;
        }
        Ok(())
    }

    /// Records of all boundaries after `after`, in position order, without gaps; then waits for new ones for ever.
    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>>;

    /// Records of one boundary after `after`, up to what was durable at the call (read from the leader), then ends.
    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>>;

    /// The record at a position, `None` past the tail.
    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError>;

    /// The newest durable position of all.
    async fn tail(&self) -> Result<Position, ReadError>;

    /// The newest durable position of one boundary.
    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError>;

    /// Checks what the engine keeps beside the records themselves, as far as it keeps anything that could be wrong.
    async fn check_storage(&self) -> Result<(), ReadError> {
        Ok(())
    }

    /// The largest record that one append takes, in bytes (900 KiB on every engine).
    fn record_limit(&self) -> usize {
        900 * 1024
    }
}
