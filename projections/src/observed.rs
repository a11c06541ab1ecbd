//! What was observed of runtime instances: kept beside the views, not derived from the log, and exempt from
//! rebuilding (DESIGN §6). `dataplane-sync` decides what a record says.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::group::event::ERASED;
use domain::sealed_text::{key_of, open_text, seal_text};
use domain::{GroupId, NodeId, Timestamp};
use serde_json::{Value, json};
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
        let groups = nodes.iter().map(|node| key_of(node.group)).collect();
        self.shared.keyring.ensure(&groups).await?;
        let mut sealed = Vec::with_capacity(nodes.len());
        for node in nodes {
            // A purged group's instances are forgotten.
            if let Some(record) = self.sealed(node.group, node.node, &node.record)? {
                sealed.push((node, record));
            }
        }
        let mut writer = self.shared.database.write().await?;
        let mut transaction = writer.begin().await?;
        let values = |(node, record): &(&ObservedNode, String)| {
            [
                node.group.0.as_bytes().into(),
                node.node.0.as_bytes().into(),
                node.last_seen.0.into(),
                record.clone().into(),
            ]
        };
        PUT.execute(&mut transaction.connection(), &sealed, values)
            .await?;
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
        self.load(group, !rows.is_empty()).await?;
        let nodes = rows
            .iter()
            .filter_map(|row| self.observed(group, row).transpose());
        nodes.collect()
    }

    /// One node's record.
    pub async fn get(&self, group: GroupId, node: NodeId) -> Result<Option<ObservedNode>, ViewError> {
        let row = self
            .shared
            .database
            .fetch_optional(GET, [group.0.as_bytes().into(), node.0.as_bytes().into()])
            .await?;
        self.load(group, row.is_some()).await?;
        Ok(row.map(|row| self.observed(group, &row)).transpose()?.flatten())
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

    /// Loads the key that a group's records are sealed with, if there are any.
    async fn load(&self, group: GroupId, wanted: bool) -> Result<(), ViewError> {
        let keyring = &self.shared.keyring;
        if wanted && keyring.data_key(key_of(group)).is_err() {
            keyring.ensure(&[key_of(group)].into()).await?;
        }
        Ok(())
    }

    /// A record as it rests: what an instance says of a configuration may repeat what is secret in it. None if the group's key is destroyed.
    fn sealed(&self, group: GroupId, node: NodeId, record: &Value) -> Result<Option<String>, ViewError> {
        let text = record.to_string();
        let sealed = seal_text(group, &place_of(node), &text, &*self.shared.keyring);
        let sealed = sealed.map_err(ViewError::damaged)?;
        let record = || json!({ SEALED: BASE64.encode(&sealed) }).to_string();
        Ok((!sealed.is_empty()).then(record))
    }

    /// What a row holds; none if the group's key is destroyed.
    fn observed(&self, group: GroupId, row: &Row) -> Result<Option<ObservedNode>, ViewError> {
        let node = NodeId(Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?);
        let mut record: Value = serde_json::from_str(row.get(2)?).map_err(ViewError::damaged)?;
        // Older programs wrote it as it was.
        if let Some(sealed) = record.get(SEALED).and_then(Value::as_str) {
            let sealed = BASE64.decode(sealed).map_err(ViewError::damaged)?;
            let text = open_text(group, &place_of(node), &sealed, &*self.shared.keyring);
            let text = text.map_err(ViewError::damaged)?;
            if text == ERASED {
                return Ok(None);
            }
            record = serde_json::from_str(&text).map_err(ViewError::damaged)?;
        }
        Ok(Some(ObservedNode {
            group,
            node,
            last_seen: Timestamp(row.get(1)?),
            record,
        }))
    }
}

/// The only member of a sealed record.
const SEALED: &str = "sealed";

fn place_of(node: NodeId) -> String {
    format!("observed/{}", node.0)
}
