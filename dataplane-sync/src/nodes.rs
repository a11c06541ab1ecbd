//! The registry of runtime instances (DESIGN §7): who is connected, what each runs, and why one doesn't run the newest.
//!
//! It lives in memory, one fleet per group; records are also written to the observed state, at once when an instance
//! comes, goes or refuses, otherwise every few seconds, so that a restart remembers the fleet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use domain::{Clock, GroupId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::hub::Hubs;
use crate::native::SILENT_SECONDS;
use crate::native::frames::{Applied, Hello};
use crate::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};

/// How long a heartbeat may stay unwritten.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a failing store is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// The longest reason of a refusal that is kept, in characters.
const REASON_LIMIT: usize = 4_000;

/// What is known of a runtime instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its id.
    pub id: NodeId,
    /// Its group.
    pub group: GroupId,
    /// Its host's name, as it says.
    pub hostname: String,
    /// Its program's version, as it says.
    pub version: String,
    /// Where it connects from.
    pub address: String,
    /// What its operator says of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What it showed: `token:<id>` or `certificate:<fingerprint>`.
    pub credential: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last heard of.
    pub last_seen: Timestamp,
    /// Since when it is connected, if it is.
    #[serde(default)]
    pub connected_since: Option<Timestamp>,
    /// What it runs.
    #[serde(default)]
    pub applied: Option<Applied>,
    /// What it refused last, unless it has applied something since.
    #[serde(default)]
    pub refusal: Option<Refusal>,
    /// Why its last connection ended, or what it refused.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// A configuration that an instance can't use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which.
    pub refused: Applied,
    /// Why, in the instance's words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// How an instance stands to the newest configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// It runs the newest configuration.
    InSync,
    /// The newest configuration is on its way.
    Syncing,
    /// It refused the newest configuration.
    Refused,
    /// It is connected, but nothing was heard for 45 seconds.
    Silent,
    /// It isn't connected.
    Disconnected,
}

/// An instance as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// What is known of it.
    #[serde(flatten)]
    pub record: NodeRecord,
    /// What it should run; none where that can't be read for the moment.
    pub expected: Option<Applied>,
    /// How it stands.
    pub status: SyncStatus,
}

/// Why a node wasn't forgotten.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForgetError {
    /// There is no such node.
    #[error("the runtime group has no node {0}")]
    NoSuchNode(NodeId),
    /// It would come back at once.
    #[error("node {0} is connected: stop it, or revoke its credential, before forgetting it")]
    Connected(NodeId),
    /// The record can't be deleted for the moment.
    #[error(transparent)]
    Unavailable(#[from] ObservedNodesUnavailable),
}

/// An instance that has just introduced itself.
#[derive(Debug)]
pub struct Arrival<'hello> {
    /// The group of its credential.
    pub group: GroupId,
    /// Its session's number.
    pub session: u64,
    /// What it said.
    pub hello: &'hello Hello,
    /// Where it connects from.
    pub address: SocketAddr,
    /// What it showed.
    pub credential: &'hello str,
    /// Ends its connection.
    pub connection: CancellationToken,
}

/// The registry.
pub struct NodeRegistry {
    fleets: DashMap<GroupId, Arc<Fleet>>,
    pub(crate) hubs: Arc<Hubs>,
    observed: Arc<dyn ObservedNodes>,
    clock: Arc<dyn Clock>,
    unwritten: Mutex<BTreeSet<(GroupId, NodeId)>>,
    urgent: Notify,
}

/// One group's instances.
#[derive(Default)]
pub(crate) struct Fleet {
    members: Mutex<BTreeMap<NodeId, Member>>,
    loaded: OnceCell<()>,
    pub(crate) changed: watch::Sender<()>,
    /// Also changed at each refusal.
    pub(crate) refused: watch::Sender<()>,
}

#[derive(Debug)]
struct Member {
    record: NodeRecord,
    session: Option<(u64, CancellationToken)>,
}

impl Fleet {
    fn members(&self) -> MutexGuard<'_, BTreeMap<NodeId, Member>> {
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
}

impl NodeRegistry {
    /// An empty registry; fleets are read from the observed state when they are first asked for.
    pub fn new(hubs: Arc<Hubs>, observed: Arc<dyn ObservedNodes>, clock: Arc<dyn Clock>) -> Self {
        Self {
            fleets: DashMap::new(),
            hubs,
            observed,
            clock,
            unwritten: Mutex::default(),
            urgent: Notify::new(),
        }
    }

