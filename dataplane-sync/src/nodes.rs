//! The registry of runtime instances (DESIGN §7): who is connected, what each runs, and why one doesn't run the newest.
//!
//! What is connected to this process lives in memory, and acknowledgements go no further. The observed state, which all
//! processes share, gets a node's record at once when it comes, goes or refuses, within half a second when it runs another
//! configuration, and otherwise every few seconds. What is connected to other processes is read there, when somebody asks
//! ([`crate::fleet_merge`] says which record holds).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::compatibility::{Dialect, Level, Release};
use domain::{Clock, GroupId, NodeId, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::configurations::ConfigurationUnavailable;
use crate::fleet::{Fleet, Member, Session};
use crate::fleet_budget::{Expense, FleetBudget, TooManyNewNodes};
use crate::hub::Hubs;
use crate::kong::document::Envelope;
use crate::kong::levels::{Encoding, Offered, TooManyLevels};
use crate::kong::node::KongNode;
use crate::native::frames::Applied;
use crate::node_record::{Node, NodeRecord, ProcessId, Protocol, Refusal};
use crate::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};
use crate::said;
use crate::unwritten_records::{UnwrittenRecords, Urgency};

/// How long what other processes wrote isn't read again.
pub(crate) const READ_INTERVAL: Duration = Duration::from_millis(250);
/// At least so many times as long as the last reading took, reading rests: a large fleet is read less often.
const READ_REST: u32 = 10;
/// How long an arriving instance waits for what other processes know of it.
const ARRIVAL_PATIENCE: Duration = Duration::from_secs(1);
/// How long a failing store is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last records may take to be written before the process ends.
const LAST_WRITE: Duration = Duration::from_secs(5);
/// How often at least, and at most, it is looked for old records.
const LONGEST_REST: Duration = Duration::from_secs(3600);
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// How long a level may take to follow a change.
const LEVEL_PATIENCE: Duration = Duration::from_secs(1);
/// How many instances of a group that went before they ran anything are remembered.
const STRAYS: usize = 100;

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

/// What an instance says of itself.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// Its id.
    pub node: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// Its program's version.
    pub version: String,
    /// What its operator says of it.
    pub labels: BTreeMap<String, String>,
    /// How it is spoken with.
    pub protocol: Protocol,
    /// What only Kong's data planes have.
    pub kong: Option<Box<KongNode>>,
}

/// An instance that has just introduced itself.
#[derive(Debug)]
pub struct Arrival<'credential> {
    /// The group of its credential.
    pub group: GroupId,
    /// Its session's number.
    pub session: u64,
    /// What it said.
    pub introduction: Introduction,
    /// Where it connects from.
    pub address: SocketAddr,
    /// What it showed.
    pub credential: &'credential str,
    /// Who answers for it in the budget of unknown instances.
    pub account: &'credential str,
    /// Ends its connection.
    pub connection: CancellationToken,
}

/// The registry.
pub struct NodeRegistry {
    fleets: DashMap<GroupId, Arc<Fleet>>,
    pub(crate) hubs: Arc<Hubs>,
    observed: Arc<dyn ObservedNodes>,
    clock: Arc<dyn Clock>,
    process: Option<ProcessId>,
    budget: Arc<FleetBudget>,
    unwritten: UnwrittenRecords,
    /// Held while records are written or deleted, so that a forgotten one isn't written again.
    writing: Mutex<()>,
}

impl NodeRegistry {
    /// An empty registry of this process; none where no other process writes the observed state.
    pub fn new(
        hubs: Arc<Hubs>,
        observed: Arc<dyn ObservedNodes>,
        clock: Arc<dyn Clock>,
        process: Option<ProcessId>,
        budget: Arc<FleetBudget>,
    ) -> Self {
        Self {
            fleets: DashMap::new(),
            hubs,
            observed,
            clock,
            process,
            budget,
            unwritten: UnwrittenRecords::default(),
            writing: Mutex::default(),
        }
    }

