//! The record of nodes that several processes share, in memory, and a process's access to it, which can be cut.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dataplane_sync::NodeRecord;
use dataplane_sync::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};
use domain::{GroupId, NodeId, Timestamp};

/// What is stored.
#[derive(Clone, Default)]
pub(crate) struct SharedRecord(Arc<Mutex<BTreeMap<(GroupId, NodeId), NodeRecord>>>);

impl SharedRecord {
    /// A process's access to it.
    pub(crate) fn access(&self) -> Arc<Access> {
        Arc::new(Access {
            record: self.clone(),
            cut: AtomicBool::new(false),
            readings: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
        })
    }
}

/// One process's access.
pub(crate) struct Access {
    record: SharedRecord,
    cut: AtomicBool,
    readings: AtomicUsize,
    transactions: AtomicUsize,
}

impl Access {
    /// From now on nothing is read or written any more: to the other processes this one is dead.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// How often it was read.
    pub(crate) fn readings(&self) -> usize {
        self.readings.load(Ordering::Relaxed)
    }

    /// How often it was written to.
    pub(crate) fn transactions(&self) -> usize {
        self.transactions.load(Ordering::Relaxed)
    }

    fn reached(&self) -> Result<(), ObservedNodesUnavailable> {
        match self.cut.load(Ordering::Relaxed) {
            true => Err(ObservedNodesUnavailable("it is cut off".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl ObservedNodes for Access {
    async fn put(&self, nodes: &[NodeRecord]) -> Result<(), ObservedNodesUnavailable> {
        self.reached()?;
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let mut stored = self.record.0.lock().unwrap();
        for node in nodes {
            let place = (node.group, node.id);
            let newer = |before: &NodeRecord| before.last_seen > node.last_seen;
            if !stored.get(&place).is_some_and(newer) {
                stored.insert(place, node.clone());
            }
        }
        Ok(())
    }

    async fn list(&self, group: GroupId) -> Result<Vec<NodeRecord>, ObservedNodesUnavailable> {
        self.reached()?;
        self.readings.fetch_add(1, Ordering::Relaxed);
        let stored = self.record.0.lock().unwrap();
        Ok(stored
            .values()
            .filter(|node| node.group == group)
            .cloned()
            .collect())
    }

    async fn groups_of(&self, node: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ObservedNodesUnavailable> {
        self.reached()?;
        let stored = self.record.0.lock().unwrap();
        let of_node = stored.values().filter(|record| record.id == node);
        Ok(of_node.map(|record| (record.group, record.last_seen)).collect())
    }

    async fn delete(&self, group: GroupId, node: NodeId) -> Result<(), ObservedNodesUnavailable> {
        self.reached()?;
        self.record.0.lock().unwrap().remove(&(group, node));
        Ok(())
    }

    async fn delete_before(&self, last_seen: Timestamp) -> Result<(), ObservedNodesUnavailable> {
        self.reached()?;
        let mut stored = self.record.0.lock().unwrap();
        stored.retain(|_, node| node.last_seen >= last_seen);
        Ok(())
    }
}
