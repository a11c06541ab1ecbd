//! The payload of a commit: its changes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::envelope::{Envelope, Part};
use super::{DecodeError, EventCodec, EventRecord, to_message_pack};
use crate::keyring::KeyNotLoaded;
use crate::{
    Actor, Boundary, Change, CommitId, DataKeys, Digest, Idempotency, KeyId, Position, Timestamp, Version,
};

/// Payloads above this many bytes are compressed.
const COMPRESS_ABOVE: usize = 4 * 1024;
const ZSTD_LEVEL: i32 = 1;
/// Room for an envelope's other fields within a record.
const ENVELOPE_ROOM: usize = 1024;
/// The largest payload that decoding accepts, before compression: 256 MiB and the envelopes of its changes.
const PAYLOAD_LIMIT: usize = 320 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct ChangeRecord<'a> {
    version: Version,
    at: Timestamp,
    /// Where it differs from `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<Timestamp>,
    actor: Cow<'a, Actor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<uuid::Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency: Option<Cow<'a, Idempotency>>,
    catalogue: u32,
    events: Vec<EventRecord>,
}

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
    let records = changes
        .iter()
        .map(|change| encode_change(change, boundary, keys))
        .collect::<Result<Vec<_>, _>>()?;
    let plain = to_message_pack(&records);
    let compressed = plain.len() > COMPRESS_ABOVE;
    let payload = Bytes::from(if compressed {
        zstd::bulk::compress(&plain, ZSTD_LEVEL).expect("compressing in memory can't fail")
    } else {
        plain
    });
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

fn encode_change<'a, E: EventCodec>(
    change: &'a Change<E>,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<ChangeRecord<'a>, KeyNotLoaded> {
    Ok(ChangeRecord {
        version: change.version,
        at: change.at,
        clock: (change.clock != change.at).then_some(change.clock),
        actor: Cow::Borrowed(&change.actor),
        reason: change.reason.as_deref().map(Cow::Borrowed),
        request_id: change.request_id,
        source: change.source.as_deref().map(Cow::Borrowed),
        idempotency: change.idempotency.as_ref().map(Cow::Borrowed),
        catalogue: change.catalogue,
        events: change
            .events
            .iter()
            .map(|event| event.encode(boundary, keys))
            .collect::<Result<_, _>>()?,
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
    let plain = if compressed {
        Cow::Owned(decompress(payload)?)
    } else {
        Cow::Borrowed(payload)
    };
    let records: Vec<ChangeRecord<'_>> =
        rmp_serde::from_slice(&plain).map_err(|error| DecodeError::malformed("a commit's changes", error))?;
    records
        .into_iter()
        .map(|record| decode_change(record, boundary, keys))
        .collect()
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let size = zstd::bulk::Decompressor::upper_bound(payload)
        .unwrap_or(PAYLOAD_LIMIT)
        .min(PAYLOAD_LIMIT);
    zstd::bulk::decompress(payload, size)
        .map_err(|error| DecodeError::malformed("a commit's compressed changes", error))
}

fn decode_change<E: EventCodec>(
    record: ChangeRecord<'_>,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<Change<E>, DecodeError> {
    let events = record
        .events
        .iter()
        .map(|event| E::decode(event, boundary, keys))
        .collect::<Result<_, _>>()?;
    Ok(Change {
        version: record.version,
        at: record.at,
        clock: record.clock.unwrap_or(record.at),
        actor: record.actor.into_owned(),
        reason: record.reason.map(Cow::into_owned),
        request_id: record.request_id,
        source: record.source.map(Cow::into_owned),
        idempotency: record.idempotency.map(Cow::into_owned),
        catalogue: record.catalogue,
        events,
    })
}
