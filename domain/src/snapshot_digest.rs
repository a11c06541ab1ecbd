//! The content hash of a group's configuration (DESIGN §4), kept incrementally by server and agent alike.

use std::sync::Arc;

use imbl::OrdMap;

use crate::bucket_tree::BucketTree;
use crate::group::Entity;
use crate::{Digest, EntityId, Kind};

/// The digest of one entity: its kind, id and canonical body.
pub fn entity_digest(kind: Kind, id: EntityId, body: &str) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(kind.name().as_bytes())
        .update(&[0])
        .update(id.0.as_bytes())
        .update(body.as_bytes());
    Digest(*hasher.finalize().as_bytes())
}

/// The bucket of an entity: the first 10 bits of BLAKE3(kind, id).
fn bucket_of(kind: Kind, id: EntityId) -> u16 {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(kind.name().as_bytes())
        .update(&[0])
        .update(id.0.as_bytes());
    let hash = hasher.finalize();
    u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]) >> 6
}

/// The digest of a snapshot, kept incrementally by server and agent alike: BLAKE3 over 1,024 bucket digests, each
/// BLAKE3 over the digests of its entities in (kind name, id) order; an empty bucket is [`Digest::ZERO`].
#[derive(Clone, Default)]
pub struct SnapshotDigest {
    entities: OrdMap<(u16, &'static str, EntityId), Digest>,
    buckets: BucketTree,
    dirty: Vec<u16>,
}

impl SnapshotDigest {
    /// The digest of a whole configuration.
    pub fn of<'entities>(entities: impl Iterator<Item = &'entities Arc<Entity>>) -> Digest {
        let mut digest = Self::default();
        for entity in entities {
            digest.put(entity.kind, entity.id, &entity.body);
        }
        digest.digest()
    }

    /// Says that an entity now has this body.
    pub fn put(&mut self, kind: Kind, id: EntityId, body: &str) {
        let bucket = bucket_of(kind, id);
        let digest = entity_digest(kind, id, body);
        self.entities.insert((bucket, kind.name(), id), digest);
        self.dirty.push(bucket);
    }

    /// Says that an entity is gone.
    pub fn remove(&mut self, kind: Kind, id: EntityId) {
        let bucket = bucket_of(kind, id);
        self.entities.remove(&(bucket, kind.name(), id));
        self.dirty.push(bucket);
    }

    /// The digest of what has been put; re-hashes only what was touched since the last call.
    pub fn digest(&mut self) -> Digest {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        for bucket in std::mem::take(&mut self.dirty) {
            let digest = self.bucket_digest(bucket);
            self.buckets.set(bucket, digest);
        }
        self.buckets.root()
    }

    fn bucket_digest(&self, bucket: u16) -> Digest {
        let nil = EntityId(uuid::Uuid::nil());
        let mut hasher = blake3::Hasher::new();
        let mut empty = true;
        for (_, digest) in self.entities.range((bucket, "", nil)..(bucket + 1, "", nil)) {
            hasher.update(&digest.0);
            empty = false;
        }
        if empty {
            Digest::ZERO
        } else {
            Digest(*hasher.finalize().as_bytes())
        }
    }
}
