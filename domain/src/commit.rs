//! What stands in the log: commits of consecutive changes of one boundary (DESIGN §5).

use serde::{Deserialize, Serialize};

use crate::{Actor, Boundary, CommitId, Digest, Idempotency, Timestamp};

/// A record's sequence number in the log: 1, 2, 3 … without gaps. [`Position::START`] stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// Before the first record.
    pub const START: Self = Self(0);

    /// The position after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A change's number within its boundary: 1, 2, 3 … without gaps; 0 is "before the first change".
pub type Version = u64;

/// One accepted command: one actor, one time, one reason, one or more events.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<Event> {
    /// Its number within the boundary.
    pub version: Version,
    /// When, as its place in the order says: never before the boundary's previous change.
    pub at: Timestamp,
    /// When by the clock of who decided it: before `at` where an earlier change was made by a clock that was ahead.
    /// Whatever has a lifetime counts by this one.
    pub clock: Timestamp,
    /// Who.
    pub actor: Actor,
    /// Why, if somebody said.
    pub reason: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<uuid::Uuid>,
    /// The address it came from.
    pub source: Option<String>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
    /// The schema catalogue's revision when it was decided.
    pub catalogue: u32,
    /// What happened, at least one.
    pub events: Vec<Event>,
}

/// One durable record of one or more consecutive changes of one boundary, opened and typed.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Kept over every retry of the same append.
    pub id: CommitId,
    /// Where it stands: for a change in parts, its last part's position.
    pub position: Position,
    /// Digest of the record at that position (the hash chain's newest link).
    pub digest: Digest,
    /// What it did.
    pub changes: Changes,
}

/// A commit's changes, typed by its boundary.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// Of the system.
    System(Vec<Change<crate::system::SystemEvent>>),
    /// Of an organization.
    Organization(
        crate::OrganizationId,
        Vec<Change<crate::organization::OrganizationEvent>>,
    ),
    /// Of a runtime group.
    Group(crate::GroupId, Vec<Change<crate::group::GroupEvent>>),
}

impl Changes {
    /// The boundary they belong to.
    pub const fn boundary(&self) -> Boundary {
        match self {
            Self::System(_) => Boundary::System,
            Self::Organization(id, _) => Boundary::Organization(*id),
            Self::Group(id, _) => Boundary::Group(*id),
        }
    }
}
