//! What is live where: whether every connected instance of a group runs a version.

use std::time::Duration;

use domain::{Digest, GroupId, NodeId, Version};
use serde::Serialize;

use crate::configurations::ConfigurationUnavailable;
use crate::fleet::Fleet;
use crate::hub::Hub;
use crate::node_record::NodeRecord;
use crate::nodes::NodeRegistry;
use crate::observed_nodes::ObservedNodesUnavailable;

/// How long a version that another process has just committed may take to arrive here, unless the caller waits longer.
const ARRIVAL: Duration = Duration::from_secs(5);

/// How far a version has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rollout {
    /// The version asked for.
    pub target: Version,
    /// How many instances are connected.
    pub connected: usize,
    /// How many of them run that version, a later one, or one with the same content.
    pub current: usize,
    /// Those that don't yet.
    pub pending: Vec<NodeId>,
    /// Those that refused it, or aren't sent it because they can't express it.
    pub refused: Vec<RolloutRefusal>,
}

/// An instance that refused a version, or isn't sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RolloutRefusal {
    /// Which instance.
    pub node: NodeId,
    /// The version it refused: the one asked for, or a later one that it was sent instead.
    pub version: Version,
    /// Whether it isn't sent it, because it can't express it.
    pub withheld: bool,
    /// Why.
    pub reason: String,
}

impl Rollout {
    /// Whether every connected instance runs the version; so it is where none is connected.
    pub const fn complete(&self) -> bool {
        self.pending.is_empty() && self.refused.is_empty()
    }

    /// Whether waiting changes nothing any more.
    pub const fn settled(&self) -> bool {
        self.pending.is_empty() || !self.refused.is_empty()
    }
}

/// Why a rollout can't be told.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RolloutError {
    /// The configuration can't be read.
    #[error(transparent)]
    Configuration(#[from] ConfigurationUnavailable),
    /// The fleet can't be read.
    #[error(transparent)]
    Nodes(#[from] ObservedNodesUnavailable),
    /// The version hasn't arrived at this process, so it can't have told its instances of it.
    #[error("version {target} hasn't arrived at this process, which has seen version {seen}; try again")]
    NotSeen {
        /// The version asked for.
        target: Version,
        /// The newest that has arrived.
        seen: Version,
    },
}

impl NodeRegistry {
    /// How far a version has got.
    pub async fn rollout(&self, group: GroupId, target: Version) -> Result<Rollout, RolloutError> {
        let hub = self.hubs.hub(group).await?;
        seen(&hub, target, tokio::time::sleep(ARRIVAL)).await?;
        let fleet = self.fleet(group).await?;
        let digest = hub.current().digest_at(target);
        Ok(fleet.with_records(|records| rollout_of(records, target, digest)))
    }

    /// The same, as soon as it is settled or the time is up.
    pub async fn wait_rollout(
        &self,
        group: GroupId,
        target: Version,
        patience: Duration,
    ) -> Result<Rollout, RolloutError> {
        let up = tokio::time::sleep(patience);
        tokio::pin!(up);
        let hub = self.hubs.hub(group).await?;
        seen(&hub, target, up.as_mut()).await?;
        let mut versions = hub.versions();
        let fleet = self.fleet(group).await?;
        let (mut changed, mut refused) = (fleet.changed.subscribe(), fleet.refused.subscribe());
        loop {
            let rollout = self.rollout(group, target).await?;
            if rollout.settled() {
                return Ok(rollout);
            }
            // Looking at the whole fleet at each acknowledgement would cost its size squared: the last one that is
            // pending is looked at, until it isn't any more.
            let last = rollout.pending.last().copied();
            let digest = hub.current().digest_at(target);
            let still = || last.is_some_and(|last| fleet.still_pending(last, target, digest));
            while still() {
                tokio::select! {
                    _ = changed.changed() => (),
                    _ = refused.changed() => break,
                    _ = versions.changed() => break,
                    () = self.others_may_have_written() => {
                        // Where that fails it is tried again, until the time is up.
                        drop(self.fleet(group).await);
                    }
                    () = &mut up => return self.rollout(group, target).await,
                }
            }
        }
    }
}

/// Waits until a version has arrived at this process: before, that nobody is known to lack it says nothing.
async fn seen(hub: &Hub, target: Version, up: impl Future<Output = ()>) -> Result<(), RolloutError> {
    let mut versions = hub.versions();
    tokio::select! {
        biased;
        _ = versions.wait_for(|version| *version >= target) => Ok(()),
        () = up => Err(RolloutError::NotSeen {
            target,
            seen: hub.current().version(),
        }),
    }
}

impl Fleet {
    /// Whether waiting for the rest of a rollout must go on, because this instance is pending.
    fn still_pending(&self, node: NodeId, target: Version, digest: Option<Digest>) -> bool {
        let pending = self.with_record(node, |record| {
            record.connected_since.is_some()
                && !runs(record, target, digest)
                && hindrance(record, target).is_none()
        });
        pending == Some(true)
    }
}

fn rollout_of<'records>(
    records: impl Iterator<Item = &'records NodeRecord>,
    target: Version,
    digest: Option<Digest>,
) -> Rollout {
    let mut rollout = Rollout {
        target,
        connected: 0,
        current: 0,
        pending: Vec::new(),
        refused: Vec::new(),
    };
    for record in records.filter(|record| record.connected_since.is_some()) {
        rollout.connected += 1;
        match hindrance(record, target) {
            _ if runs(record, target, digest) => rollout.current += 1,
            Some(hindrance) => rollout.refused.push(RolloutRefusal {
                node: record.id,
                version: hindrance.version,
                withheld: hindrance.withheld,
                reason: hindrance.reason.to_owned(),
            }),
            None => rollout.pending.push(record.id),
        }
    }
    rollout
}

