//! What reactors know of each group without holding its state.

use std::collections::HashMap;
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
    /// Since when it is sealed, if it is.
    pub(crate) sealed_since: Option<Timestamp>,
}

impl Watched {
    /// What this state tells, which holds the boundary's records up to `tail`.
    pub(crate) fn of(group: &Group, tail: Position) -> Self {
        Self {
            tail,
            // In a sealed group nothing changes, expired or not.
            next_expiry: group.next_expiry().filter(|_| !group.sealed),
            // Its seal is a sealed group's newest change.
            sealed_since: group.sealed.then_some(group.at),
        }
    }
}

/// What reactors know of each group; writers keep it up to date.
#[derive(Debug, Default)]
pub(crate) struct Watchlist {
    groups: Mutex<HashMap<GroupId, Watched>>,
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

    fn groups(&self) -> MutexGuard<'_, HashMap<GroupId, Watched>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