    /// A group's instances, in order of their ids.
    pub async fn list(&self, group: GroupId) -> Result<Vec<Node>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let expected = self.expected(group).await;
        let now = self.clock.now();
        let node = |record: &NodeRecord| shown(record.clone(), expected, now);
        Ok(fleet.with_records(|records| records.map(node).collect()))
    }

    /// One instance.
    pub async fn get(&self, group: GroupId, node: NodeId) -> Result<Option<Node>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let record = fleet.members().get(&node).map(|member| member.record.clone());
        let expected = self.expected(group).await;
        Ok(record.map(|record| shown(record, expected, self.clock.now())))
    }

    /// Forgets an instance that isn't connected.
    pub async fn forget(&self, group: GroupId, node: NodeId) -> Result<(), ForgetError> {
        let fleet = self.fleet(group).await?;
        {
            let mut members = fleet.members();
            let member = members.get(&node).ok_or(ForgetError::NoSuchNode(node))?;
            if member.session.is_some() {
                return Err(ForgetError::Connected(node));
            }
            members.remove(&node);
        }
        self.observed.delete(group, node).await?;
        Ok(())
    }

    /// How many instances of a group are connected to this process.
    pub fn connected(&self, group: GroupId) -> usize {
        let fleet = self.fleets.get(&group).map(|fleet| fleet.clone());
        fleet.map_or(0, |fleet| {
            fleet
                .members()
                .values()
                .filter(|member| member.session.is_some())
                .count()
        })
    }

    /// An instance has introduced itself. A connection it had before is ended: the newest one is the live one.
    pub(crate) async fn arrived(&self, arrival: Arrival<'_>) -> Result<(), ObservedNodesUnavailable> {
        let fleet = self.fleet(arrival.group).await?;
        let (id, now) = (arrival.hello.node, self.clock.now());
        let replaced = {
            let mut members = fleet.members();
            let before = members.remove(&id);
            let record = record_of(&arrival, before.as_ref().map(|member| &member.record), now);
            let session = Some((arrival.session, arrival.connection));
            members.insert(id, Member { record, session });
            before.and_then(|member| member.session)
        };
        if let Some((_, connection)) = replaced {
            connection.cancel();
        }
        self.changed(arrival.group, id, &fleet, true);
        Ok(())
    }

    /// An instance runs this.
    pub(crate) fn runs(&self, group: GroupId, node: NodeId, session: u64, applied: Applied) {
        self.update(group, node, session, false, |record| {
            record.applied = Some(applied);
            record.refusal = None;
            record.last_error = None;
        });
    }

    /// An instance was heard of.
    pub(crate) fn heard(&self, group: GroupId, node: NodeId, session: u64) {
        self.update(group, node, session, false, |_| ());
    }

    /// An instance refused a configuration.
    pub(crate) fn refused(&self, group: GroupId, node: NodeId, session: u64, refused: Applied, reason: &str) {
        let (at, reason) = (
            self.clock.now(),
            reason.chars().take(REASON_LIMIT).collect::<String>(),
        );
        self.update(group, node, session, true, |record| {
            record.last_error = Some(reason.clone());
            record.refusal = Some(Refusal { refused, reason, at });
        });
        if let Some(fleet) = self.fleets.get(&group) {
            fleet.refused.send_replace(());
        }
    }

    /// A session has ended.
    pub(crate) fn left(&self, group: GroupId, node: NodeId, session: u64, why: Option<String>) {
        let Some(fleet) = self.fleets.get(&group).map(|fleet| fleet.clone()) else {
            return;
        };
        {
            let mut members = fleet.members();
            let Some(member) = members.get_mut(&node).filter(|member| member.is(session)) else {
                return;
            };
            member.session = None;
            member.record.connected_since = None;
            if why.is_some() {
                member.record.last_error = why;
            }
        }
        self.changed(group, node, &fleet, true);
    }

    fn update(
        &self,
        group: GroupId,
        node: NodeId,
        session: u64,
        urgent: bool,
        change: impl FnOnce(&mut NodeRecord),
    ) {
        let Some(fleet) = self.fleets.get(&group).map(|fleet| fleet.clone()) else {
            return;
        };
        {
            let mut members = fleet.members();
            let Some(member) = members.get_mut(&node).filter(|member| member.is(session)) else {
                return;
            };
            member.record.last_seen = self.clock.now();
            change(&mut member.record);
        }
        self.changed(group, node, &fleet, urgent);
    }

    fn changed(&self, group: GroupId, node: NodeId, fleet: &Fleet, urgent: bool) {
        self.unwritten().insert((group, node));
        fleet.changed.send_replace(());
        if urgent {
            self.urgent.notify_one();
        }
    }

    fn unwritten(&self) -> MutexGuard<'_, BTreeSet<(GroupId, NodeId)>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fleet of a group, read from the observed state the first time.
    pub(crate) async fn fleet(&self, group: GroupId) -> Result<Arc<Fleet>, ObservedNodesUnavailable> {
        let fleet = self.fleets.entry(group).or_default().clone();
        let load = async || {
            let records = self.observed.list(group).await?;
            let mut members = fleet.members();
            for record in records {
                // Whatever the record says: nobody is connected to a process that has just started.
                let record = NodeRecord {
                    connected_since: None,
                    ..record
                };
                members.entry(record.id).or_insert(Member {
                    record,
                    session: None,
                });
            }
            Ok(())
        };
        fleet.loaded.get_or_try_init(load).await?;
        Ok(fleet.clone())
    }

    async fn expected(&self, group: GroupId) -> Option<Applied> {
        let hub = self.hubs.hub(group).await.ok()?;
        let newest = hub.current();
        Some(Applied {
            version: newest.version(),
            digest: newest.digest(),
        })
    }

    /// Writes changed records until the process ends, and once more then.
    pub(crate) async fn write_records(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = self.urgent.notified() => (),
                () = tokio::time::sleep(WRITE_INTERVAL) => (),
                () = shutdown.cancelled() => {
                    self.write_changed().await;
                    return;
                }
            }
            if !self.write_changed().await {
                tokio::time::sleep(RETRY_INTERVAL).await;
                self.urgent.notify_one();
            }
        }
    }

    /// Whether all could be written.
    async fn write_changed(&self) -> bool {
        let unwritten = std::mem::take(&mut *self.unwritten());
        let records: Vec<NodeRecord> = unwritten
            .iter()
            .filter_map(|(group, node)| self.record(*group, *node))
            .collect();
        if records.is_empty() {
            return true;
        }
        let written = self.observed.put(&records).await;
        if let Err(error) = &written {
            tracing::warn!(nodes = records.len(), %error, "nodes' records weren't written; trying again");
            self.unwritten().extend(unwritten);
        }
        written.is_ok()
    }

    fn record(&self, group: GroupId, node: NodeId) -> Option<NodeRecord> {
        let fleet = self.fleets.get(&group)?.clone();
        let members = fleet.members();
        members.get(&node).map(|member| member.record.clone())
    }
}

