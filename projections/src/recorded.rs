//! What an organization's events record of groups, tokens, certificates and instances: their history shows it.

use domain::codec::DecodeError;
use domain::keyring::KeyNotLoaded;
use domain::organization::{GroupRecord, NodeCertificate, OrganizationEvent, TokenRecord};
use domain::sealed_text::{open_text, seal_text};
use domain::token::TokenHash;
use domain::{DataKeys, Digest, GroupId, Version};
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
        /// Why, in its words; empty where they stand sealed.
        reason: String,
        /// The words as they rest: they may repeat what is secret in the group.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sealed: Vec<u8>,
    },
}

/// Where an instance's words rest in the views.
const PLACE: &str = "views/node.refused";

impl Recorded {
    /// What an event says that rests sealed; none for most.
    pub(crate) fn sealed_words(
        event: &OrganizationEvent,
        keys: &dyn DataKeys,
    ) -> Result<Option<Vec<u8>>, KeyNotLoaded> {
        match event {
            OrganizationEvent::NodeRefused { group, reason, .. } => {
                seal_text(*group, PLACE, reason, keys).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Puts the sealed words in place of the plain ones.
    pub(crate) fn hide_words(&mut self, words: Vec<u8>) {
        if let Self::Refusal { reason, sealed, .. } = self {
            (*reason, *sealed) = (String::new(), words);
        }
    }

    /// Puts the plain words in place of the sealed ones.
    pub(crate) fn open_words(&mut self, keys: &dyn DataKeys) -> Result<(), DecodeError> {
        if let Self::Refusal {
            group,
            reason,
            sealed,
            ..
        } = self
            && reason.is_empty()
        {
            *reason = open_text(*group, PLACE, sealed, keys)?;
            sealed.clear();
        }
        Ok(())
    }

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
                sealed: Vec::new(),
            },
        })
    }
}
