//! Where the fleet's records are kept over restarts, and where the processes of a cluster see each other's: observed
//! state, beside the views (DESIGN §6).

use async_trait::async_trait;
use domain::{GroupId, NodeId, Timestamp};

use crate::node_record::NodeRecord;

/// A store that didn't answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the record of nodes can't be reached: {0}")]
pub struct ObservedNodesUnavailable(pub String);

/// The durable record of nodes.
#[async_trait]
pub trait ObservedNodes: Send + Sync + 'static {
    /// Writes nodes' records together, each replacing the one before unless that has a later `last_seen`: of a node that
    /// moved to another process, what the process it left writes late changes nothing.
    async fn put(&self, nodes: &[NodeRecord]) -> Result<(), ObservedNodesUnavailable>;

    /// The records of a group's nodes.
    async fn list(&self, group: GroupId) -> Result<Vec<NodeRecord>, ObservedNodesUnavailable>;

    /// The groups that have a record of a node, and when it was last seen there.
    async fn groups_of(&self, node: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ObservedNodesUnavailable>;

    /// Deletes a node's record.
    async fn delete(&self, group: GroupId, node: NodeId) -> Result<(), ObservedNodesUnavailable>;

    /// Deletes the records of all nodes that were last seen before this.
    async fn delete_before(&self, last_seen: Timestamp) -> Result<(), ObservedNodesUnavailable>;
}
