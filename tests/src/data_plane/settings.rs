//! The `kong.conf` of a simulated node, and how impatient it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use rustls::SupportedProtocolVersion;
use uuid::Uuid;

use super::basic_info::bundled_plugins;
use super::identity::{Identity, Trust};
use super::release::KongVersion;
use super::tls;
use super::validation::Validator;
use super::websocket::Limits;

/// Everything about a node. Made by [`Settings::new`] and then changed field by field.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its version.
    pub version: KongVersion,
    /// What it calls its version; the number unless it is changed.
    pub version_text: String,
    /// Its id; random unless it is changed.
    pub node_id: Uuid,
    /// Its host's name, which is sent as it is.
    pub hostname: String,
    /// Where it connects.
    pub address: SocketAddr,
    /// What follows host and port in `cluster_control_plane`: empty or `/tenant-a`.
    pub path_prefix: String,
    /// Its certificate and whom it trusts.
    pub identity: Identity,
    /// Which versions of TLS it offers.
    pub tls_versions: &'static [&'static SupportedProtocolVersion],
    /// The plugins that are loaded with the versions that they report; the bundled ones unless changed.
    pub plugins: Vec<(String, Option<String>)>,
    /// The filters that are loaded.
    pub filters: BTreeSet<String>,
    /// `cluster_dp_labels`.
    pub labels: BTreeMap<String, String>,
    /// Whether `router_flavor` is `expressions`.
    pub expressions: bool,
    /// Names of entities that it refuses whatever the control plane thinks of them: it stands for what only a data plane finds.
    pub dislikes: BTreeSet<String>,
    /// `cluster_max_payload`, in bytes.
    pub max_payload: u64,
    /// `cluster_rpc`.
    pub rpc: bool,
    /// `cluster_rpc_sync`.
    pub rpc_sync: bool,
    /// Between two regular pings: 30 s.
    pub ping_interval: Duration,
    /// The shortest and the longest pause before it connects again: 5 and 10 s.
    pub reconnect: (Duration, Duration),
    /// For connecting, for each answer and for each read: 5 s.
    pub socket_timeout: Duration,
    /// How long it bears to hear nothing: 45 s.
    pub silence: Duration,
}

impl Settings {
    /// A node of this version with its defaults; it comes back soon after it lost its connection, because tests have little time.
    pub fn new(version: KongVersion, address: SocketAddr, identity: Identity) -> Self {
        Self {
            version,
            version_text: version.to_string(),
            node_id: random_id(),
            hostname: format!("kong-{}-{}", version.major, version.minor),
            address,
            path_prefix: String::new(),
            identity,
            tls_versions: tls::EVERY_VERSION,
            plugins: bundled_plugins(version),
            filters: BTreeSet::new(),
            labels: BTreeMap::new(),
            expressions: false,
            dislikes: BTreeSet::new(),
            max_payload: version.default_max_payload(),
            rpc: false,
            rpc_sync: false,
            ping_interval: Duration::from_secs(30),
            reconnect: (Duration::from_millis(50), Duration::from_millis(100)),
            socket_timeout: Duration::from_secs(5),
            silence: Duration::from_secs(45),
        }
    }

    /// Path and query of `/v1/outlet` and `/v1/wrpc`: nothing in it is URL-encoded.
    pub fn target(&self, outlet: &str) -> String {
        format!(
            "{}{outlet}?node_id={}&node_hostname={}&node_version={}",
            self.path_prefix, self.node_id, self.hostname, self.version_text
        )
    }

    /// `cluster_control_plane` without its path.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `cluster_mtls`.
    pub const fn mtls(&self) -> &'static str {
        match self.identity.trust {
            Trust::Shared => "shared",
            Trust::Pki { .. } => "pki",
        }
    }

    /// The limits of its WebSocket client.
    pub const fn limits(&self) -> Limits {
        Limits {
            max_payload: self.max_payload,
            read: self.socket_timeout,
        }
    }

    /// How it looks through a configuration.
    pub fn validator(&self) -> Validator {
        Validator {
            version: self.version,
            plugins: self.plugins.iter().map(|(name, _)| name.clone()).collect(),
            filters: self.filters.clone(),
            expressions: self.expressions,
            dislikes: self.dislikes.clone(),
        }
    }

    /// A pause before it connects again, drawn between the shortest and the longest.
    pub fn pause(&self) -> Duration {
        let (shortest, longest) = self.reconnect;
        let drawn = f64::from(commands::entropy::seed()[0]) / 255.0;
        shortest + longest.saturating_sub(shortest).mul_f64(drawn)
    }
}

/// A random UUID.
pub fn random_id() -> Uuid {
    let seed: [u8; 16] = commands::entropy::seed()[..16]
        .try_into()
        .expect("16 of 32 bytes");
    uuid::Builder::from_random_bytes(seed).into_uuid()
}
