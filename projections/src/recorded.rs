//! What an organization's events record of groups, tokens, certificates and instances: their history shows it.

use domain::organization::{GroupRecord, NodeCertificate, OrganizationEvent, TokenRecord};
use domain::token::TokenHash;
use domain::{Digest, GroupId, Version};
use serde::{Deserialize, Serialize};

/// What an event recorded of the thing it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recorded {
    /// A group, as it was then.
    Group(Box<GroupRecord>),
    /// A token, as it was then; its hash is blank.
    Token(Box<TokenRecord>),
    /// A certificate, as it was then.
    Certificate(Box<NodeCertificate>),
    /// An instance was admitted.
    Admission {
        /// Its group.
        group: GroupId,
        /// What it showed.
        credential: String,
    },
    /// An instance refused a configuration.
    Refusal {
        /// Its group.
        group: GroupId,
        /// The group's version.
        version: Version,
        /// What it refused.
        digest: Digest,
        /// Why, in its words.
        reason: String,
    },
}

impl Recorded {
    /// What an event records; none where it only says that something is gone.
    pub(crate) fn of(event: &OrganizationEvent) -> Option<Self> {
        Some(match event {
            OrganizationEvent::OrganizationCreated { .. }
            | OrganizationEvent::NodeCertificateRemoved { .. } => return None,
            OrganizationEvent::GroupCreated { group }
            | OrganizationEvent::GroupUpdated { group, .. }
            | OrganizationEvent::GroupDeleted { group }
            | OrganizationEvent::GroupRestored { group }
            | OrganizationEvent::GroupPurged { group } => Self::Group(Box::new(group.clone())),
            OrganizationEvent::TokenIssued { token }
            | OrganizationEvent::TokenRevoked { token }
            | OrganizationEvent::TokenRestored { token } => Self::Token(Box::new(TokenRecord {
                hash: TokenHash([0; 32]),
                ..token.clone()
            })),
            OrganizationEvent::NodeCertificateAdded { certificate } => {
                Self::Certificate(Box::new(certificate.clone()))
            }
            OrganizationEvent::NodeAdmitted {
                group, credential, ..
            } => Self::Admission {
                group: *group,
                credential: credential.clone(),
            },
            OrganizationEvent::NodeRefused {
                group,
                version,
                digest,
                reason,
                ..
            } => Self::Refusal {
                group: *group,
                version: *version,
                digest: *digest,
                reason: reason.clone(),
            },
        })
    }
}
