//! A registered runtime group and the rules of its name, labels and settings (`runtime-manager-features.md` §1.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::OrganizationError;
use crate::{GroupId, Timestamp, Version};

/// A runtime group as its organization knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRecord {
    /// Its id.
    pub id: GroupId,
    /// Its name, unique in the organization.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels set by people.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its settings.
    pub settings: GroupSettings,
    /// Which type its instances are of; set at creation or by the first instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_type: Option<RuntimeType>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// When it was purged, if it is: its keys are destroyed, what was sealed in its history is erased, and it never comes
    /// back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged_at: Option<Timestamp>,
    /// The organization change that last touched it: its ETag; set by the fold.
    #[serde(default)]
    pub touched: Version,
}

/// What a group's owner may set, as the hosted product calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Create-only.
    pub cluster_type: ClusterType,
    /// How instances' certificates are trusted.
    pub auth_type: AuthType,
    /// Marks the group for instances hosted elsewhere; create-only, informational.
    pub cloud_gateway: bool,
    /// Where the group's traffic enters.
    #[serde(default)]
    pub proxy_urls: Vec<ProxyUrl>,
}

/// The kind of group. Only standard groups exist here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClusterType {
    /// A standard group.
    #[default]
    #[serde(rename = "CLUSTER_TYPE_CONTROL_PLANE", alias = "CLUSTER_TYPE_HYBRID")]
    ControlPlane,
}

/// How a group trusts its instances' certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthType {
    /// A certificate must be one that was uploaded.
    #[default]
    PinnedClientCerts,
    /// A certificate must chain to a CA that was uploaded.
    PkiClientCerts,
}

/// An address at which a group's traffic enters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProxyUrl {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `http`, `https` …
    pub protocol: String,
}

/// The type all of a group's instances are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeType {
    /// Stock Kong Gateway data planes.
    KongGateway,
    /// The native protocol: our agent, other gateways.
    Native,
}

impl RuntimeType {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KongGateway => "kong-gateway",
            Self::Native => "native",
        }
    }
}

/// Checks a group's name: 1–128 characters, no `/`, no control characters, not a UUID (DESIGN §2).
pub fn check_name(name: &str) -> Result<(), OrganizationError> {
    let invalid = |reason: &str| OrganizationError::invalid("name", reason);
    let length = name.chars().count();
    if !(1..=128).contains(&length) {
        return Err(invalid("must have 1 to 128 characters"));
    }
    if name.contains('/') || name.chars().any(char::is_control) {
        return Err(invalid("must not contain '/' or control characters"));
    }
    if name.trim() != name {
        return Err(invalid("must not begin or end with white space"));
    }
    if uuid::Uuid::try_parse(name).is_ok() {
        return Err(invalid("must not be a UUID, which would read as an id"));
    }
    Ok(())
}

/// Checks labels: at most 5; keys ≤ 63 and values 1–63 of `[A-Za-z0-9._-]`, alphanumeric at both ends; keys don't
/// begin with a reserved word.
pub fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), OrganizationError> {
    const RESERVED: [&str; 7] = ["kong", "konnect", "insomnia", "mesh", "kic", "kuma", "_"];
    if labels.len() > 5 {
        return Err(OrganizationError::invalid(
            "labels",
            "must have at most 5 entries",
        ));
    }
    for (key, value) in labels {
        if let Some(word) = RESERVED.iter().find(|word| key.starts_with(**word)) {
            return Err(OrganizationError::invalid(
                &format!("labels.{key}"),
                &format!("keys must not begin with '{word}'"),
            ));
        }
        for text in [key, value] {
            if !is_label(text) {
                let reason = "keys and values have 1 to 63 of A-Z a-z 0-9 . _ - and begin and end with a letter or digit";
                return Err(OrganizationError::invalid(&format!("labels.{key}"), reason));
            }
        }
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    (1..=63).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte))
        && ends.iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}
