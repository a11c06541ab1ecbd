//! What connected instances couldn't express of a configuration that isn't there yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::compatibility::{self, Dialect, Effect, Finding, GatewayVersion, Level, Release};
use domain::group::Group;
use domain::{EntityId, GroupId, Kind, NodeId};

use crate::fleet::Member;
use crate::kong::node::Findings;
use crate::node_record::{NodeRecord, Protocol};
use crate::nodes::NodeRegistry;
use crate::observed_nodes::ObservedNodesUnavailable;

/// A configuration that may come, beside the one that is.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// The group as it is.
    pub before: Group,
    /// The group as it would be.
    pub after: Group,
    /// The entities that would be touched.
    pub touched: Vec<(Kind, EntityId)>,
}

/// A connected instance that something wouldn't reach as it is written.
#[derive(Clone, Debug)]
pub struct Hindered {
    /// The instance.
    pub id: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// Its version, as it says.
    pub version: String,
    /// What wouldn't, and what would be otherwise than it is now.
    pub findings: Findings,
}

impl NodeRegistry {
    /// The connected instances of a group that couldn't express a prospect, by id. Of those connected to other processes only the
    /// release is known: they are taken to have every plugin.
    pub async fn hindered_by(
        &self,
        group: GroupId,
        prospect: Prospect,
    ) -> Result<Vec<Hindered>, ObservedNodesUnavailable> {
        let fleet = self.fleet(group).await?;
        let mut levels: BTreeMap<Arc<Level>, Vec<NodeRecord>> = BTreeMap::new();
        for member in fleet.members().values() {
            if let Some(level) = level_of(member, &prospect.after) {
                levels.entry(level).or_default().push(member.record.clone());
            }
        }
        if levels.is_empty() {
            return Ok(Vec::new());
        }
        let judged = tokio::task::spawn_blocking(move || judge(levels, &prospect)).await;
        Ok(judged.expect("judging doesn't panic, and the runtime outlives its tasks"))
    }
}

/// What a connected data plane can take; none of ours, which take everything.
fn level_of(member: &Member, group: &Group) -> Option<Arc<Level>> {
    let record = &member.record;
    record.connected_since?;
    let dialect = match record.protocol {
        Protocol::Native => return None,
        Protocol::KongV1 | Protocol::KongWrpc => Dialect::Document,
        Protocol::KongSyncV2 => Dialect::Deltas,
    };
    let known = member.session.as_ref().and_then(|session| session.level.clone());
    known.or_else(|| {
        let release = Release::of(GatewayVersion::parse(&record.version)?).ok()?;
        Some(Arc::new(Level::with_all_plugins(release, dialect, group)))
    })
}

fn judge(levels: BTreeMap<Arc<Level>, Vec<NodeRecord>>, prospect: &Prospect) -> Vec<Hindered> {
    let mut concerned: BTreeSet<_> = prospect.touched.iter().copied().collect();
    for (kind, id) in &prospect.touched {
        for group in [&prospect.before, &prospect.after] {
            concerned.extend(compatibility::affected(group, *kind, *id));
        }
    }
    let mut hindered = Vec::new();
    for (level, nodes) in levels {
        let new: Vec<_> = concerned
            .iter()
            .flat_map(|key| new_findings(prospect, *key, &level))
            .collect();
        if new.is_empty() {
            continue;
        }
        let findings = Findings::of(new.iter());
        hindered.extend(nodes.into_iter().map(|record| Hindered {
            id: record.id,
            hostname: record.hostname,
            version: record.version,
            findings: findings.clone(),
        }));
    }
    hindered.sort_unstable_by_key(|node| node.id);
    hindered
}

/// What would be lost or rewritten of an entity, other than what already is.
fn new_findings(prospect: &Prospect, (kind, id): (Kind, EntityId), level: &Level) -> Vec<Finding> {
    let findings = |group: &Group| {
        let entity = group.entity(kind, id);
        let written = entity.map(|entity| compatibility::write(group, entity, level));
        written.map(|written| written.findings).unwrap_or_default()
    };
    let mut then = findings(&prospect.after);
    if !then.is_empty() {
        let now = findings(&prospect.before);
        then.retain(|finding| finding.effect != Effect::Noted && !now.contains(finding));
    }
    then
}
