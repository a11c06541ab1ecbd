//! A group's state at rest, for a fast start (DESIGN §6): a cache of the fold, sealed like everything outside memory.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::event::{SealedField, open_body, seal_body};
use super::idempotency::{IdempotencyWindow, StoredKey};
use super::{Entity, Group};
use crate::codec::{DecodeError, to_message_pack};
use crate::keyring::KeyNotLoaded;
use crate::schema::CATALOGUE_REVISION;
use crate::{Boundary, DataKeys, EntityId, Kind, Timestamp, Version};

/// Raised whenever this encoding or what the fold computes changes; a state of another version is folded anew.
pub const STATE_VERSION: u32 = CATALOGUE_REVISION << 16 | 3;

const ZSTD_LEVEL: i32 = 1;
/// The largest state that decoding accepts: 1 GiB.
const SIZE_LIMIT: usize = 1 << 30;

#[derive(Serialize, Deserialize)]
struct StoredGroup {
    version: Version,
    at: Timestamp,
    clock: Timestamp,
    sealed: bool,
    entities: Vec<StoredEntity>,
    idempotency: Vec<StoredKey>,
    erased: Vec<(EntityId, Version)>,
}

#[derive(Serialize, Deserialize)]
struct StoredEntity {
    kind: String,
    id: EntityId,
    body: Arc<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sealed: Vec<SealedField>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    touched: Version,
}

/// Encodes a state.
pub fn encode(group: &Group, boundary: Boundary, keys: &dyn DataKeys) -> Result<Bytes, KeyNotLoaded> {
    let stored = |entity: &Arc<Entity>| {
        let (body, sealed) = seal_body(entity, boundary, keys)?;
        let Entity {
            kind,
            id,
            expires_at,
            touched,
            ..
        } = entity.as_ref();
        let (expires_at, touched) = (*expires_at, *touched);
        Ok(StoredEntity {
            kind: kind.name().to_owned(),
            id: *id,
            body,
            sealed,
            expires_at,
            touched,
        })
    };
    let state = StoredGroup {
        version: group.version,
        at: group.at,
        clock: group.clock,
        sealed: group.sealed,
        entities: group.entities().map(stored).collect::<Result<_, _>>()?,
        idempotency: group.idempotency.stored(),
        erased: group.erased.iter().map(|(id, version)| (*id, *version)).collect(),
    };
    let bytes = zstd::bulk::compress(&to_message_pack(&state), ZSTD_LEVEL);
    Ok(bytes.expect("compressing in memory can't fail").into())
}

/// Decodes a state.
pub fn decode(bytes: &[u8], boundary: Boundary, keys: &dyn DataKeys) -> Result<Group, DecodeError> {
    let malformed = |error: &dyn std::fmt::Display| DecodeError::malformed("a stored state", error);
    let size = zstd::bulk::Decompressor::upper_bound(bytes)
        .unwrap_or(SIZE_LIMIT)
        .min(SIZE_LIMIT);
    let plain = zstd::bulk::decompress(bytes, size).map_err(|error| malformed(&error))?;
    let stored: StoredGroup = rmp_serde::from_slice(&plain).map_err(|error| malformed(&error))?;
    let mut group = Group {
        version: stored.version,
        at: stored.at,
        clock: stored.clock,
        sealed: stored.sealed,
        idempotency: IdempotencyWindow::from_stored(stored.idempotency),
        erased: stored.erased.into_iter().collect(),
        ..Group::default()
    };
    for entity in stored.entities {
        let kind = Kind::named(&entity.kind).ok_or(DecodeError::UnknownKind(entity.kind))?;
        let opened = open_body(kind, entity.id, entity.body, &entity.sealed, boundary, keys)?;
        group.insert(Arc::new(Entity {
            expires_at: entity.expires_at,
            touched: entity.touched,
            ..opened
        }));
    }
    Ok(group)
}
