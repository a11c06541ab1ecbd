//! Live groups: folded states of the groups that somebody watches, kept current by the reader before anything is
//! written to a database, because instances wait for them.
//!
//! - [`state`]: what a group's watchers see; [`fold`]: how it comes about; [`loading`]: from the log, and from a state
//!   stored by [`saving`].

mod entry;
mod fold;
mod loading;
mod saving;
mod state;

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::organization::OrganizationEvent;
use domain::{
    Boundary, Commit, EventLog, GroupId, Keyring, Timestamp, commit::Changes, state_store::StateStore,
};
use tokio::sync::watch;

use crate::error::ProjectionError;
use entry::Entry;

pub use state::LiveState;

/// How long a group that nobody holds stays folded.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// Why a group's state can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the group's state can't be read: {0}")]
pub struct LiveError(#[from] ProjectionError);

/// Every group that somebody watches or has watched lately. A cheap handle.
#[derive(Clone)]
pub struct LiveGroups {
    shared: Arc<Groups>,
}

struct Groups {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    states: Arc<dyn StateStore>,
    entries: DashMap<GroupId, Arc<Entry>>,
}

/// One group, kept current as long as this is held. A cheap handle.
#[derive(Clone)]
pub struct LiveGroup {
    states: watch::Receiver<Arc<LiveState>>,
    /// Held so that the entry counts as in use.
    entry: Arc<Entry>,
}

impl LiveGroup {
    /// The newest state.
    pub fn current(&self) -> Arc<LiveState> {
        Arc::clone(&self.states.borrow())
    }

    /// Every newer state; who is slow sees the newest only. Keeps the group alive no longer than `self` does.
    pub fn subscribe(&self) -> watch::Receiver<Arc<LiveState>> {
        self.states.clone()
    }

    /// The group.
    pub fn id(&self) -> GroupId {
        self.entry.group()
    }
}

impl LiveGroups {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
        states: Arc<dyn StateStore>,
    ) -> Self {
        let entries = DashMap::new();
        Self {
            shared: Arc::new(Groups {
                log,
                keyring,
                states,
                entries,
            }),
        }
    }

    /// A group's live state: at once if it is live already, else folded from its stored state and the log's tail. A
    /// group without a change is empty, at version 0.
    pub async fn open(&self, group: GroupId) -> Result<LiveGroup, LiveError> {
        loop {
            let entry = Arc::clone(
                &self
                    .shared
                    .entries
                    .entry(group)
                    .or_insert_with(|| Entry::new(group)),
            );
            let states = match entry.states(&self.shared).await {
                Ok(states) => states,
                Err(error) => {
                    self.forget(&entry);
                    return Err(error.into());
                }
            };
            // An entry that somebody else's failure removed meanwhile isn't fed any more.
            if self.is_fed(&entry) {
                return Ok(LiveGroup { states, entry });
            }
        }
    }

    /// Whether somebody watches this boundary. Who begins to while a record is looked at reads that record itself. The
    /// organizations say which groups were purged.
    pub(crate) fn wants(&self, boundary: Boundary) -> bool {
        match boundary {
            Boundary::Group(group) => self.shared.entries.contains_key(&group),
            Boundary::Organization(_) => !self.shared.entries.is_empty(),
            Boundary::System => false,
        }
    }

    /// Hands a commit to its group, if somebody watches it; a purged group isn't held any longer.
    pub(crate) fn feed(&self, commit: &Arc<Commit>) {
        match &commit.changes {
            Changes::Group(group, _) => {
                let entry = self.shared.entries.get(group).map(|entry| Arc::clone(&entry));
                if let Some(entry) = entry {
                    entry.feed(commit);
                }
            }
            Changes::Organization(_, changes) => {
                for event in changes.iter().flat_map(|change| &change.events) {
                    if let OrganizationEvent::GroupPurged { group } = event {
                        self.shared.entries.remove(&group.id);
                    }
                }
            }
            Changes::System(_) => {}
        }
    }

    /// Stores the states of groups that changed much, and drops the groups that nobody has held for a while.
    pub(crate) async fn tend(&self, now: Timestamp) {
        let entries: Vec<_> = self
            .shared
            .entries
            .iter()
            .map(|entry| Arc::downgrade(&entry))
            .collect();
        for entry in entries.into_iter().filter_map(|entry| entry.upgrade()) {
            // Held by the map and this loop alone.
            let held = Arc::strong_count(&entry) > 2;
            let idle = entry.in_use(held, now).plus_seconds(IDLE.as_secs().cast_signed()) <= now;
            let at_least = if idle { 1 } else { saving::STORE_AFTER };
            saving::save(&self.shared, &entry, at_least).await;
            if idle {
                let unheld =
                    |current: &Arc<Entry>| Arc::ptr_eq(current, &entry) && Arc::strong_count(current) == 2;
                self.shared
                    .entries
                    .remove_if(&entry.group(), |_, current| unheld(current));
            }
        }
    }

    fn is_fed(&self, entry: &Arc<Entry>) -> bool {
        let current = self.shared.entries.get(&entry.group());
        current.is_some_and(|current| Arc::ptr_eq(&current, entry))
    }

    fn forget(&self, entry: &Arc<Entry>) {
        self.shared
            .entries
            .remove_if(&entry.group(), |_, current| Arc::ptr_eq(current, entry));
    }
}
