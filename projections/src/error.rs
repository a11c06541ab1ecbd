//! What can go wrong on the read side.

use domain::chain::ChainError;
use domain::codec::DecodeError;
use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::{Boundary, Position};

use crate::database;

/// Why the views can't be opened or can't go on. Each says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionError {
    /// The views' database refuses, and will again.
    #[error("the views' database: {0}")]
    Database(String),
    /// The views' database is away or busy: this passes.
    #[error("the views' database: {0}")]
    DatabaseUnavailable(String),
    /// The views' file isn't what was written into it.
    #[error(
        "the views are damaged: {0}; nothing is answered from them, and the next start sets views.db aside and makes it again \
         from the log"
    )]
    Damaged(String),
    /// The views were replaced while they were rebuilt here.
    #[error("the views were made again by another process meanwhile; nothing is left to do here")]
    OtherRebuild,
    /// Another process holds a later lease.
    #[error("another process projects the views now")]
    Superseded,
    /// Another process projects, and doesn't get on.
    #[error("{0}")]
    Standstill(String),
    /// The log ends before the last record that was projected: it lost its tail, or is another log.
    #[error(
        "the log has lost its tail: the views hold everything up to position {checkpoint}, but the log ends at {tail}; \
         restore the log from a backup or an export (delete the views only if the loss is accepted)"
    )]
    LostTail {
        /// The last record the views hold.
        checkpoint: Position,
        /// The last record the log has.
        tail: Position,
    },
    /// Another record stands where the views' last one was.
    #[error(
        "the log was rewritten: its record at position {checkpoint} is not the one the views were made from; \
         restore the log from a backup or an export (delete the views only if this log is the right one)"
    )]
    Rewritten {
        /// The last record the views hold.
        checkpoint: Position,
    },
    /// Positions must have no gaps.
    #[error("the log has a gap: expected position {expected}, found {found}; restore the log from an export")]
    Gap {
        /// What should have come.
        expected: Position,
        /// What came.
        found: Position,
    },
    /// A record can't stand where it stands.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A commit can't be decoded, for example because a newer program wrote it.
    #[error("position {position} ({boundary}): {source}")]
    Undecodable {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: DecodeError,
    },
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The keyring fails.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Another process moved this generation's checkpoint.
    #[error(
        "another process projects into the same views: the checkpoint isn't at position {expected} any more; \
         give each process a data directory of its own"
    )]
    Fenced {
        /// Where this process left it.
        expected: Position,
    },
    /// The process ends.
    #[error("the process is shutting down")]
    ShuttingDown,
}

impl From<sqlx::Error> for ProjectionError {
    fn from(error: sqlx::Error) -> Self {
        if database::passes(&error) {
            Self::DatabaseUnavailable(error.to_string())
        } else {
            Self::Database(error.to_string())
        }
    }
}

impl ProjectionError {
    /// Whether trying again may help.
    pub(crate) const fn passes(&self) -> bool {
        matches!(
            self,
            Self::DatabaseUnavailable(_)
                | Self::Standstill(_)
                | Self::Log(ReadError::Unavailable(_))
                | Self::Keyring(KeyringError::Unavailable(_))
        )
    }
}

/// The views don't hold what a read must see, and didn't in time: answer 503 with Retry-After and this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotCaughtUp {
    /// Why, for people.
    pub reason: String,
}

/// Why a query failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// The database failed.
    #[error("the views' database: {0}")]
    Database(String),
    /// A row doesn't have the form it should.
    #[error("the views are damaged: {0}; run `runtime-manager rebuild`")]
    Damaged(String),
    /// The views don't hold yet what the log had when the process started.
    #[error(transparent)]
    Behind(#[from] NotCaughtUp),
    /// The keys that open secrets can't be had.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl From<sqlx::Error> for ViewError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl ViewError {
    /// A row that doesn't have the form it should.
    pub(crate) fn damaged(why: impl std::fmt::Display) -> Self {
        Self::Damaged(why.to_string())
    }
}