    /// A group's instances, in order of their ids.
    pub async fn list(&self, group: GroupId) -> Result<Vec<Node>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let expected = self.expected(group).await;
        let now = self.clock.now();
        let node = |record: &NodeRecord| record.clone().shown(expected, now);
        Ok(fleet.with_records(|records| records.map(node).collect()))
    }

    /// One instance.
    pub async fn get(&self, group: GroupId, node: NodeId) -> Result<Option<Node>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let record = fleet.with_record(node, NodeRecord::clone);
        let expected = self.expected(group).await;
        Ok(record.map(|record| record.shown(expected, self.clock.now())))
    }

    /// Forgets an instance that isn't connected, to whichever process.
    pub async fn forget(&self, group: GroupId, node: NodeId) -> Result<(), ForgetError> {
        let _writing = self.writing.lock().await;
        let fleet = self.remembered_fleet(group);
        self.read(group, &fleet, &mut *fleet.fresh_until.lock().await)
            .await?;
        {
            let mut members = fleet.members();
            let member = members.get(&node).ok_or(ForgetError::NoSuchNode(node))?;
            if member.record.connected_since.is_some() {
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
    ///
    /// # Errors
    /// [`TooManyNewNodes`] where nobody knows it and its credential has brought too many such ones.
    pub(crate) async fn arrived(&self, arrival: Arrival<'_>) -> Result<(), TooManyNewNodes> {
        let arrival = Arrival {
            introduction: said::introduction(arrival.introduction),
            ..arrival
        };
        let fleet = self.fleet_for_arrival(arrival.group).await;
        let (id, now) = (arrival.introduction.node, self.clock.now());
        let replaced = {
            let mut members = fleet.members();
            if !members.contains_key(&id) && !self.budget.spend(arrival.account, Expense::NewNode) {
                metrics::counter!("dataplane_new_nodes_refused").increment(1);
                return Err(TooManyNewNodes(self.budget.limit(Expense::NewNode)));
            }
            let before = members.remove(&id);
            let record = self.record_of(&arrival, before.as_ref().map(|member| &member.record), now);
            let session = Some(Session {
                number: arrival.session,
                connection: arrival.connection,
                level: None,
            });
            members.insert(id, Member { record, session });
            before.and_then(|member| member.session)
        };
        // A Kong that reloads has two connections for a moment, and ends the older one itself.
        if let Some(replaced) = replaced
            && arrival.introduction.protocol == Protocol::Native
        {
            replaced.connection.cancel();
        }
        self.changed(arrival.group, id, &fleet, Urgency::Now);
        Ok(())
    }

    /// What other processes know of a group's instances; what this one remembers, where that can't be read: instances
    /// outlive a database in trouble.
    async fn fleet_for_arrival(&self, group: GroupId) -> Arc<Fleet> {
        match tokio::time::timeout(ARRIVAL_PATIENCE, self.fleet(group)).await {
            Ok(Ok(fleet)) => return fleet,
            Ok(Err(error)) => tracing::warn!(%group, %error, "an instance arrives unknown"),
            Err(_) => {
                tracing::warn!(%group, "an instance arrives unknown: the record of nodes answers too slowly");
            }
        }
        self.remembered_fleet(group)
    }

    fn record_of(&self, arrival: &Arrival<'_>, before: Option<&NodeRecord>, now: Timestamp) -> NodeRecord {
        let introduction = &arrival.introduction;
        // Later than all that is known of it, also where the clock of the process it comes from is ahead.
        let since = before.map_or(now, |before| now.max(Timestamp(before.last_seen.0 + 1)));
        NodeRecord {
            id: introduction.node,
            group: arrival.group,
            hostname: introduction.hostname.clone(),
            version: introduction.version.clone(),
            address: arrival.address.to_string(),
            labels: introduction.labels.clone(),
            credential: arrival.credential.to_owned(),
            protocol: introduction.protocol,
            kong: introduction.kong.clone(),
            process: self.process,
            first_seen: before.map_or(now, |before| before.first_seen),
            last_seen: since,
            connected_since: Some(since),
            applied: None,
            refusal: None,
            refusals: before.map_or(0, |before| before.refusals),
            last_error: before.and_then(|before| before.last_error.clone()),
        }
    }

    /// A connection that had been replaced by a newer one of the same node speaks again, and the newer one has gone.
    pub(crate) fn returned(
        &self,
        group: GroupId,
        node: NodeId,
        session: u64,
        connection: &CancellationToken,
    ) {
        let Some(fleet) = self.fleets.get(&group).map(|fleet| fleet.clone()) else {
            return;
        };
        {
            let mut members = fleet.members();
            let absent =
                |member: &&mut Member| member.session.is_none() && member.record.process == self.process;
            let Some(member) = members.get_mut(&node).filter(absent) else {
                return;
            };
            member.session = Some(Session {
                number: session,
                connection: connection.clone(),
                level: None,
            });
            let since = self.clock.now().max(Timestamp(member.record.last_seen.0 + 1));
            (member.record.connected_since, member.record.last_seen) = (Some(since), since);
        }
        self.changed(group, node, &fleet, Urgency::Now);
    }

    /// An instance is served as one that can take this.
    pub(crate) fn served(&self, group: GroupId, node: NodeId, session: u64, level: Arc<Level>) {
        let Some(fleet) = self.fleets.get(&group).map(|fleet| fleet.clone()) else {
            return;
        };
        let mut members = fleet.members();
        let live = members.get_mut(&node).and_then(|member| member.session.as_mut());
        if let Some(live) = live.filter(|live| live.number == session) {
            live.level = Some(level);
        }
    }

    /// Some instance of a group is not sent what it should run.
    pub(crate) fn hindered(&self, group: GroupId) {
        if let Some(fleet) = self.fleets.get(&group) {
            fleet.refused.send_replace(());
        }
    }

    /// An instance runs this.
    pub(crate) fn runs(&self, group: GroupId, node: NodeId, session: u64, applied: Applied) {
        // Where nobody else reads them, acknowledgements needn't be written before the next heartbeats are.
        let urgency = match self.process {
            Some(_) => Urgency::Soon,
            None => Urgency::Whenever,
        };
        self.update(group, node, session, urgency, |record| {
            if record.applied != Some(applied) {
                record.applied = Some(applied);
                record.refusal = None;
                record.last_error = None;
            }
        });
    }

    /// Something has changed of what only Kong's data planes have.
    pub(crate) fn kong(
        &self,
        group: GroupId,
        node: NodeId,
        session: u64,
        urgency: Urgency,
        change: impl FnOnce(&mut KongNode),
    ) {
        self.update(group, node, session, urgency, |record| {
            if let Some(kong) = &mut record.kong {
                change(kong);
            }
        });
    }

    /// An instance was heard of.
    pub(crate) fn heard(&self, group: GroupId, node: NodeId, session: u64) {
        self.update(group, node, session, Urgency::Whenever, |_| ());
    }

    /// An instance refused a configuration.
    pub(crate) fn refused(&self, group: GroupId, node: NodeId, session: u64, refused: Applied, reason: &str) {
        let (at, reason) = (self.clock.now(), said::shortened(reason, said::REASON_LIMIT));
        self.update(group, node, session, Urgency::Now, |record| {
            record.last_error = Some(reason.clone());
            record.refusals += 1;
            record.refusal = Some(Refusal { refused, reason, at });
        });
        self.hindered(group);
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
            if let Some(why) = why {
                member.record.last_error = Some(said::shortened(&why, said::REASON_LIMIT));
            }
        }
        self.changed(group, node, &fleet, Urgency::Now);
    }

    fn update(
        &self,
        group: GroupId,
        node: NodeId,
        session: u64,
        urgency: Urgency,
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
            member.record.last_seen = member.record.last_seen.max(self.clock.now());
            change(&mut member.record);
        }
        self.changed(group, node, &fleet, urgency);
    }

    fn changed(&self, group: GroupId, node: NodeId, fleet: &Fleet, urgency: Urgency) {
        self.unwritten.add(group, node, urgency);
        fleet.changed.send_replace(());
    }

    /// The fleet of a group, with what other processes wrote until a moment ago.
    pub(crate) async fn fleet(&self, group: GroupId) -> Result<Arc<Fleet>, ObservedNodesUnavailable> {
        let fleet = self.remembered_fleet(group);
        // Whoever asks while it is read shares the answer.
        let mut fresh_until = fleet.fresh_until.lock().await;
        let is_old = |until| self.process.is_some() && Instant::now() >= until;
        if fresh_until.is_none_or(is_old) {
            self.read(group, &fleet, &mut fresh_until).await?;
        }
        drop(fresh_until);
        Ok(fleet)
    }

    /// Returns when what other processes wrote is worth being read again; never, where there are none.
    pub(crate) async fn others_may_have_written(&self) {
        match self.process {
            Some(_) => tokio::time::sleep(READ_INTERVAL).await,
            None => std::future::pending().await,
        }
    }

    fn remembered_fleet(&self, group: GroupId) -> Arc<Fleet> {
        self.fleets.entry(group).or_default().clone()
    }

    async fn read(
        &self,
        group: GroupId,
        fleet: &Fleet,
        fresh_until: &mut Option<Instant>,
    ) -> Result<(), ObservedNodesUnavailable> {
        let began = Instant::now();
        let stored = self.observed.list(group).await?;
        let unwritten = |node| self.unwritten.has(group, node);
        fleet.merge(stored, self.process, self.clock.now(), unwritten);
        *fresh_until = Some(Instant::now() + READ_INTERVAL.max(began.elapsed() * READ_REST));
        Ok(())
    }

    async fn expected(&self, group: GroupId) -> Option<Applied> {
        let hub = self.hubs.hub(group).await.ok()?;
        let newest = hub.current();
        Some(Applied {
            version: newest.version(),
            digest: newest.digest(),
        })
    }

    /// The instances of a group that may not exist any more: nothing is said of what they should run.
    pub async fn list_left_behind(&self, group: GroupId) -> Result<Vec<Node>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let now = self.clock.now();
        let node = |record: &NodeRecord| record.clone().shown(None, now);
        Ok(fleet.with_records(|records| records.map(node).collect()))
    }

    /// Whether a node that a deleted group has left behind was seen later in one of these groups.
    pub async fn is_adopted(
        &self,
        left: &NodeRecord,
        by: &HashSet<GroupId>,
    ) -> Result<bool, ObservedNodesUnavailable> {
        let later = |group: &GroupId, last_seen| by.contains(group) && last_seen > left.last_seen;
        let seen = |fleet: &Fleet| fleet.with_record(left.id, |record| record.last_seen);
        // What has just come isn't written yet.
        let mut fleets = self.fleets.iter();
        if fleets.any(|fleet| seen(fleet.value()).is_some_and(|at| later(fleet.key(), at))) {
            return Ok(true);
        }
        drop(fleets);
        let stored = self.observed.groups_of(left.id).await?;
        Ok(stored.iter().any(|(group, last_seen)| later(group, *last_seen)))
    }

    /// The hash that instances of Kong's newest release with all plugins should have, and since when; none where the
    /// configuration can't be expressed even for them.
    pub async fn expected_hash(
        &self,
        group: GroupId,
    ) -> Result<(Option<Arc<str>>, Timestamp), ConfigurationUnavailable> {
        let hub = self.hubs.hub(group).await?;
        let state = hub.current();
        let encoding = Encoding {
            level: Level::with_all_plugins(Release::NEWEST, Dialect::Document, state.group()),
            envelope: Envelope::Reconfigure,
        };
        let unavailable = |error: TooManyLevels| ConfigurationUnavailable {
            group,
            reason: error.to_string(),
        };
        let level = hub.level(encoding).await.map_err(unavailable)?;
        let mut newest = level.subscribe();
        let follows = |offered: &Arc<Offered>| offered.applied.version >= state.version();
        // The hub doesn't wake a level for a version with the content of the one before.
        let offered = match tokio::time::timeout(LEVEL_PATIENCE, newest.wait_for(follows)).await {
            Ok(Ok(offered)) => offered.clone(),
            _ => level.subscribe().borrow().clone(),
        };
        let hash = offered
            .frame
            .as_ref()
            .ok()
            .map(|frame| frame.hashes.config.clone());
        Ok((hash, state.clock()))
    }

    /// Forgets instances that weren't heard of for so long, again and again.
    pub(crate) async fn forget_old(self: Arc<Self>, retention: Duration, shutdown: CancellationToken) {
        let rest = (retention / 10).clamp(SHORTEST_REST, LONGEST_REST);
        loop {
            tokio::select! {
                () = tokio::time::sleep(rest) => (),
                () = shutdown.cancelled() => return,
            }
            let retained = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
            let before = self.clock.now().plus_seconds(retained.saturating_neg());
            if let Err(error) = self.forget_before(before).await {
                tracing::warn!(%error, "the records of old nodes weren't deleted; trying again");
            }
        }
    }

    async fn forget_before(&self, last_seen: Timestamp) -> Result<(), ObservedNodesUnavailable> {
        let _writing = self.writing.lock().await;
        let fleets: Vec<_> = self.fleets.iter().map(|fleet| fleet.value().clone()).collect();
        for fleet in fleets {
            let stays = |member: &Member| member.session.is_some() || member.record.last_seen >= last_seen;
            fleet.members().retain(|_, member| stays(member));
        }
        self.observed.delete_before(last_seen).await
    }

    /// Writes changed records until nobody is connected any more and nobody comes, and once more then.
    pub(crate) async fn write_records(self: Arc<Self>, deserted: CancellationToken) {
        loop {
            tokio::select! {
                () = self.unwritten.due() => (),
                () = deserted.cancelled() => break,
            }
            if !self.write_changed().await {
                tokio::time::sleep(RETRY_INTERVAL).await;
            }
        }
        if tokio::time::timeout(LAST_WRITE, self.write_changed())
            .await
            .is_err()
        {
            tracing::warn!(
                "nodes' records weren't written in time; they show as connected until they come back"
            );
        }
    }

    /// Whether all could be written.
    async fn write_changed(&self) -> bool {
        let _writing = self.writing.lock().await;
        let unwritten = self.unwritten.take();
        self.forget_strays(&unwritten).await;
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
            for (group, node) in unwritten {
                self.unwritten.add(group, node, Urgency::Now);
            }
        }
        written.is_ok()
    }

    /// Of the instances that went before they ran anything, the last ones are enough to see what is wrong.
    async fn forget_strays(&self, touched: &BTreeSet<(GroupId, NodeId)>) {
        let groups: BTreeSet<GroupId> = touched.iter().map(|(group, _)| *group).collect();
        for group in groups {
            let Some(fleet) = self.fleets.get(&group).map(|fleet| fleet.clone()) else {
                continue;
            };
            for node in fleet.drop_strays(STRAYS) {
                // Where it can't be deleted now, it goes with those that weren't heard of for long.
                if let Err(error) = self.observed.delete(group, node).await {
                    tracing::debug!(%group, %node, %error, "the record of a node that went at once stays for now");
                }
            }
        }
    }

    /// A node's record, if this process keeps it.
    fn record(&self, group: GroupId, node: NodeId) -> Option<NodeRecord> {
        let fleet = self.fleets.get(&group)?.clone();
        let record = fleet.with_record(node, NodeRecord::clone);
        record.filter(|record| record.process == self.process)
    }
}
