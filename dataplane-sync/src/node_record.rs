//! What is known of a runtime instance, and how it stands to the newest configuration.

use std::collections::BTreeMap;
use std::fmt;

use domain::{GroupId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::kong::node::{KongNode, Withheld};
use crate::native::frames::Applied;
use crate::native::{DISCONNECT_SECONDS, SILENT_SECONDS};

/// A process of the control plane: another one at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub Uuid);

impl fmt::Display for ProcessId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

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
    /// How it is spoken with.
    #[serde(default)]
    pub protocol: Protocol,
    /// What only Kong's data planes have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kong: Option<Box<KongNode>>,
    /// The process that holds, or held, its connection and keeps this record; none where there is only one process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last heard of. Of two records of a node the one with the later time is the newer.
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
    /// How many configurations it has refused since it was first seen.
    #[serde(default)]
    pub refusals: u64,
    /// Why its last connection ended, or what it refused.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// How an instance is spoken with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Ours.
    #[default]
    Native,
    /// Kong's `/v1/outlet`.
    KongV1,
    /// Kong 3.1's `/v1/wrpc`.
    KongWrpc,
    /// Kong's `/v2/outlet` with sync v2.
    KongSyncV2,
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
    /// The newest configuration isn't sent to it, because its version or its plugins can't express it.
    Withheld,
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

impl NodeRecord {
    /// How it stands to what it should run.
    pub fn status(&self, expected: Option<Applied>, now: Timestamp) -> SyncStatus {
        let digest = |applied: Applied| applied.digest;
        let expected = expected.map(digest);
        let refused = self.refusal.as_ref().map(|refusal| refusal.refused.digest);
        if self.connected_since.is_none() {
            SyncStatus::Disconnected
        } else if now >= self.last_seen.plus_seconds(SILENT_SECONDS) {
            SyncStatus::Silent
        } else if self.withheld().is_some() {
            SyncStatus::Withheld
        } else if expected.is_some() && refused == expected {
            SyncStatus::Refused
        } else if expected.is_some() && self.applied.map(digest) == expected {
            SyncStatus::InSync
        } else {
            SyncStatus::Syncing
        }
    }

    /// Why the newest configuration isn't sent to it, if so.
    pub fn withheld(&self) -> Option<&Withheld> {
        self.kong.as_ref()?.withheld.as_ref()
    }

    /// The instance as it is shown.
    pub fn shown(self, expected: Option<Applied>, now: Timestamp) -> Node {
        let status = self.status(expected, now);
        Node {
            record: self,
            expected,
            status,
        }
    }

    /// Whether it has been silent for so long that it counts as disconnected, whatever the record says.
    pub fn is_lost(&self, now: Timestamp) -> bool {
        now >= self.last_seen.plus_seconds(DISCONNECT_SECONDS)
    }
}