fn runs(record: &NodeRecord, target: Version, digest: Option<Digest>) -> bool {
    record
        .applied
        .is_some_and(|applied| applied.version >= target || Some(applied.digest) == digest)
}

/// Why an instance won't run a version, and of which version that is known.
struct Hindrance<'record> {
    version: Version,
    /// It isn't sent it; otherwise it refused it.
    withheld: bool,
    reason: &'record str,
}

fn hindrance(record: &NodeRecord, target: Version) -> Option<Hindrance<'_>> {
    let refused = record.refusal.as_ref().map(|refusal| Hindrance {
        version: refusal.refused.version,
        withheld: false,
        reason: &refusal.reason,
    });
    let withheld = record.withheld().map(|withheld| Hindrance {
        version: withheld.version,
        withheld: true,
        reason: &withheld.reason,
    });
    let mut known = [refused, withheld].into_iter().flatten();
    known.find(|hindrance| hindrance.version >= target)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use domain::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::kong::node::{KongNode, Withheld};
    use crate::native::frames::Applied;
    use crate::node_record::{Protocol, Refusal};

    fn applied(version: Version, content: u8) -> Applied {
        Applied {
            version,
            digest: Digest([content; 32]),
        }
    }

    fn node(number: u128, runs: Option<Applied>) -> NodeRecord {
        NodeRecord {
            id: NodeId(Uuid::from_u128(number)),
            group: GroupId(Uuid::nil()),
            hostname: "host".to_owned(),
            version: "1".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            labels: BTreeMap::new(),
            credential: "token:1".to_owned(),
            protocol: Protocol::Native,
            kong: None,
            process: None,
            first_seen: Timestamp(0),
            last_seen: Timestamp(0),
            connected_since: Some(Timestamp(0)),
            applied: runs,
            refusal: None,
            refusals: 0,
            last_error: None,
        }
    }

    #[test]
    fn without_connected_instances_a_version_is_everywhere() {
        let gone = NodeRecord {
            connected_since: None,
            ..node(1, None)
        };
        let rollout = rollout_of([gone].iter(), 3, None);
        assert!(rollout.complete());
        assert_eq!(rollout.connected, 0);
    }

    #[test]
    fn a_later_version_and_equal_content_count_and_an_older_one_is_pending() {
        let fleet = [
            node(1, Some(applied(9, 9))),
            node(2, Some(applied(2, 5))),
            node(3, Some(applied(4, 4))),
        ];
        let rollout = rollout_of(fleet.iter(), 5, Some(Digest([5; 32])));
        assert_eq!(rollout.current, 2);
        assert_eq!(rollout.pending, [NodeId(Uuid::from_u128(3))]);
        assert!(!rollout.settled());
    }

    #[test]
    fn what_is_not_sent_settles_it_too_until_a_later_version_can_be() {
        let kong = KongNode {
            withheld: Some(Withheld {
                version: 5,
                reason: "plugins/cors: not there".to_owned(),
            }),
            ..KongNode::default()
        };
        let lacking = NodeRecord {
            kong: Some(Box::new(kong)),
            ..node(1, Some(applied(4, 4)))
        };
        let rollout = rollout_of([lacking.clone()].iter(), 5, None);
        assert!(rollout.settled() && rollout.refused[0].withheld);
        assert!(
            !rollout_of([lacking].iter(), 6, None).settled(),
            "version 6 isn't judged yet"
        );
    }

    #[test]
    fn a_refusal_settles_it_and_says_why() {
        let refusing = NodeRecord {
            refusal: Some(Refusal {
                refused: applied(5, 5),
                reason: "no such plugin".to_owned(),
                at: Timestamp(0),
            }),
            ..node(1, Some(applied(4, 4)))
        };
        let rollout = rollout_of([refusing, node(2, None)].iter(), 5, None);
        assert!(rollout.settled() && !rollout.complete());
        assert_eq!(rollout.refused[0].reason, "no such plugin");
    }
}
