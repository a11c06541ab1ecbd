//! What was observed of runtime instances: kept beside the views, not derived from the log, and exempt from
//! rebuilding (DESIGN §6). `dataplane-sync` decides what a record says.

use std::sync::{Arc, LazyLock};

use domain::{GroupId, NodeId, Timestamp};
use uuid::Uuid;

use crate::database::{Row, Writer};
use crate::error::ViewError;
use crate::shared::Shared;
use crate::write::bulk::Bulk;

static PUT: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO observed_node (group_id, node_id, last_seen, record) VALUES",
        4,
        "ON CONFLICT (group_id, node_id) DO UPDATE SET last_seen = excluded.last_seen, record = excluded.record
         WHERE excluded.last_seen >= observed_node.last_seen",
    )
});
const LIST: &str =
    "SELECT node_id, last_seen, record FROM observed_node WHERE group_id = $1 ORDER BY node_id";
const GET: &str = "SELECT node_id, last_seen, record FROM observed_node WHERE group_id = $1 AND node_id = $2";
const GROUPS_OF: &str = "SELECT group_id, last_seen FROM observed_node WHERE node_id = $1 ORDER BY group_id";
const DELETE: &str = "DELETE FROM observed_node WHERE group_id = $1 AND node_id = $2";
const TAKE_BACK: &str = "UPDATE observed_node SET last_seen = $1 WHERE last_seen > $2";
const DELETE_BEFORE: &str = "DELETE FROM observed_node WHERE last_seen < $1";

#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let others = [LIST, GET, GROUPS_OF, DELETE, DELETE_BEFORE, TAKE_BACK].map(str::to_owned);
    PUT.statements().into_iter().chain(others).collect()
}

/// What was observed of one runtime instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedNode {
    /// Its group.
    pub group: GroupId,
    /// The node.
    pub node: NodeId,
    /// When it last said something.
    pub last_seen: Timestamp,
    /// Everything else, as JSON.
    pub record: serde_json::Value,
}

/// Makes records replaceable that a clock wrote which was ahead: none can have been seen later than now.
pub(crate) async fn take_back(writer: &mut Writer<'_>, now: Timestamp) -> Result<(), sqlx::Error> {
    let arguments = [now.0.into(), now.latest_plausible().0.into()];
    writer.connection().execute(TAKE_BACK, arguments).await?;
    Ok(())
}

/// The observed records of all groups' runtime instances.
#[derive(Clone)]
pub struct Observed {
    shared: Arc<Shared>,
}

impl Observed {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Writes many records, at most one of each node, in one transaction, replacing earlier ones; a later one stays.
    pub async fn put(&self, nodes: &[ObservedNode]) -> Result<(), ViewError> {
        // In one order for all processes, so that none waits for another that waits for it.
        let mut nodes: Vec<_> = nodes.iter().collect();
        nodes.sort_by_key(|node| (node.group, node.node));
        let mut writer = self.shared.database.write().await?;
        let mut transaction = writer.begin().await?;
        let values = |node: &&ObservedNode| {
            [
                node.group.0.as_bytes().into(),
                node.node.0.as_bytes().into(),
                node.last_seen.0.into(),
                node.record.to_string().into(),
            ]
        };
        PUT.execute(&mut transaction.connection(), &nodes, values).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The records of a group's nodes, by id.
    pub async fn list(&self, group: GroupId) -> Result<Vec<ObservedNode>, ViewError> {
        let rows = self
            .shared
            .database
            .fetch_all(LIST, [group.0.as_bytes().into()])
            .await?;
        rows.iter().map(|row| observed(group, row)).collect()
    }

    /// One node's record.
    pub async fn get(&self, group: GroupId, node: NodeId) -> Result<Option<ObservedNode>, ViewError> {
        let row = self
            .shared
            .database
            .fetch_optional(GET, [group.0.as_bytes().into(), node.0.as_bytes().into()])
            .await?;
        row.map(|row| observed(group, &row)).transpose()
    }

    /// The groups that a node was observed in, and when it was last.
    pub async fn groups_of(&self, node: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ViewError> {
        let arguments = [node.0.as_bytes().into()];
        let rows = self.shared.database.fetch_all(GROUPS_OF, arguments).await?;
        let group = |row: &Row| {
            let id = Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?;
            Ok((GroupId(id), Timestamp(row.get(1)?)))
        };
        rows.iter().map(group).collect()
    }

    /// Forgets all nodes that were last seen before this; says how many.
    pub async fn delete_before(&self, last_seen: Timestamp) -> Result<u64, ViewError> {
        let mut writer = self.shared.database.write().await?;
        let arguments = [last_seen.0.into()];
        Ok(writer.connection().execute(DELETE_BEFORE, arguments).await?)
    }

    /// Forgets a node; says whether there was a record.
    pub async fn delete(&self, group: GroupId, node: NodeId) -> Result<bool, ViewError> {
        let mut writer = self.shared.database.write().await?;
        let arguments = [group.0.as_bytes().into(), node.0.as_bytes().into()];
        Ok(writer.connection().execute(DELETE, arguments).await? > 0)
    }
}

fn observed(group: GroupId, row: &Row) -> Result<ObservedNode, ViewError> {
    let node = Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?;
    Ok(ObservedNode {
        group,
        node: NodeId(node),
        last_seen: Timestamp(row.get(1)?),
        record: serde_json::from_str(row.get(2)?).map_err(ViewError::damaged)?,
    })
}
