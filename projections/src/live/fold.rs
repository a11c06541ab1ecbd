//! Folding a group's commits into its live state.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::group::{Group, GroupEvent, touched};
use domain::{Change, Commit, Digest, Position, SnapshotDigest, Version, commit::Changes};

use super::saving::Unsaved;
use super::state::{DIGESTED_CHANGES, LiveState, RecentChanges};

/// A group being kept current.
pub(super) struct Fold {
    group: Group,
    digest: SnapshotDigest,
    recent: RecentChanges,
    position: Position,
    /// The digest of the record at `position`.
    record: Digest,
    /// The newest version that a stored state has.
    saved: Version,
}

impl Fold {
    /// Folds a commit, unless it has been folded already.
    pub(super) fn apply(&mut self, commit: &Commit) {
        let Changes::Group(_, changes) = &commit.changes else {
            return;
        };
        if commit.position <= self.position {
            return;
        }
        for change in changes {
            self.group.apply(change);
            let touched = touched(&change.events);
            for (kind, id) in &touched {
                match self.group.entity(*kind, *id) {
                    Some(entity) => self.digest.put(*kind, *id, &entity.body),
                    None => self.digest.remove(*kind, *id),
                }
            }
            self.recent.push(self.digest.digest(), touched);
        }
        self.position = commit.position;
        self.record = commit.digest;
    }

    /// What watchers see.
    pub(super) fn state(&mut self) -> Arc<LiveState> {
        Arc::new(LiveState {
            digest: self.digest.digest(),
            at: self.group.clock,
            group: self.group.clone(),
            position: self.position,
            recent: self.recent.clone(),
        })
    }

    /// The folded group, if it has at least so many changes that aren't stored.
    pub(super) fn unsaved(&self, at_least: Version) -> Option<Unsaved> {
        (self.group.version - self.saved >= at_least).then(|| Unsaved {
            group: self.group.clone(),
            position: self.position,
            record: self.record,
        })
    }

    /// Notes that a version is stored.
    pub(super) fn saved(&mut self, version: Version) {
        self.saved = self.saved.max(version);
    }
}

/// A group being folded from its history: digests, which nobody asks for of old versions, are left to the end.
pub(super) struct Loading {
    group: Group,
    position: Position,
    record: Digest,
    /// The version it was started from.
    saved: Version,
    /// The newest changes, not folded yet.
    held_back: VecDeque<Change<GroupEvent>>,
}

impl Loading {
    /// Starts from a state, folded up to a record.
    pub(super) const fn from(group: Group, position: Position, record: Digest) -> Self {
        Self {
            saved: group.version,
            group,
            position,
            record,
            held_back: VecDeque::new(),
        }
    }

    /// Takes the next commit.
    pub(super) fn take(&mut self, commit: Commit) {
        let Changes::Group(_, changes) = commit.changes else {
            return;
        };
        self.held_back.extend(changes);
        while self.held_back.len() > DIGESTED_CHANGES
            && let Some(change) = self.held_back.pop_front()
        {
            self.group.apply(&change);
        }
        self.position = commit.position;
        self.record = commit.digest;
    }

    /// Notes a record that completed no commit.
    pub(super) const fn passed(&mut self, position: Position, record: Digest) {
        self.position = position;
        self.record = record;
    }

    /// Folds the newest changes, with their digests.
    pub(super) fn finish(self, group: domain::GroupId) -> Fold {
        let mut digest = SnapshotDigest::default();
        for entity in self.group.entities() {
            digest.put(entity.kind, entity.id, &entity.body);
        }
        let mut fold = Fold {
            recent: RecentChanges::since(self.group.version, digest.digest()),
            group: self.group,
            digest,
            position: Position::START,
            record: Digest::ZERO,
            saved: self.saved,
        };
        let newest = Commit {
            id: domain::CommitId(uuid::Uuid::nil()),
            position: self.position,
            digest: self.record,
            changes: Changes::Group(group, self.held_back.into()),
        };
        fold.apply(&newest);
        (fold.position, fold.record) = (self.position, self.record);
        fold
    }
}
