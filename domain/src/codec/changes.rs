//! The payload of a commit: its changes.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::envelope::{Envelope, Part};
use super::{DecodeError, EventCodec, payload};
use crate::keyring::KeyNotLoaded;
use crate::{Boundary, Change, CommitId, DataKeys, Digest, KeyId, Position};

/// Room for an envelope's other fields within a record.
const ENVELOPE_ROOM: usize = 1024;
/// Encoded changes, ready to be wrapped into one record, or into several where one is too small for them.
#[derive(Clone, Debug)]
pub struct EncodedChanges {
    id: CommitId,
    boundary: Boundary,
    compressed: bool,
    chunks: Vec<Bytes>,
}

impl EncodedChanges {
    /// How many records these changes take: 1 for all but the biggest.
    pub fn parts(&self) -> usize {
        self.chunks.len()
    }

    /// The record number `index`, standing after the boundary's record at `previous`. `first` is the position of part
    /// 0, which the last of several parts names.
    pub fn record(
        &self,
        index: usize,
        previous: Position,
        previous_digest: Digest,
        first: Option<Position>,
    ) -> Bytes {
        let of = self.chunks.len();
        let part = (of > 1).then(|| Part {
            index: index as u32,
            of: of as u32,
            first: first.filter(|_| index + 1 == of),
        });
        let payload = self.chunks[index].clone();
        Envelope {
            id: self.id,
            boundary: self.boundary,
            previous,
            previous_digest,
            part,
            compressed: self.compressed,
            payload,
        }
        .encode()
    }
}

/// Encodes changes, sealing their secrets. `record_limit` is the log's largest record in bytes.
pub fn encode_changes<E: EventCodec>(
    id: CommitId,
    boundary: Boundary,
    changes: &[Change<E>],
    keys: &dyn DataKeys,
    record_limit: usize,
) -> Result<EncodedChanges, KeyNotLoaded> {
    let (payload, compressed) = payload::written(changes, boundary, keys)?;
    let chunk = record_limit.saturating_sub(ENVELOPE_ROOM).max(1);
    let chunks = (0..payload.len().max(1).div_ceil(chunk))
        .map(|index| payload.slice(index * chunk..((index + 1) * chunk).min(payload.len())))
        .collect();
    Ok(EncodedChanges {
        id,
        boundary,
        compressed,
        chunks,
    })
}

/// Every data key that encoding these changes uses: the boundary's own and those of the owners concerned.
pub fn needed_keys<E: EventCodec>(boundary: Boundary, changes: &[Change<E>]) -> BTreeSet<KeyId> {
    let owners = changes
        .iter()
        .flat_map(|change| &change.events)
        .flat_map(|event| event.owner_keys(boundary));
    owners
        .chain([KeyId {
            boundary,
            owner: None,
        }])
        .collect()
}

/// Decodes a payload.
pub fn decode_changes<E: EventCodec>(
    payload: &[u8],
    compressed: bool,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<Vec<Change<E>>, DecodeError> {
    payload::read(payload, compressed, boundary, keys)
}