impl Member {
    fn is(&self, session: u64) -> bool {
        self.session
            .as_ref()
            .is_some_and(|(number, _)| *number == session)
    }
}

fn record_of(arrival: &Arrival<'_>, before: Option<&NodeRecord>, now: Timestamp) -> NodeRecord {
    NodeRecord {
        id: arrival.hello.node,
        group: arrival.group,
        hostname: arrival.hello.hostname.clone(),
        version: arrival.hello.version.clone(),
        address: arrival.address.to_string(),
        labels: arrival.hello.labels.clone(),
        credential: arrival.credential.to_owned(),
        first_seen: before.map_or(now, |before| before.first_seen),
        last_seen: now,
        connected_since: Some(now),
        applied: None,
        refusal: None,
        last_error: before.and_then(|before| before.last_error.clone()),
    }
}

fn shown(record: NodeRecord, expected: Option<Applied>, now: Timestamp) -> Node {
    let status = status(&record, expected, now);
    Node {
        record,
        expected,
        status,
    }
}

fn status(record: &NodeRecord, expected: Option<Applied>, now: Timestamp) -> SyncStatus {
    let digest = |applied: Applied| applied.digest;
    let expected = expected.map(digest);
    if record.connected_since.is_none() {
        SyncStatus::Disconnected
    } else if now >= record.last_seen.plus_seconds(SILENT_SECONDS) {
        SyncStatus::Silent
    } else if expected.is_some() && record.refusal.as_ref().map(|refusal| refusal.refused.digest) == expected
    {
        SyncStatus::Refused
    } else if expected.is_some() && record.applied.map(digest) == expected {
        SyncStatus::InSync
    } else {
        SyncStatus::Syncing
    }
}
