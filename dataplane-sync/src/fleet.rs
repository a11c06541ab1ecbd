//! One group's instances as this process knows them: those connected to it, and what the other processes wrote of the
//! rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::compatibility::Level;
use domain::{NodeId, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::fleet_merge::{Remembered, replaces, understood, was_forgotten};
use crate::node_record::{NodeRecord, ProcessId};

/// An instance that was known for so many seconds is remembered, whatever it ran last.
const SETTLED: i64 = 600;

/// One group's instances.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    members: Mutex<BTreeMap<NodeId, Member>>,
    /// Until when what the observed state has needn't be read again; none before the first time. Whoever reads holds it.
    pub(crate) fresh_until: tokio::sync::Mutex<Option<Instant>>,
    pub(crate) changed: watch::Sender<()>,
    /// Also changed at each refusal.
    pub(crate) refused: watch::Sender<()>,
}

/// An instance.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) record: NodeRecord,
    /// Its connection to this process.
    pub(crate) session: Option<Session>,
}

/// A connection to this process.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: u64,
    /// Ends it.
    pub(crate) connection: CancellationToken,
    /// What the instance can take, once it was served as one of that level.
    pub(crate) level: Option<Arc<Level>>,
}

impl Member {
    /// Whether this is its connection.
    pub(crate) fn is(&self, session: u64) -> bool {
        self.session.as_ref().is_some_and(|live| live.number == session)
    }

    fn remembered(&self, unwritten: bool) -> Remembered<'_> {
        Remembered {
            record: &self.record,
            here: self.session.is_some(),
            unwritten,
        }
    }
}

impl Fleet {
    /// The members, by id.
    pub(crate) fn members(&self) -> MutexGuard<'_, BTreeMap<NodeId, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the records of all members, in order of their ids.
    pub(crate) fn with_records<Out>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = &NodeRecord>) -> Out,
    ) -> Out {
        look(&mut self.members().values().map(|member| &member.record))
    }

    /// Looks at the record of one member.
    pub(crate) fn with_record<Out>(
        &self,
        node: NodeId,
        look: impl FnOnce(&NodeRecord) -> Out,
    ) -> Option<Out> {
        self.members().get(&node).map(|member| look(&member.record))
    }

    /// Forgets all but so many of the members that came, ran nothing and went, those gone longest first; answers which.
    pub(crate) fn drop_strays(&self, most: usize) -> Vec<NodeId> {
        let mut members = self.members();
        let is_stray = |member: &Member| {
            let record = &member.record;
            let is_gone = member.session.is_none() && record.connected_since.is_none();
            is_gone && record.applied.is_none() && record.last_seen < record.first_seen.plus_seconds(SETTLED)
        };
        let strays = members.iter().filter(|(_, member)| is_stray(member));
        let mut strays: Vec<_> = strays
            .map(|(id, member)| (member.record.last_seen, *id))
            .collect();
        let too_many = strays.len().saturating_sub(most);
        if too_many > 0 {
            strays.sort_unstable();
        }
        strays.truncate(too_many);
        let dropped: Vec<_> = strays.into_iter().map(|(_, id)| id).collect();
        for id in &dropped {
            members.remove(id);
        }
        dropped
    }

    /// Takes over what the observed state has, where that is newer, and wakes those who wait if anything is.
    pub(crate) fn merge(
        &self,
        stored: Vec<NodeRecord>,
        process: Option<ProcessId>,
        now: Timestamp,
        unwritten: impl Fn(NodeId) -> bool,
    ) {
        let (mut changed, mut refused) = (false, false);
        let mut members = self.members();
        let there: BTreeSet<NodeId> = stored.iter().map(|record| record.id).collect();
        members.retain(|id, member| {
            let stays = there.contains(id) || !was_forgotten(member.remembered(unwritten(*id)), process);
            changed |= !stays;
            stays
        });
        for record in stored {
            let record = understood(record, process, now);
            let Some(member) = members.get_mut(&record.id) else {
                refused |= record.refusal.is_some();
                changed = true;
                let session = None;
                members.insert(record.id, Member { record, session });
                continue;
            };
            if !replaces(&record, member.remembered(false), process) {
                // It arrived while the observed state couldn't be read.
                member.record.first_seen = member.record.first_seen.min(record.first_seen);
            } else if member.record != record {
                refused |= record.refusal.is_some() && record.refusal != member.record.refusal;
                changed = true;
                if let Some(here) = member.session.take() {
                    // The newest connection of an instance is the live one, and that is elsewhere.
                    here.connection.cancel();
                }
                member.record = record;
            }
        }
        drop(members);
        if changed {
            self.changed.send_replace(());
        }
        if refused {
            self.refused.send_replace(());
        }
    }
}
