//! BLAKE3 over 1,024 bucket digests, with BLAKE3's own inner nodes kept: a changed bucket costs one chunk of 1 KiB and
//! five inner nodes instead of the whole 32 KiB. A fleet's agents pay this at every change.

use std::sync::Arc;

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::Digest;

/// How many buckets a snapshot's entities are spread over.
pub(crate) const BUCKETS: usize = 1024;
/// A BLAKE3 chunk of 1,024 bytes holds this many digests.
const PER_CHUNK: usize = 32;
const CHUNKS: usize = BUCKETS / PER_CHUNK;

/// The bucket digests and the nodes of BLAKE3's tree over them. Clones share until one of them changes.
#[derive(Clone)]
pub(crate) struct BucketTree {
    buckets: Arc<[[u8; 32]; BUCKETS]>,
    /// Nodes by level: 32 chunks, then 16, 8, 4 and 2 inner nodes; the root is made from the last two.
    levels: [Vec<ChainingValue>; 5],
}

impl Default for BucketTree {
    fn default() -> Self {
        let levels = [32, 16, 8, 4, 2].map(|nodes| vec![[0; 32]; nodes]);
        let mut tree = Self {
            buckets: Arc::new([[0; 32]; BUCKETS]),
            levels,
        };
        (0..CHUNKS).for_each(|chunk| tree.hash_chunk(chunk));
        tree
    }
}

impl BucketTree {
    /// Replaces a bucket's digest.
    pub(crate) fn set(&mut self, bucket: u16, digest: Digest) {
        let bucket = usize::from(bucket);
        Arc::make_mut(&mut self.buckets)[bucket] = digest.0;
        self.hash_chunk(bucket / PER_CHUNK);
    }

    /// BLAKE3 of all bucket digests, one after another.
    pub(crate) fn root(&self) -> Digest {
        let [left, right] = [&self.levels[4][0], &self.levels[4][1]];
        Digest(*merge_subtrees_root(left, right, Mode::Hash).as_bytes())
    }

    fn hash_chunk(&mut self, chunk: usize) {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset((chunk * PER_CHUNK * 32) as u64);
        for bucket in &self.buckets[chunk * PER_CHUNK..(chunk + 1) * PER_CHUNK] {
            hasher.update(bucket);
        }
        self.levels[0][chunk] = hasher.finalize_non_root();
        for level in 1..self.levels.len() {
            let node = chunk >> level;
            let [left, right] = [0, 1].map(|side| self.levels[level - 1][2 * node + side]);
            self.levels[level][node] = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_plain_hash_of_all_buckets() {
        let mut tree = BucketTree::default();
        assert_eq!(tree.root(), Digest::of(&[0; BUCKETS * 32]));
        for bucket in [0, 31, 32, 500, 1023, 31] {
            tree.set(bucket, Digest([bucket as u8 | 1; 32]));
            assert_eq!(tree.root(), Digest::of(tree.buckets.as_flattened()));
        }
    }
}
