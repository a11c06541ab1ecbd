//! What the HTTP API stands on; handed in by the composition root.

use std::sync::Arc;
use std::time::Duration;

use commands::bus::CommandBus;
use commands::compute::Pool;
use commands::log::witness::Heads;
use dataplane_sync::NodeRegistry;
use domain::signing::SigningKey;
use domain::{Clock, EventLog, Keyring};
use metrics_exporter_prometheus::PrometheusHandle;
use projections::{Lane, Projections};
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::memory_budget::MemoryBudget;
use super::reads::Reads;
use super::request_rates::{Counted, RequestRates};
use crate::config::Forwarding;
use crate::health::Conditions;

/// Fresh 256-bit randomness: request ids and tokens are made of it.
pub type Entropy = fn() -> [u8; 32];

/// What an installation's answers say about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `config.control_plane_endpoint` of every group: where its instances connect.
    pub control_plane_endpoint: String,
    /// `config.telemetry_endpoint` of every group.
    pub telemetry_endpoint: String,
    /// Why nobody has verified that the log is durable once it says so; none where it was (DESIGN §5).
    pub durability_unverified: Option<String>,
    /// How long the record of an instance that isn't heard of any more is kept.
    pub node_retention: Duration,
    /// How long after its deletion a group is purged; none: never.
    pub group_retention: Option<Duration>,
    /// How many requests a token and an address may send.
    pub request_rates: RequestRates,
    /// How much memory requests in flight may take together, in bytes.
    pub request_memory: usize,
    /// How the proxies in front say whom a request came from.
    pub forwarding: Forwarding,
}

/// What the API is made of.
pub struct Parts {
    /// The only way to change anything.
    pub commands: CommandBus,
    /// Everything derived from the log.
    pub projections: Projections,
    /// The instances that are or were connected.
    pub nodes: Arc<NodeRegistry>,
    /// The log, asked whether it can be reached, and read by exports.
    pub log: Arc<dyn EventLog>,
    /// The keyring, for the same.
    pub keyring: Arc<dyn Keyring>,
    /// The log's signed heads.
    pub heads: Heads,
    /// What the installation signs with.
    pub signing: Arc<SigningKey>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Entropy,
    /// What isn't well with the process.
    pub health: Arc<Conditions>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// What answers say about the installation.
    pub settings: Settings,
    /// Cancelled when the process still takes requests but is about to end: it isn't ready any more.
    pub draining: CancellationToken,
    /// Cancelled when the process shall end: answers that would go on for ever end then.
    pub shutdown: CancellationToken,
}

/// The parts, and what the API keeps of its own.
pub(crate) struct Services {
    pub(crate) commands: CommandBus,
    serving: Reads,
    computing: Reads,
    pub(crate) nodes: Arc<NodeRegistry>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) heads: Heads,
    pub(crate) signing: Arc<SigningKey>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Entropy,
    pub(crate) health: Arc<Conditions>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) settings: Settings,
    pub(crate) draining: CancellationToken,
    pub(crate) shutdown: CancellationToken,
    pub(crate) access: Access,
    pub(crate) pool: Pool,
    pub(crate) rates: Counted,
    pub(crate) memory: Arc<MemoryBudget>,
}

impl Services {
    /// These parts, with these threads for computing.
    pub(crate) fn new(parts: Parts, pool: Pool) -> Self {
        let reads = |lane| Reads::new(parts.projections.clone(), Arc::clone(&parts.log), lane);
        Self {
            commands: parts.commands,
            serving: reads(Lane::Serving),
            computing: reads(Lane::Computing),
            nodes: parts.nodes,
            log: parts.log,
            keyring: parts.keyring,
            heads: parts.heads,
            signing: parts.signing,
            clock: parts.clock,
            entropy: parts.entropy,
            health: parts.health,
            metrics: parts.metrics,
            rates: Counted::new(parts.settings.request_rates),
            memory: MemoryBudget::new(parts.settings.request_memory),
            settings: parts.settings,
            draining: parts.draining,
            shutdown: parts.shutdown,
            access: Access::default(),
            pool,
        }
    }
    /// Queries over the connections of a lane.
    pub(crate) const fn reads(&self, lane: Lane) -> &Reads {
        match lane {
            Lane::Serving => &self.serving,
            Lane::Computing => &self.computing,
        }
    }
}
