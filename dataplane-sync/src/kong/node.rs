//! What the registry keeps of a Kong data plane beside what every instance has (DESIGN §7, `kong-hybrid-protocol.md` §6).

use std::sync::Arc;

use domain::compatibility::{Effect, Finding, Incompatibility};
use domain::fingerprint::Fingerprint;
use domain::{EntityId, Version};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

/// How many findings are kept with a node.
const FINDINGS: usize = 100;
/// How many errors of a node are kept, the newest first.
const ERRORS: usize = 5;

/// What only Kong's data planes have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KongNode {
    /// The hash of its last ping: of what it runs.
    pub config_hash: String,
    /// The hash of what it should run; none where that is withheld.
    pub expected_hash: Option<Arc<str>>,
    /// How its version and plugins go with the configuration.
    pub compatibility: Compatibility,
    /// Why the newest configuration isn't sent to it, if so.
    pub withheld: Option<Withheld>,
    /// What reaches it otherwise than it is written.
    pub findings: Findings,
    /// The few of its settings that matter.
    pub settings: Map<String, Value>,
    /// The certificate it showed.
    pub certificate: Option<NodeCertificate>,
    /// What it said was wrong, newest first (§2.6).
    pub errors: Vec<Value>,
    /// What it can do beside receiving configurations.
    pub rpc_capabilities: Vec<String>,
}

impl KongNode {
    /// Keeps what it said was wrong.
    pub fn failed(&mut self, error: Value) {
        self.errors.insert(0, error);
        self.errors.truncate(ERRORS);
    }
}

/// How a node's version and plugins go with its group's configuration: Kong's `sync_status` (§3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compatibility {
    /// Not known yet.
    #[default]
    Unknown,
    /// It takes the configuration.
    Normal,
    /// Its version isn't served.
    KongVersionIncompatible,
    /// It lacks a plugin that is configured.
    PluginSetIncompatible,
    /// A configured plugin is of another version there.
    PluginVersionIncompatible,
    /// It lacks a WebAssembly filter that is configured.
    FilterSetIncompatible,
    /// Its version can't express the configuration.
    ConfigurationIncompatible,
}

impl From<Incompatibility> for Compatibility {
    fn from(incompatibility: Incompatibility) -> Self {
        match incompatibility {
            Incompatibility::PluginSet => Self::PluginSetIncompatible,
            Incompatibility::PluginVersion => Self::PluginVersionIncompatible,
            Incompatibility::FilterSet => Self::FilterSetIncompatible,
            Incompatibility::Configuration => Self::ConfigurationIncompatible,
        }
    }
}

/// A configuration that isn't sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// The group's version that isn't.
    pub version: Version,
    /// Why, and how to mend it.
    pub reason: String,
}

/// The certificate a node showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// The id of the certificate in the group's list which it is, or which issued it.
    pub listed: Uuid,
    /// SHA-256, in hexadecimal digits.
    pub fingerprint: String,
    /// When it ends, in seconds since the epoch.
    pub expires_at: i64,
}

impl NodeCertificate {
    /// As it is kept.
    pub fn new(listed: Uuid, fingerprint: Fingerprint, expires_at: i64) -> Self {
        Self {
            listed,
            fingerprint: fingerprint.to_string(),
            expires_at,
        }
    }
}

/// Findings, shared by all nodes of a level.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How many there are.
    pub total: usize,
    /// The first of them.
    pub first: Arc<[NodeFinding]>,
}

impl Findings {
    /// Of a level's document.
    pub fn of<'findings>(findings: impl Iterator<Item = &'findings Finding>) -> Self {
        let (mut total, mut first) = (0, Vec::new());
        for finding in findings {
            total += 1;
            if first.len() < FINDINGS {
                first.push(NodeFinding::from(finding));
            }
        }
        let first = first.into();
        Self { total, first }
    }
}

/// Something that reaches a node otherwise than it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFinding {
    /// The entity's kind.
    pub kind: String,
    /// The entity.
    pub id: EntityId,
    /// Its name, if it has one that isn't secret.
    pub name: Option<String>,
    /// The field, dotted, if it is about one.
    pub field: Option<String>,
    /// What was done: `noted`, `changed`, `field_left_out`, `entity_left_out` or `withheld`.
    pub effect: String,
    /// What, why, and how to mend it.
    pub message: String,
}

impl From<&Finding> for NodeFinding {
    fn from(finding: &Finding) -> Self {
        let effect = match finding.effect {
            Effect::Noted => "noted",
            Effect::Changed => "changed",
            Effect::FieldLeftOut => "field_left_out",
            Effect::EntityLeftOut => "entity_left_out",
            Effect::Withheld(_) => "withheld",
        };
        Self {
            kind: finding.kind.name().to_owned(),
            id: finding.id,
            name: finding.name.clone(),
            field: finding.field.clone(),
            effect: effect.to_owned(),
            message: finding.message.clone(),
        }
    }
}
