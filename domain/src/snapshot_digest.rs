//! The content hash of a group's configuration (DESIGN §4), kept incrementally by server and agent alike.

use imbl::OrdMap;

use crate::{Digest, EntityId, Kind};

/// How many buckets a snapshot's entities are spread over: the first 10 bits of BLAKE3(kind, id).
pub const BUCKETS: usize = 1024;

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
#[derive(Clone)]
pub struct SnapshotDigest {
    entities: OrdMap<(u16, &'static str, EntityId), Digest>,
    buckets: Box<[u8]>,
    dirty: Vec<u16>,
}

impl Default for SnapshotDigest {
    fn default() -> Self {
        Self {
            entities: OrdMap::new(),
            buckets: vec![0; BUCKETS * 32].into(),
            dirty: Vec::new(),
        }
    }
}

impl SnapshotDigest {
    /// Says that an entity now has this body.
    pub fn put(&mut self, kind: Kind, id: EntityId, body: &str) {
        let bucket = bucket_of(kind, id);
        self.entities
            .insert((bucket, kind.name(), id), entity_digest(kind, id, body));
        self.dirty.push(bucket);
    }

    /// Says that an entity is gone.
    pub fn remove(&mut self, kind: Kind, id: EntityId) {
        let bucket = bucket_of(kind, id);
        self.entities.remove(&(bucket, kind.name(), id));
        self.dirty.push(bucket);
    }

    /// The digest of what has been put; re-hashes only the buckets touched since the last call.
    pub fn digest(&mut self) -> Digest {
        self.dirty.sort_unstable();
        self.dirty.dedup();
        for bucket in std::mem::take(&mut self.dirty) {
            let start = usize::from(bucket) * 32;
            let digest = self.bucket_digest(bucket);
            self.buckets[start..start + 32].copy_from_slice(&digest.0);
        }
        Digest::of(&self.buckets)
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
