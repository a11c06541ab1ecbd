//! One record of the log: who wrote it, what it stands on, and its payload or a part of one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{DecodeError, to_message_pack};
use crate::{Boundary, CommitId, Digest, Position};

/// Codec byte: named MessagePack, payload as it is.
const PLAIN: u8 = 1;
/// Codec byte: named MessagePack, payload compressed with zstd.
const ZSTD: u8 = 2;

/// Which part of a change that didn't fit one record (DESIGN §5). It counts only when all parts stand directly one
/// after another on their subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// 0, 1, 2 …
    pub index: u32,
    /// How many parts the change has.
    pub of: u32,
    /// In the last part: where part 0 stands, so that a restart between them re-reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Position>,
}

/// A record, its payload still encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The commit's id, the same at every retry.
    pub id: CommitId,
    /// Whose it is.
    pub boundary: Boundary,
    /// The boundary's record before this one; [`Position::START`] if there is none.
    pub previous: Position,
    /// That record's digest; [`Digest::ZERO`] if there is none.
    pub previous_digest: Digest,
    /// Set where the payload is a part of a bigger one.
    pub part: Option<Part>,
    /// Whether the (whole) payload is compressed.
    pub compressed: bool,
    /// The encoded changes, or a part of them.
    pub payload: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Fields<'a> {
    id: CommitId,
    boundary: Boundary,
    previous: Position,
    previous_digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<Part>,
    #[serde(borrow, with = "serde_bytes")]
    payload: &'a [u8],
}

impl Envelope {
    /// The record's bytes.
    pub fn encode(&self) -> Bytes {
        let fields = Fields {
            id: self.id,
            boundary: self.boundary,
            previous: self.previous,
            previous_digest: self.previous_digest,
            part: self.part,
            payload: &self.payload,
        };
        let codec = if self.compressed { ZSTD } else { PLAIN };
        [&[codec], to_message_pack(&fields).as_slice()].concat().into()
    }

    /// Reads a record's bytes.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let (codec, rest) = bytes
            .split_first()
            .ok_or_else(|| DecodeError::malformed("a record", "it is empty"))?;
        let compressed = match *codec {
            PLAIN => false,
            ZSTD => true,
            other => return Err(DecodeError::UnknownCodec(other)),
        };
        let fields: Fields<'_> =
            rmp_serde::from_slice(rest).map_err(|error| DecodeError::malformed("a record", error))?;
        Ok(Self {
            id: fields.id,
            boundary: fields.boundary,
            previous: fields.previous,
            previous_digest: fields.previous_digest,
            part: fields.part,
            compressed,
            payload: bytes.slice_ref(fields.payload),
        })
    }
}
