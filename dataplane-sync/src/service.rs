//! Starts and holds the whole room: listeners, hubs, the registry and their background tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::gateway::SharedCommands;
use domain::places::PlaceLimits;
use domain::system::Authority;
use domain::{Clock, Spawner};
use futures::FutureExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::configurations::Configurations;
use crate::fleet_budget::FleetBudget;
use crate::fleet_events::FleetEvents;
use crate::gatekeeper::Gatekeeper;
use crate::hub::Hubs;
use crate::instance_tokens::SharedTokens;
use crate::listener::{Entrance, listen};
use crate::node_certificates::SharedCertificates;
use crate::node_record::ProcessId;
use crate::nodes::NodeRegistry;
use crate::observed_nodes::ObservedNodes;
use crate::server_certificate::{CertificateError, ServerCertificate, SharedPair};
use crate::sessions::Shared;

/// How connections are protected.
#[derive(Clone, Debug)]
pub enum Protection {
    /// TLS with a certificate issued by the built-in CA for these host names and addresses, beside the local ones.
    Tls {
        /// The built-in CA.
        authority: Authority,
        /// Names and addresses by which instances reach the listener.
        names: Vec<String>,
        /// Pairs for `cluster_mtls=shared`: the first for the first address, and so on, as far as they go.
        shared_pairs: Vec<SharedPair>,
    },
    /// None: on loopback only.
    Plaintext,
}

/// What the service needs.
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// How many connections there may be at once.
    pub connections: PlaceLimits,
    /// How connections are protected.
    pub protection: Protection,
    /// Groups' configurations.
    pub configurations: Arc<dyn Configurations>,
    /// Instances' tokens.
    pub tokens: SharedTokens,
    /// Instances' certificates.
    pub certificates: SharedCertificates,
    /// The fleet's durable record.
    pub observed: Arc<dyn ObservedNodes>,
    /// The command gateway.
    pub commands: SharedCommands,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Background tasks.
    pub spawner: Arc<dyn Spawner>,
    /// The log's identity.
    pub log_id: Uuid,
    /// How long to rest between two pushes of a whole configuration to one instance.
    pub push_rest: Duration,
    /// How long the record of an instance that isn't heard of any more is kept.
    pub node_retention: Duration,
    /// How many instances that weren't known one credential may bring within an hour.
    pub new_nodes_per_hour: u32,
    /// This process, where others write the same record of the fleet; none where it is the only one.
    pub process: Option<ProcessId>,
}

/// Why the service doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Without TLS somebody else could read the secrets in the configurations.
    #[error("{0} isn't a loopback address: without TLS the data-plane listener binds to loopback only")]
    PlaintextOffLoopback(SocketAddr),
    /// No certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The address is taken, or not this machine's.
    #[error("the data-plane listener can't listen on {address}: {error}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
}

/// The running service. It ends with the process: when the [`Spawner`] says so, listeners close at once, then each
/// instance is told to come back at a moment of its own and its connection is closed.
pub struct DataplaneSync {
    addresses: Vec<SocketAddr>,
    nodes: Arc<NodeRegistry>,
}

impl DataplaneSync {
    /// Starts listening and serving. It must be called within a tokio runtime.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let tls = tls_of(&options)?;
        let shutdown = CancellationToken::new();
        let hubs = Arc::new(Hubs::new(options.configurations, options.spawner.clone()));
        let budget = Arc::new(FleetBudget::new(options.new_nodes_per_hour));
        let nodes = Arc::new(NodeRegistry::new(
            hubs.clone(),
            options.observed,
            options.clock.clone(),
            options.process,
            budget.clone(),
        ));
        let gatekeeper = Arc::new(Gatekeeper::new(
            options.tokens,
            options.certificates,
            options.clock.clone(),
            shutdown.clone(),
        ));
        let (events, hand_over) = FleetEvents::new(options.commands, budget, shutdown.clone());
        let shared = Arc::new(Shared {
            log: options.log_id,
            nodes: nodes.clone(),
            events,
            clock: options.clock,
            push_rest: options.push_rest,
            shutdown: shutdown.clone(),
        });
        let entrance = Arc::new(Entrance::new(
            gatekeeper.clone(),
            hubs,
            shared,
            options.connections,
        ));
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for (address, tls) in options.listen.into_iter().zip(tls) {
            let failed = |error| StartError::Listen { address, error };
            let listener = listen(address).map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push((listener, tls));
        }
        let recheck = gatekeeper.recheck();
        let deserted = CancellationToken::new();
        // Until the last instance has left, so that the other processes don't believe it connected here.
        let write_records = nodes.clone().write_records(deserted.clone());
        let forget_old = nodes.clone().forget_old(options.node_retention, shutdown.clone());
        let serve = async move {
            entrance.serve(listeners).await;
            deserted.cancel();
        };
        let spawner = options.spawner;
        let end = spawner.shutdown();
        let pass_on = async move {
            end.await;
            shutdown.cancel();
        };
        spawner.spawn("data-plane shutdown", pass_on.boxed());
        spawner.spawn("data-plane listeners", serve.boxed());
        spawner.spawn("instance token check", recheck.boxed());
        spawner.spawn("node records", write_records.boxed());
        spawner.spawn("old node records", forget_old.boxed());
        spawner.spawn("fleet events", hand_over.boxed());
        Ok(Self { addresses, nodes })
    }

    /// Where it listens, in the order asked for.
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The registry of instances.
    pub const fn nodes(&self) -> &Arc<NodeRegistry> {
        &self.nodes
    }
}

/// TLS for each address, in their order.
fn tls_of(options: &Options) -> Result<Vec<Option<TlsAcceptor>>, StartError> {
    match &options.protection {
        Protection::Tls {
            authority,
            names,
            shared_pairs,
        } => {
            let certificate = ServerCertificate::issue(authority, names, options.clock.now())?;
            let addresses = 0..options.listen.len();
            let acceptor = |address| {
                Ok(Some(TlsAcceptor::from(
                    certificate.tls(shared_pairs.get(address))?,
                )))
            };
            addresses.map(acceptor).collect()
        }
        Protection::Plaintext => match options.listen.iter().find(|address| !address.ip().is_loopback()) {
            Some(address) => Err(StartError::PlaintextOffLoopback(*address)),
            None => Ok(options.listen.iter().map(|_| None).collect()),
        },
    }
}
