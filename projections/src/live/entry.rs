//! One group among the live ones: being loaded, then fed by the reader.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{Commit, GroupId, Timestamp, Version};
use tokio::sync::{OnceCell, watch};

use super::fold::Fold;
use super::saving::Unsaved;
use super::state::LiveState;
use super::{Groups, loading};
use crate::error::ProjectionError;

/// One group among the live ones.
pub(crate) struct Entry {
    group: GroupId,
    feeding: Mutex<Feeding>,
    states: OnceCell<watch::Receiver<Arc<LiveState>>>,
    /// Milliseconds since the epoch.
    last_held: AtomicI64,
}

enum Feeding {
    /// What the reader brought while the history is folded.
    Waiting(Vec<Arc<Commit>>),
    Live(Box<Live>),
}

struct Live {
    fold: Fold,
    sender: watch::Sender<Arc<LiveState>>,
}

impl Entry {
    /// An entry that collects what the reader brings until somebody loads it.
    pub(super) fn new(group: GroupId) -> Arc<Self> {
        Arc::new(Self {
            group,
            feeding: Mutex::new(Feeding::Waiting(Vec::new())),
            states: OnceCell::new(),
            last_held: AtomicI64::new(i64::MIN),
        })
    }

    /// The group.
    pub(crate) const fn group(&self) -> GroupId {
        self.group
    }

    /// The states to watch, loading the group at the first call.
    pub(super) async fn states(
        &self,
        groups: &Groups,
    ) -> Result<watch::Receiver<Arc<LiveState>>, ProjectionError> {
        let load = async || {
            // The entry is fed from before this call on, so what it reads and what it is fed overlap.
            let fold = loading::load(groups, self.group).await?;
            Ok::<_, ProjectionError>(self.go_live(fold))
        };
        self.states.get_or_try_init(load).await.cloned()
    }

    fn go_live(&self, mut fold: Fold) -> watch::Receiver<Arc<LiveState>> {
        let mut feeding = self.feeding();
        if let Feeding::Waiting(commits) = &*feeding {
            commits.iter().for_each(|commit| fold.apply(commit));
        }
        let (sender, receiver) = watch::channel(fold.state());
        *feeding = Feeding::Live(Box::new(Live { fold, sender }));
        receiver
    }

    /// Takes a commit from the reader.
    pub(super) fn feed(&self, commit: &Arc<Commit>) {
        match &mut *self.feeding() {
            Feeding::Waiting(commits) => commits.push(Arc::clone(commit)),
            Feeding::Live(live) => {
                live.fold.apply(commit);
                live.sender.send_replace(live.fold.state());
            }
        }
    }

    /// When the entry was last held, which is now if it is.
    pub(super) fn in_use(&self, held: bool, now: Timestamp) -> Timestamp {
        let never = self.last_held.load(Ordering::Relaxed) == i64::MIN;
        if held || never {
            self.last_held.store(now.0, Ordering::Relaxed);
        }
        Timestamp(self.last_held.load(Ordering::Relaxed))
    }

    /// The folded group, if it has at least so many changes that aren't stored.
    pub(super) fn unsaved(&self, at_least: Version) -> Option<Unsaved> {
        match &*self.feeding() {
            Feeding::Live(live) => live.fold.unsaved(at_least),
            Feeding::Waiting(_) => None,
        }
    }

    /// Notes that a version is stored.
    pub(super) fn saved(&self, version: Version) {
        if let Feeding::Live(live) = &mut *self.feeding() {
            live.fold.saved(version);
        }
    }

    fn feeding(&self) -> MutexGuard<'_, Feeding> {
        self.feeding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
