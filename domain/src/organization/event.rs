//! What happens in an organization.

use serde::{Deserialize, Serialize};

use super::group_record::GroupRecord;
use super::node_certificate::NodeCertificate;
use super::token_record::TokenRecord;
use crate::codec::{DecodeError, EventCodec, EventRecord};
use crate::fingerprint::Fingerprint;
use crate::keyring::KeyNotLoaded;
use crate::sealed_text::{key_of, open_text, seal_text};
use crate::{Boundary, DataKeys, Digest, GroupId, KeyId, NodeCertificateId, NodeId, OrganizationId, Version};

/// A fact about an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrganizationEvent {
    /// It came to be.
    OrganizationCreated {
        /// Its id.
        id: OrganizationId,
        /// Its name.
        name: String,
    },
    /// A group came to be.
    GroupCreated {
        /// It, as it now is.
        group: GroupRecord,
    },
    /// A group changed.
    GroupUpdated {
        /// It, as it now is.
        group: GroupRecord,
        /// The fields that changed.
        changed: Vec<String>,
    },
    /// A group was deleted; its history stays.
    GroupDeleted {
        /// It, as it now is.
        group: GroupRecord,
    },
    /// A deleted group was restored.
    GroupRestored {
        /// It, as it now is.
        group: GroupRecord,
    },
    /// A deleted group was purged: its keys are destroyed once this is durable.
    GroupPurged {
        /// What is left of it.
        group: GroupRecord,
    },
    /// A token was issued.
    TokenIssued {
        /// It, without its secret.
        token: TokenRecord,
    },
    /// A token was revoked.
    TokenRevoked {
        /// It, as it now is.
        token: TokenRecord,
    },
    /// A token came back with its group.
    TokenRestored {
        /// It, as it now is.
        token: TokenRecord,
    },
    /// A certificate opens a group.
    NodeCertificateAdded {
        /// It.
        certificate: NodeCertificate,
    },
    /// A certificate opens its group no more.
    NodeCertificateRemoved {
        /// Its group.
        group: GroupId,
        /// Its id.
        id: NodeCertificateId,
        /// What identified it.
        fingerprint: Fingerprint,
        /// Whose it was.
        subject: String,
    },
    /// An instance was admitted with a credential for the first time.
    NodeAdmitted {
        /// Its group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// Its host name, as it says.
        hostname: String,
        /// What it showed.
        credential: String,
    },
    /// An instance refused a configuration for the first time.
    NodeRefused {
        /// Its group.
        group: GroupId,
        /// The node.
        node: NodeId,
        /// The group version it refused.
        version: Version,
        /// The digest it refused.
        digest: Digest,
        /// Why, in its words.
        reason: String,
    },
}

const ORGANIZATION_CREATED: &str = "organization.created";
const GROUP_CREATED: &str = "group.created";
const GROUP_UPDATED: &str = "group.updated";
const GROUP_DELETED: &str = "group.deleted";
const GROUP_RESTORED: &str = "group.restored";
const GROUP_PURGED: &str = "group.purged";
const TOKEN_ISSUED: &str = "token.issued";
const TOKEN_REVOKED: &str = "token.revoked";
const TOKEN_RESTORED: &str = "token.restored";
const NODE_CERTIFICATE_ADDED: &str = "node-certificate.added";
const NODE_CERTIFICATE_REMOVED: &str = "node-certificate.removed";
const NODE_ADMITTED: &str = "node.admitted";
const NODE_REFUSED: &str = "node.refused";

