//! The command gateway's seam: what rooms that may not import `commands` ask of it.

use std::sync::Arc;

use async_trait::async_trait;

use crate::group::{GroupCommand, GroupError, Outcome};
use crate::organization::{OrganizationCommand, OrganizationError, OrganizationOutcome};
use crate::system::SystemError;
use crate::{Cause, GroupId, OrganizationId, Position, Timestamp, Version};

/// An accepted command: durable when the caller sees this.
#[derive(Clone, Debug)]
pub struct Accepted<Outcome> {
    /// The change's number, or the boundary's newest one where nothing had to change.
    pub version: Version,
    /// The change's time, or the newest change's.
    pub at: Timestamp,
    /// The position of the boundary's newest commit as of this answer: a query that waits for it sees the change.
    pub position: Position,
    /// Whether a change was made.
    pub changed: bool,
    /// Whether this is the answer to an earlier request with the same idempotency key; the outcome then names the
    /// entities of that change, whose bodies are those at `version`.
    pub replayed: bool,
    /// What the aggregate tells the caller.
    pub outcome: Outcome,
}

/// Why a command was not (known to be) accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// The group refused it: nothing changed.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// The organization refused it: nothing changed.
    #[error(transparent)]
    Organization(#[from] OrganizationError),
    /// The system refused it: nothing changed.
    #[error(transparent)]
    System(#[from] SystemError),
    /// There is no such group (any more) in the caller's organization.
    #[error("the runtime group doesn't exist")]
    NoSuchGroup,
    /// The same idempotency key came with another request before: nothing changed.
    #[error(
        "this Idempotency-Key was used for another request (version {version}): use a new key for a new request"
    )]
    IdempotencyMismatch {
        /// The change that the key belongs to.
        version: Version,
    },
    /// The log gave no definite answer in time: the change may or may not become durable. Ask again with the same
    /// idempotency key, or look at the group's history.
    #[error(
        "the outcome is unknown: the log hasn't answered definitely yet; repeat the request with the same Idempotency-Key to learn it"
    )]
    OutcomeUnknown,
    /// The log has no room: nothing changed.
    #[error("the log is full, nothing was changed: {0}")]
    LogFull(String),
    /// Nothing was changed; try again.
    #[error("commands can't be taken for the moment, nothing was changed: {0}")]
    Unavailable(String),
}

/// The command gateway.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// A command to a group of an organization.
    async fn group(
        &self,
        organization: OrganizationId,
        group: GroupId,
        command: GroupCommand,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError>;

    /// A command to an organization.
    async fn organization(
        &self,
        organization: OrganizationId,
        command: OrganizationCommand,
        cause: Cause,
    ) -> Result<Accepted<OrganizationOutcome>, CommandError>;
}

/// A shared gateway.
pub type SharedCommands = Arc<dyn Commands>;
