//! Why an organization refuses a command.

use crate::{GroupId, NodeCertificateId, Timestamp, TokenId, Version};

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationError {
    /// A field has a value it may not have.
    #[error("{field} {reason}")]
    Invalid {
        /// Which field.
        field: String,
        /// What it must be.
        reason: String,
    },
    /// Another group has this name.
    #[error("a runtime group named '{name}' already exists (id {holder}): choose another name")]
    NameTaken {
        /// The name.
        name: String,
        /// Its holder.
        holder: GroupId,
    },
    /// Another group has this id.
    #[error("a runtime group with the id {0} already exists or existed")]
    IdTaken(GroupId),
    /// There is no such group.
    #[error("the runtime group {0} doesn't exist")]
    NoSuchGroup(GroupId),
    /// The group isn't deleted.
    #[error("the runtime group {0} isn't deleted, so there is nothing to restore")]
    NotDeleted(GroupId),
    /// The group isn't deleted, so it can't be purged.
    #[error("the runtime group {0} isn't deleted: delete it first, then purge it")]
    StillExists(GroupId),
    /// The group was purged.
    #[error(
        "the runtime group {id} was purged at {at}: it can't be restored, its secrets are erased for ever"
    )]
    Purged {
        /// The group.
        id: GroupId,
        /// When.
        at: Timestamp,
    },
    /// The default group is protected.
    #[error("the runtime group 'default' can be neither renamed nor deleted")]
    DefaultGroup,
    /// There is no such token.
    #[error("the token {0} doesn't exist")]
    NoSuchToken(TokenId),
    /// The group has no such certificate.
    #[error("the certificate {0} doesn't exist in this runtime group")]
    NoSuchCertificate(NodeCertificateId),
    /// The group was touched since by another change than the one expected.
    #[error(
        "the runtime group was last touched by organization change {actual}: read it again and repeat the change"
    )]
    Precondition {
        /// The change that last touched it.
        actual: Version,
    },
    /// The group's instances are of another type.
    #[error(
        "the runtime group's instances are of the type {actual}, not {wanted}: every instance of a group is of one type"
    )]
    RuntimeType {
        /// What they are.
        actual: &'static str,
        /// What came.
        wanted: &'static str,
    },
    /// The organization exists already.
    #[error("the organization exists already")]
    AlreadyCreated,
    /// The group has as many certificates as it may have.
    #[error("usage limits have been reached: at most {limit} {what} in a runtime group; {remedy}")]
    CertificateLimit {
        /// Of which kind.
        what: &'static str,
        /// How many.
        limit: usize,
        /// Which could go.
        remedy: String,
    },
    /// A limit is reached.
    #[error("usage limits have been reached: at most {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: usize,
    },
}

impl OrganizationError {
    /// A field with a value it may not have.
    pub fn invalid(field: &str, reason: &str) -> Self {
        Self::Invalid {
            field: field.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