#[derive(Serialize, Deserialize)]
struct CreatedBody {
    id: OrganizationId,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct GroupBody {
    group: GroupRecord,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct TokenBody {
    token: TokenRecord,
}

#[derive(Serialize, Deserialize)]
struct CertificateBody {
    certificate: NodeCertificate,
}

#[derive(Serialize, Deserialize)]
struct RemovedCertificateBody {
    group: GroupId,
    id: NodeCertificateId,
    fingerprint: Fingerprint,
    subject: String,
}

#[derive(Serialize, Deserialize)]
struct AdmittedBody {
    group: GroupId,
    node: NodeId,
    hostname: String,
    credential: String,
}

#[derive(Serialize, Deserialize)]
struct RefusedBody {
    group: GroupId,
    node: NodeId,
    version: Version,
    digest: Digest,
    reason: String,
}

/// Since version 2 of the event: what an instance says of a configuration may repeat what is secret in it.
#[derive(Serialize, Deserialize)]
struct SealedRefusedBody {
    group: GroupId,
    node: NodeId,
    version: Version,
    digest: Digest,
    #[serde(with = "serde_bytes")]
    reason: Vec<u8>,
}

fn place_of_reason(node: NodeId, version: Version) -> String {
    format!("{NODE_REFUSED}/{}/{version}", node.0)
}

impl EventCodec for OrganizationEvent {
    fn encode(&self, _boundary: Boundary, keys: &dyn DataKeys) -> Result<EventRecord, KeyNotLoaded> {
        let group = |name, group: &GroupRecord, changed: &[String]| {
            EventRecord::new(
                name,
                1,
                &GroupBody {
                    group: group.clone(),
                    changed: changed.to_vec(),
                },
            )
        };
        let token =
            |name, token: &TokenRecord| EventRecord::new(name, 1, &TokenBody { token: token.clone() });
        Ok(match self.clone() {
            Self::OrganizationCreated { id, name } => {
                EventRecord::new(ORGANIZATION_CREATED, 1, &CreatedBody { id, name })
            }
            Self::GroupCreated { group: record } => group(GROUP_CREATED, &record, &[]),
            Self::GroupUpdated {
                group: record,
                changed,
            } => group(GROUP_UPDATED, &record, &changed),
            Self::GroupDeleted { group: record } => group(GROUP_DELETED, &record, &[]),
            Self::GroupRestored { group: record } => group(GROUP_RESTORED, &record, &[]),
            Self::GroupPurged { group: record } => group(GROUP_PURGED, &record, &[]),
            Self::TokenIssued { token: record } => token(TOKEN_ISSUED, &record),
            Self::TokenRevoked { token: record } => token(TOKEN_REVOKED, &record),
            Self::TokenRestored { token: record } => token(TOKEN_RESTORED, &record),
            Self::NodeCertificateAdded { certificate } => {
                EventRecord::new(NODE_CERTIFICATE_ADDED, 1, &CertificateBody { certificate })
            }
            Self::NodeCertificateRemoved {
                group,
                id,
                fingerprint,
                subject,
            } => EventRecord::new(
                NODE_CERTIFICATE_REMOVED,
                1,
                &RemovedCertificateBody {
                    group,
                    id,
                    fingerprint,
                    subject,
                },
            ),
            Self::NodeAdmitted {
                group,
                node,
                hostname,
                credential,
            } => EventRecord::new(
                NODE_ADMITTED,
                1,
                &AdmittedBody {
                    group,
                    node,
                    hostname,
                    credential,
                },
            ),
            Self::NodeRefused {
                group,
                node,
                version,
                digest,
                reason,
            } => EventRecord::new(
                NODE_REFUSED,
                2,
                &SealedRefusedBody {
                    group,
                    node,
                    version,
                    digest,
                    reason: seal_text(group, &place_of_reason(node, version), &reason, keys)?,
                },
            ),
        })
    }

    fn decode(record: &EventRecord, _boundary: Boundary, keys: &dyn DataKeys) -> Result<Self, DecodeError> {
        let group = || record.read::<GroupBody>();
        let token = || record.read::<TokenBody>().map(|body| body.token);
        Ok(match (record.name.as_str(), record.version) {
            (ORGANIZATION_CREATED, 1) => {
                let CreatedBody { id, name } = record.read()?;
                Self::OrganizationCreated { id, name }
            }
            (GROUP_CREATED, 1) => Self::GroupCreated {
                group: group()?.group,
            },
            (GROUP_UPDATED, 1) => {
                let GroupBody { group, changed } = group()?;
                Self::GroupUpdated { group, changed }
            }
            (GROUP_DELETED, 1) => Self::GroupDeleted {
                group: group()?.group,
            },
            (GROUP_RESTORED, 1) => Self::GroupRestored {
                group: group()?.group,
            },
            (GROUP_PURGED, 1) => Self::GroupPurged {
                group: group()?.group,
            },
            (TOKEN_ISSUED, 1) => Self::TokenIssued { token: token()? },
            (TOKEN_REVOKED, 1) => Self::TokenRevoked { token: token()? },
            (TOKEN_RESTORED, 1) => Self::TokenRestored { token: token()? },
            (NODE_CERTIFICATE_ADDED, 1) => Self::NodeCertificateAdded {
                certificate: record.read::<CertificateBody>()?.certificate,
            },
            (NODE_CERTIFICATE_REMOVED, 1) => {
                let RemovedCertificateBody {
                    group,
                    id,
                    fingerprint,
                    subject,
                } = record.read()?;
                Self::NodeCertificateRemoved {
                    group,
                    id,
                    fingerprint,
                    subject,
                }
            }
            (NODE_ADMITTED, 1) => {
                let AdmittedBody {
                    group,
                    node,
                    hostname,
                    credential,
                } = record.read()?;
                Self::NodeAdmitted {
                    group,
                    node,
                    hostname,
                    credential,
                }
            }
            (NODE_REFUSED, 1) => {
                let RefusedBody {
                    group,
                    node,
                    version,
                    digest,
                    reason,
                } = record.read()?;
                Self::NodeRefused {
                    group,
                    node,
                    version,
                    digest,
                    reason,
                }
            }
            (NODE_REFUSED, 2) => {
                let SealedRefusedBody {
                    group,
                    node,
                    version,
                    digest,
                    reason,
                } = record.read()?;
                Self::NodeRefused {
                    group,
                    node,
                    version,
                    digest,
                    reason: open_text(group, &place_of_reason(node, version), &reason, keys)?,
                }
            }
            _ => return Err(record.unknown()),
        })
    }

    fn owner_keys(&self, _boundary: Boundary) -> Vec<KeyId> {
        match self {
            Self::NodeRefused { group, .. } => vec![key_of(*group)],
            _ => Vec::new(),
        }
    }
}
