//! Which nodes' records have changed and aren't in the observed state yet, and until when they must be.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{GroupId, NodeId};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How soon a change must be written. The longer it may wait, the more of them share a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// A node came, went or refused: at once, but a fleet that comes at once shares transactions.
    Now,
    /// A node runs another configuration, and somebody on another process may be waiting for that.
    Soon,
    /// A heartbeat.
    Whenever,
}

impl Urgency {
    const fn within(self) -> Duration {
        match self {
            Self::Now => Duration::from_millis(25),
            Self::Soon => Duration::from_millis(400),
            Self::Whenever => Duration::from_secs(10),
        }
    }
}

/// Nodes whose records aren't written yet.
#[derive(Debug, Default)]
pub(crate) struct UnwrittenRecords {
    waiting: Mutex<Waiting>,
    /// The time to write has moved nearer.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    nodes: BTreeSet<(GroupId, NodeId)>,
    due: Option<Instant>,
}

impl UnwrittenRecords {
    /// Notes that a node's record has changed.
    pub(crate) fn add(&self, group: GroupId, node: NodeId, urgency: Urgency) {
        let due = Instant::now() + urgency.within();
        let mut waiting = self.waiting();
        waiting.nodes.insert((group, node));
        if waiting.due.is_none_or(|before| due < before) {
            waiting.due = Some(due);
            drop(waiting);
            self.sooner.notify_one();
        }
    }

    /// Whether a node's record isn't written yet.
    pub(crate) fn has(&self, group: GroupId, node: NodeId) -> bool {
        self.waiting().nodes.contains(&(group, node))
    }

    /// Returns when something must be written.
    pub(crate) async fn due(&self) {
        loop {
            let due = self.waiting().due;
            let wait = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = wait => return,
                () = self.sooner.notified() => (),
            }
        }
    }

    /// Takes everything that isn't written yet.
    pub(crate) fn take(&self) -> BTreeSet<(GroupId, NodeId)> {
        let mut waiting = self.waiting();
        waiting.due = None;
        std::mem::take(&mut waiting.nodes)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const GROUP: GroupId = GroupId(Uuid::nil());

    fn node(number: u128) -> NodeId {
        NodeId(Uuid::from_u128(number))
    }

    /// When what has been added must be written, counted from now.
    fn due_in(unwritten: &UnwrittenRecords) -> Duration {
        let due = unwritten.waiting().due.expect("something was added");
        due.duration_since(Instant::now())
    }

    #[test]
    fn acknowledgements_of_a_whole_fleet_are_written_together_within_half_a_second() {
        let unwritten = UnwrittenRecords::default();
        for number in 0..1_000 {
            unwritten.add(GROUP, node(number), Urgency::Soon);
        }
        assert!(due_in(&unwritten) <= Duration::from_millis(500));
        assert_eq!(unwritten.take().len(), 1_000);
        assert!(!unwritten.has(GROUP, node(0)));
        assert_eq!(unwritten.waiting().due, None, "nothing is due any more");
    }

    #[test]
    fn what_is_due_sooner_takes_the_heartbeats_with_it_and_they_do_not_put_it_off() {
        let unwritten = UnwrittenRecords::default();
        unwritten.add(GROUP, node(1), Urgency::Whenever);
        assert!(due_in(&unwritten) > Duration::from_secs(1));
        unwritten.add(GROUP, node(2), Urgency::Now);
        unwritten.add(GROUP, node(3), Urgency::Whenever);
        assert!(due_in(&unwritten) <= Duration::from_millis(25));
        assert_eq!(unwritten.take().len(), 3);
    }
}
