//! Events at rest: a name and a schema version that are data, never Rust identifiers, and a body.

use serde::{Deserialize, Serialize};

use super::DecodeError;
use crate::keyring::KeyNotLoaded;
use crate::{Boundary, DataKeys, KeyId};

/// One event as it stands in a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its name, for example `entity.created`.
    pub name: String,
    /// The version of its body's schema.
    pub version: u16,
    /// Named MessagePack; secrets in it are sealed.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

impl EventRecord {
    /// A record of an event whose body is this value.
    pub fn new<T: Serialize>(name: &str, version: u16, body: &T) -> Self {
        Self {
            name: name.to_owned(),
            version,
            body: super::to_message_pack(body),
        }
    }

    /// Reads the body.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        rmp_serde::from_slice(&self.body).map_err(|error| DecodeError::malformed("an event's body", error))
    }

    /// The error for a name or version that this family doesn't have.
    pub fn unknown(&self) -> DecodeError {
        DecodeError::UnknownEvent {
            name: self.name.clone(),
            version: self.version,
        }
    }
}

/// A family of events: those of one aggregate.
pub trait EventCodec: Sized {
    /// Encodes, sealing what is secret.
    fn encode(&self, boundary: Boundary, keys: &dyn DataKeys) -> Result<EventRecord, KeyNotLoaded>;

    /// Decodes any version ever written, opening what is sealed.
    fn decode(record: &EventRecord, boundary: Boundary, keys: &dyn DataKeys) -> Result<Self, DecodeError>;

    /// The owners' keys that encoding this event uses, beside the boundary's own.
    fn owner_keys(&self, boundary: Boundary) -> Vec<KeyId>;
}
