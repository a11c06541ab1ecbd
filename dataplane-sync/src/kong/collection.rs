//! One collection of a configuration document: its entities' texts, their hash, and their compressed pieces, all kept so
//! that a change costs what it touches.
//!
//! Entities lie in 256 buckets by a hash of their ids. A bucket's digest depends on its entities only, so equal
//! collections have equal hashes, whatever happened before. A piece holds one or more whole buckets: how many depends on
//! how large the collection has become, and changes nothing that anybody sees.

use std::collections::BTreeMap;

use domain::EntityId;

use super::gzip::{Compressor, Piece};

const BUCKETS: usize = 256;
/// The texts of one piece together, in bytes, at most: more, and a change compresses too much …
const PIECE_MOST: usize = 96 * 1024;
/// … and at least, where there is more than one piece: less, and they compress badly.
const PIECE_LEAST: usize = 24 * 1024;

/// A collection.
#[derive(Debug)]
pub struct Collection {
    buckets: Vec<Bucket>,
    /// Per piece, in the buckets' order; none where it must be compressed anew. Without entities it has no text.
    pieces: Vec<Option<Piece>>,
    /// All texts together, in bytes.
    size: usize,
    count: usize,
}

#[derive(Debug, Default)]
struct Bucket {
    texts: BTreeMap<EntityId, Box<str>>,
    /// None where it must be computed anew.
    digest: Option<blake3::Hash>,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Bucket::default()).collect(),
            pieces: vec![None],
            size: 0,
            count: 0,
        }
    }
}

impl Collection {
    /// An entity's text as it now is; none takes it away.
    pub fn set(&mut self, id: EntityId, text: Option<String>) {
        let bucket = bucket_of(id);
        let texts = &mut self.buckets[bucket].texts;
        if texts.get(&id).map(AsRef::as_ref) == text.as_deref() {
            return;
        }
        self.size += text.as_ref().map_or(0, String::len);
        self.count += usize::from(text.is_some());
        let before = match text {
            Some(text) => texts.insert(id, text.into()),
            None => texts.remove(&id),
        };
        if let Some(before) = before {
            self.size -= before.len();
            self.count -= 1;
        }
        self.buckets[bucket].digest = None;
        let piece = bucket / self.buckets_per_piece();
        self.pieces[piece] = None;
    }

    /// Whether there is this entity.
    pub fn has(&self, id: EntityId) -> bool {
        self.buckets[bucket_of(id)].texts.contains_key(&id)
    }

    /// Whether there is no entity.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The hash of the entities and their texts.
    pub fn digest(&mut self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for bucket in &mut self.buckets {
            hasher.update(bucket.digest().as_bytes());
        }
        hasher.finalize()
    }

    /// Compresses what has changed.
    pub fn compress(&mut self, compressor: &mut Compressor) {
        self.regroup();
        let per_piece = self.buckets_per_piece();
        for (piece, buckets) in self.pieces.iter_mut().zip(self.buckets.chunks(per_piece)) {
            if piece.is_none() {
                *piece = Some(compressor.compress(joined(buckets).as_bytes()));
            }
        }
    }

    /// What has been compressed. The texts in a piece are parted by commas, and so must the pieces be.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece> {
        let compressed = self.pieces.iter().flatten();
        compressed.filter(|piece| piece.length() > 0)
    }

    /// Makes the pieces more or fewer where they have become too large or too small.
    fn regroup(&mut self) {
        let mut pieces = self.pieces.len();
        while pieces < BUCKETS && self.size / pieces > PIECE_MOST {
            pieces *= 2;
        }
        while pieces > 1 && self.size / pieces < PIECE_LEAST {
            pieces /= 2;
        }
        if pieces != self.pieces.len() {
            self.pieces = vec![None; pieces];
        }
    }

    fn buckets_per_piece(&self) -> usize {
        BUCKETS / self.pieces.len()
    }
}

impl Bucket {
    fn digest(&mut self) -> blake3::Hash {
        *self.digest.get_or_insert_with(|| {
            let mut hasher = blake3::Hasher::new();
            for (id, text) in &self.texts {
                hasher
                    .update(id.0.as_bytes())
                    .update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
            hasher.finalize()
        })
    }
}

fn joined(buckets: &[Bucket]) -> String {
    let texts = || buckets.iter().flat_map(|bucket| bucket.texts.values());
    let mut joined = String::with_capacity(texts().map(|text| text.len() + 1).sum());
    for text in texts() {
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(text);
    }
    joined
}

fn bucket_of(id: EntityId) -> usize {
    usize::from(blake3::hash(id.0.as_bytes()).as_bytes()[0])
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> EntityId {
        EntityId(Uuid::from_u128(number))
    }

    fn text(number: u128) -> String {
        format!("{{\"id\":{number},\"padding\":\"{}\"}}", "x".repeat(400))
    }

    #[test]
    fn equal_collections_have_equal_hashes_whatever_happened_before() {
        let (mut grown, mut direct) = (Collection::default(), Collection::default());
        let mut compressor = Compressor::default();
        for number in 0..3_000 {
            grown.set(id(number), Some(text(number)));
        }
        grown.compress(&mut compressor);
        assert!(grown.pieces().count() > 1);
        for number in 5..3_000 {
            grown.set(id(number), None);
        }
        for number in 0..5 {
            direct.set(id(number), Some(text(number)));
        }
        assert_eq!(grown.digest(), direct.digest());
        direct.set(id(0), Some("{}".to_owned()));
        assert_ne!(grown.digest(), direct.digest());
    }

    #[test]
    fn a_change_compresses_one_piece() {
        let mut collection = Collection::default();
        let mut compressor = Compressor::default();
        for number in 0..2_000 {
            collection.set(id(number), Some(text(number)));
        }
        collection.compress(&mut compressor);
        let pieces = collection.pieces().count();
        assert!(pieces > 4, "{pieces} pieces of 840 kB");
        collection.set(id(7), Some("{}".to_owned()));
        assert_eq!(
            collection.pieces.iter().filter(|piece| piece.is_none()).count(),
            1
        );
        collection.set(id(8), Some(text(8)));
        assert_eq!(
            collection.pieces.iter().filter(|piece| piece.is_none()).count(),
            1,
            "already so"
        );
    }
}
