//! What a live group's watchers see: the configuration, where it stands, and what changed lately.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::group::Group;
use domain::{Digest, EntityId, Kind, Position, Timestamp, Version};
use imbl::Vector;

/// At least so many changes are remembered for deltas …
const REMEMBERED_CHANGES: usize = 8_192;
/// … unless they touched more entities than this altogether (24 bytes each).
const REMEMBERED_ENTITIES: usize = 512 * 1024;

/// A group at a version. Never changes: a newer version is another value that shares what is equal.
#[derive(Clone)]
pub struct LiveState {
    /// The configuration.
    pub group: Group,
    /// The commit up to which it is folded.
    pub position: Position,
    /// The newest change's time.
    pub at: Timestamp,
    /// The content hash of the configuration.
    pub digest: Digest,
    pub(super) recent: RecentChanges,
}

/// What the newest changes touched, and the digests they led to.
#[derive(Clone, Default)]
pub(super) struct RecentChanges {
    /// The version before the first remembered change, and its digest.
    base: (Version, Digest),
    changes: Vector<RecentChange>,
    entities: usize,
}

#[derive(Clone)]
struct RecentChange {
    digest: Digest,
    touched: Arc<[(Kind, EntityId)]>,
}

impl LiveState {
    /// The entities that changed after a version, each once, in order of kind and id; none if that is too long ago or
    /// still to come, so that only the whole configuration will do.
    pub fn changed_since(&self, version: Version) -> Option<Vec<(Kind, EntityId)>> {
        let first = self.recent.index_after(version)?;
        let changes = self.recent.changes.focus().narrow(first..);
        let touched: BTreeSet<_> = changes
            .into_iter()
            .flat_map(|change| change.touched.iter().copied())
            .collect();
        Some(touched.into_iter().collect())
    }

    /// The digest of a recent version; none if it is too long ago or still to come.
    pub fn digest_at(&self, version: Version) -> Option<Digest> {
        match self.recent.index_after(version)? {
            0 => Some(self.recent.base.1),
            index => self.recent.changes.get(index - 1).map(|change| change.digest),
        }
    }

    /// The oldest version that [`Self::digest_at`] remembers.
    pub const fn oldest_remembered(&self) -> Version {
        self.recent.base.0
    }
}

impl RecentChanges {
    /// Remembers nothing before a version.
    pub(super) fn since(version: Version, digest: Digest) -> Self {
        Self {
            base: (version, digest),
            ..Self::default()
        }
    }

    /// Remembers the next change.
    pub(super) fn push(&mut self, digest: Digest, touched: Vec<(Kind, EntityId)>) {
        self.entities += touched.len();
        self.changes.push_back(RecentChange {
            digest,
            touched: touched.into(),
        });
        while self.changes.len() > REMEMBERED_CHANGES || self.entities > REMEMBERED_ENTITIES {
            let Some(oldest) = self.changes.pop_front() else {
                break;
            };
            self.entities -= oldest.touched.len();
            self.base = (self.base.0 + 1, oldest.digest);
        }
    }

    /// Where the first change after a version stands; the number of changes for the newest version.
    fn index_after(&self, version: Version) -> Option<usize> {
        let index = usize::try_from(version.checked_sub(self.base.0)?).ok()?;
        (index <= self.changes.len()).then_some(index)
    }
}

/// How many changes before the newest get a digest of their own when a group is folded from the log.
pub(super) const DIGESTED_CHANGES: usize = 4_096;
