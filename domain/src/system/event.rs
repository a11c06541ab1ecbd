//! What happens to the installation.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Authority, ClaimedCertificate, GroupOfOrganization};
use crate::codec::{DecodeError, EventCodec, EventRecord};
use crate::fingerprint::Fingerprint;
use crate::keyring::{KeyNotLoaded, KeyState, open, seal};
use crate::{Boundary, DataKeys, KeyId, OrganizationId, Secret};

/// A fact about the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// The installation came to be.
    Initialized {
        /// The log's identity.
        log_id: Uuid,
    },
    /// The built-in certificate authority was made.
    AuthorityCreated {
        /// It, with its private key.
        authority: Authority,
    },
    /// An organization was registered.
    OrganizationRegistered {
        /// Its id.
        id: OrganizationId,
        /// Its name.
        name: String,
    },
    /// A certificate belongs to a group from now on, whoever it belonged to before.
    CertificateClaimed {
        /// The certificate.
        fingerprint: Fingerprint,
        /// The group.
        by: GroupOfOrganization,
        /// What it is; none where it was claimed before claims said so.
        certificate: Option<ClaimedCertificate>,
    },
    /// A certificate belongs to no group any more.
    CertificateReleased {
        /// The certificate.
        fingerprint: Fingerprint,
        /// The group it belonged to.
        by: GroupOfOrganization,
    },
}

const INITIALIZED: &str = "system.initialized";
const AUTHORITY_CREATED: &str = "authority.created";
const ORGANIZATION_REGISTERED: &str = "organization.registered";
const CERTIFICATE_CLAIMED: &str = "certificate.claimed";
const CERTIFICATE_RELEASED: &str = "certificate.released";
const AUTHORITY_KEY_PLACE: &[u8] = b"rt.system/authority/key";

#[derive(Serialize, Deserialize)]
struct InitializedBody {
    log_id: Uuid,
}

#[derive(Serialize, Deserialize)]
struct AuthorityBody {
    certificate: String,
    #[serde(with = "serde_bytes")]
    key: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct ClaimBody {
    fingerprint: Fingerprint,
    by: GroupOfOrganization,
}

#[derive(Serialize, Deserialize)]
struct CertificateClaimBody {
    #[serde(with = "serde_bytes")]
    certificate: Vec<u8>,
    by: GroupOfOrganization,
}

#[derive(Serialize, Deserialize)]
struct OrganizationBody {
    id: OrganizationId,
    name: String,
}

impl EventCodec for SystemEvent {
    fn encode(&self, boundary: Boundary, keys: &dyn DataKeys) -> Result<EventRecord, KeyNotLoaded> {
        Ok(match self {
            Self::Initialized { log_id } => {
                EventRecord::new(INITIALIZED, 1, &InitializedBody { log_id: *log_id })
            }
            Self::AuthorityCreated { authority } => {
                let key = match keys.data_key(KeyId {
                    boundary,
                    owner: None,
                })? {
                    KeyState::Present(key) => {
                        seal(&key, AUTHORITY_KEY_PLACE, authority.key.expose().as_bytes())
                    }
                    KeyState::Destroyed => Vec::new(),
                };
                let certificate = authority.certificate.clone();
                EventRecord::new(AUTHORITY_CREATED, 1, &AuthorityBody { certificate, key })
            }
            Self::OrganizationRegistered { id, name } => EventRecord::new(
                ORGANIZATION_REGISTERED,
                1,
                &OrganizationBody {
                    id: *id,
                    name: name.clone(),
                },
            ),
            Self::CertificateClaimed {
                fingerprint,
                by,
                certificate: None,
            } => {
                let (fingerprint, by) = (*fingerprint, *by);
                EventRecord::new(CERTIFICATE_CLAIMED, 1, &ClaimBody { fingerprint, by })
            }
            Self::CertificateClaimed {
                by,
                certificate: Some(certificate),
                ..
            } => {
                let (certificate, by) = (certificate.der().to_vec(), *by);
                EventRecord::new(CERTIFICATE_CLAIMED, 2, &CertificateClaimBody { certificate, by })
            }
            Self::CertificateReleased { fingerprint, by } => {
                let (fingerprint, by) = (*fingerprint, *by);
                EventRecord::new(CERTIFICATE_RELEASED, 1, &ClaimBody { fingerprint, by })
            }
        })
    }

    fn decode(record: &EventRecord, boundary: Boundary, keys: &dyn DataKeys) -> Result<Self, DecodeError> {
        Ok(match (record.name.as_str(), record.version) {
            (INITIALIZED, 1) => Self::Initialized {
                log_id: record.read::<InitializedBody>()?.log_id,
            },
            (AUTHORITY_CREATED, 1) => {
                let AuthorityBody { certificate, key } = record.read()?;
                let text = match keys.data_key(KeyId {
                    boundary,
                    owner: None,
                })? {
                    KeyState::Present(data_key) => {
                        let plain = open(&data_key, AUTHORITY_KEY_PLACE, &key)
                            .ok_or(DecodeError::DoesNotOpen { boundary })?;
                        String::from_utf8(plain)
                            .map_err(|error| DecodeError::malformed("the authority's key", error))?
                    }
                    KeyState::Destroyed => String::new(),
                };
                Self::AuthorityCreated {
                    authority: Authority {
                        certificate,
                        key: Secret::new(text),
                    },
                }
            }
            (ORGANIZATION_REGISTERED, 1) => {
                let OrganizationBody { id, name } = record.read()?;
                Self::OrganizationRegistered { id, name }
            }
            (CERTIFICATE_CLAIMED, 1) => {
                let ClaimBody { fingerprint, by } = record.read()?;
                Self::CertificateClaimed {
                    fingerprint,
                    by,
                    certificate: None,
                }
            }
            (CERTIFICATE_CLAIMED, 2) => {
                let CertificateClaimBody { certificate, by } = record.read()?;
                Self::CertificateClaimed {
                    fingerprint: Fingerprint::of(&certificate),
                    by,
                    certificate: ClaimedCertificate::of_der(&certificate),
                }
            }
            (CERTIFICATE_RELEASED, 1) => {
                let ClaimBody { fingerprint, by } = record.read()?;
                Self::CertificateReleased { fingerprint, by }
            }
            _ => return Err(record.unknown()),
        })
    }

    fn owner_keys(&self, _boundary: Boundary) -> Vec<KeyId> {
        Vec::new()
    }
}
