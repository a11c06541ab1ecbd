//! What reactors know of each group without holding its state.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::group::Group;
use domain::{GroupId, Position, Timestamp};

/// What is known of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// As of this record of its boundary.
    pub(crate) tail: Position,
    /// When its next entity expires.
    pub(crate) next_expiry: Option<Timestamp>,
    /// When the life of an entity with a time to live began that began last.
    pub(crate) latest_birth: Option<Timestamp>,
    /// Since when it is sealed, if it is.
    pub(crate) sealed_since: Option<Timestamp>,
    /// How many consumers were erased from it.
    pub(crate) erasures: usize,
}

impl Watched {
    /// What this state tells, which holds the boundary's records up to `tail`.
    pub(crate) fn of(group: &Group, tail: Position) -> Self {
        Self {
            tail,
            // In a sealed group nothing changes, expired or not.
            next_expiry: group.next_expiry().filter(|_| !group.sealed),
            latest_birth: group.latest_birth().filter(|_| !group.sealed),
            // Its seal is a sealed group's newest change.
            sealed_since: group.sealed.then_some(group.clock),
            erasures: group.erased.len(),
        }
    }
}

/// What reactors know of each group; writers keep it up to date.
#[derive(Debug, Default)]
pub(crate) struct Watchlist {
    groups: Mutex<HashMap<GroupId, Watched>>,
    /// Of how many erased consumers this process knows that their keys are destroyed.
    erasures_seen_to: Mutex<HashMap<GroupId, usize>>,
    /// The purged groups of which this process knows that their keys are destroyed.
    purges_seen_to: Mutex<HashSet<GroupId>>,
}

impl Watchlist {
    /// Notes what is known of a group.
    pub(crate) fn note(&self, group: GroupId, watched: Watched) {
        self.groups().insert(group, watched);
    }

    /// What is known of a group.
    pub(crate) fn get(&self, group: GroupId) -> Option<Watched> {
        self.groups().get(&group).copied()
    }

    /// The groups in which something has expired by then.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<GroupId> {
        let expired = |watched: &Watched| watched.next_expiry.is_some_and(|expiry| expiry <= now);
        let groups = self.groups();
        let due = groups.iter().filter(|(_, watched)| expired(watched));
        due.map(|(group, _)| *group).collect()
    }

    /// The groups in which a life began after this time.
    pub(crate) fn with_births_after(&self, at: Timestamp) -> Vec<GroupId> {
        let born_later = |watched: &Watched| watched.latest_birth.is_some_and(|birth| birth > at);
        let groups = self.groups();
        let ahead = groups.iter().filter(|(_, watched)| born_later(watched));
        ahead.map(|(group, _)| *group).collect()
    }

    /// The groups with erased consumers of whose keys it isn't known that they are destroyed.
    pub(crate) fn with_erasures_to_see_to(&self) -> Vec<GroupId> {
        let seen_to = self.erasures_seen_to();
        let open = |group: &GroupId, watched: &Watched| {
            watched.erasures > seen_to.get(group).copied().unwrap_or_default()
        };
        let groups = self.groups();
        let open = groups.iter().filter(|(group, watched)| open(group, watched));
        open.map(|(group, _)| *group).collect()
    }

    /// Notes that the keys of so many erased consumers of a group are destroyed.
    pub(crate) fn note_erasures_seen_to(&self, group: GroupId, erasures: usize) {
        self.erasures_seen_to().insert(group, erasures);
    }

    /// Notes that the keys of a purged group are destroyed.
    pub(crate) fn note_purge_seen_to(&self, group: GroupId) {
        self.purges_seen_to().insert(group);
    }

    /// Whether it is known that the keys of a purged group are destroyed.
    pub(crate) fn is_purge_seen_to(&self, group: GroupId) -> bool {
        self.purges_seen_to().contains(&group)
    }

    fn purges_seen_to(&self) -> MutexGuard<'_, HashSet<GroupId>> {
        self.purges_seen_to.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn erasures_seen_to(&self) -> MutexGuard<'_, HashMap<GroupId, usize>> {
        self.erasures_seen_to
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<GroupId, Watched>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
