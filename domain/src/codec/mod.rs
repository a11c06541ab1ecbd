//! How commits become bytes and bytes commits (DESIGN §5): named MessagePack behind one codec byte, the changes
//! compressed with zstd above 4 KiB, secrets sealed on the way in and opened on the way out.
//!
//! - [`envelope`]: one record of the log: a whole commit, or a part of a change too big for one.
//! - [`changes`]: the payload: changes with named, versioned events; `payload` are its bytes.
//! - [`event`]: what each family of events implements to stand in a change.

pub mod changes;
pub mod envelope;
pub mod event;
mod payload;

pub use changes::{EncodedChanges, decode_changes, encode_changes};
pub use envelope::{Envelope, Part};
pub use event::{EventCodec, EventRecord};

use crate::Boundary;
use crate::keyring::KeyNotLoaded;

/// Why bytes are not a commit of this program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Load this key and decode again; not a fault.
    #[error(transparent)]
    KeyNotLoaded(#[from] KeyNotLoaded),
    /// The first byte names no codec.
    #[error("codec byte {0} is unknown: the log was written by a newer program, upgrade this one")]
    UnknownCodec(u8),
    /// An event's name is unknown: skipping it would make every projection lie.
    #[error(
        "event `{name}` version {version} is unknown: the log was written by a newer program, upgrade this one"
    )]
    UnknownEvent {
        /// The event's name.
        name: String,
        /// The event's schema version.
        version: u16,
    },
    /// An event names a kind that the catalogue doesn't have.
    #[error("entity kind `{0}` is unknown: the log was written by a newer program, upgrade this one")]
    UnknownKind(String),
    /// The bytes don't have the form they should.
    #[error("{what} can't be decoded: {why}")]
    Malformed {
        /// Which piece.
        what: &'static str,
        /// The decoder's words.
        why: String,
    },
    /// A sealed field doesn't open under its key: wrong key, or altered bytes.
    #[error(
        "a sealed field of {boundary} doesn't open: the keyring belongs to another log, or the record was altered"
    )]
    DoesNotOpen {
        /// Where.
        boundary: Boundary,
    },
}

impl DecodeError {
    /// Malformed, in the decoder's words.
    pub fn malformed(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Malformed {
            what,
            why: why.to_string(),
        }
    }
}

/// MessagePack with field names, the only form that survives added and optional fields.
pub(crate) fn to_message_pack<T: serde::Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("events and commits hold nothing that MessagePack can't express")
}
