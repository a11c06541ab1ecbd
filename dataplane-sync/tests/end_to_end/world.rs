//! A control plane's data-plane half over in-memory configurations, tokens and records, on a real TLS socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use dataplane_sync::agent::{self, AgentOptions, TokenSource};
use dataplane_sync::instance_tokens::{InstanceTokens, StoredToken, TokensUnavailable};
use dataplane_sync::node_certificates::{
    CertificateHolder, CertificatesUnavailable, GroupAuthority, NodeCertificates,
};
use dataplane_sync::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};
use dataplane_sync::{DataplaneSync, Node, NodeRecord, Options, ProcessId, Protection, SyncStatus};
use domain::fingerprint::Fingerprint;
use domain::gateway::{Accepted, CommandError, Commands};
use domain::group::{GroupCommand, Outcome};
use domain::organization::{OrganizationCommand, OrganizationOutcome, TokenRecord};
use domain::places::PlaceLimits;
use domain::system::Authority;
use domain::token::{self, Role, TokenHash};
use domain::{
    Cause, Clock, GroupId, NodeId, OrganizationId, Position, Secret, Spawner, Timestamp, TokenId, Version,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::configuration::InMemory;

/// The one group.
pub(crate) const GROUP: GroupId = GroupId(Uuid::from_u128(0x61));
const ORGANIZATION: OrganizationId = OrganizationId(Uuid::from_u128(0x62));
/// Far beyond what a slow machine needs: it ends a test that would hang, it measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The data-plane half of a control plane, and everything it is handed.
pub(crate) struct World {
    pub(crate) configuration: InMemory,
    pub(crate) service: DataplaneSync,
    pub(crate) commands: Arc<Recorded>,
    pub(crate) token: Secret,
    pub(crate) clock: Arc<Running>,
    tokens: Arc<Tokens>,
    authority: Authority,
    tls: bool,
    tasks: Tasks,
    home: TempDir,
}

/// What a test may choose.
pub(crate) struct Setting {
    pub(crate) configuration: InMemory,
    pub(crate) observed: Arc<dyn ObservedNodes>,
    /// Which of several processes it is.
    pub(crate) process: Option<ProcessId>,
    pub(crate) tls: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            configuration: InMemory::new(),
            observed: Arc::new(Nowhere),
            process: None,
            tls: true,
        }
    }
}

impl World {
    /// Starts it on a free port, as the only process.
    pub(crate) fn start() -> Self {
        Self::start_in(Setting::default())
    }

    /// Starts it on a free port.
    pub(crate) fn start_in(setting: Setting) -> Self {
        let home = tempfile::tempdir().unwrap();
        let token = token::write(Role::Instance, [7; 32]);
        let tokens = Arc::new(Tokens::with(&token));
        let authority = authority();
        std::fs::write(home.path().join("ca.pem"), &authority.certificate).unwrap();
        let (commands, tasks) = (Arc::<Recorded>::default(), Tasks::default());
        let (configuration, clock) = (setting.configuration, Arc::<Running>::default());
        let protection = match setting.tls {
            true => Protection::Tls {
                authority: authority.clone(),
                names: Vec::new(),
                shared_pairs: Vec::new(),
            },
            false => Protection::Plaintext,
        };
        let service = DataplaneSync::start(Options {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            connections: PlaceLimits {
                in_all: 1_000,
                per_source: 1_000,
            },
            protection,
            configurations: Arc::new(configuration.clone()),
            tokens: tokens.clone(),
            certificates: Arc::new(NoCertificates),
            observed: setting.observed,
            commands: commands.clone(),
            clock: clock.clone(),
            spawner: Arc::new(tasks.clone()),
            log_id: Uuid::from_u128(0x63),
            push_rest: Duration::from_secs(1),
            node_retention: Duration::from_secs(14 * 24 * 60 * 60),
            new_nodes_per_hour: dataplane_sync::fleet_budget::NEW_NODES_PER_HOUR,
            process: setting.process,
        });
        Self {
            service: service.unwrap(),
            configuration,
            commands,
            token,
            clock,
            tokens,
            authority,
            tls: setting.tls,
            tasks,
            home,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.service.local_addresses()[0]
    }

    /// What its certificate is checked against.
    pub(crate) fn authority(&self) -> &str {
        &self.authority.certificate
    }

    /// An agent with a state directory of this name.
    pub(crate) fn agent(&self, name: &str) -> AgentOptions {
        AgentOptions {
            server: format!("{}://{}", if self.tls { "wss" } else { "ws" }, self.address()),
            ca_certificate: Some(self.home.path().join("ca.pem")),
            token: TokenSource::Value(self.token.clone()),
            state_directory: self.home.path().join(name),
            hostname: name.to_owned(),
            version: "test".to_owned(),
            labels: BTreeMap::new(),
            write: Some(self.declarative_file(name)),
            kong_admin: None,
        }
    }

    /// Where the agent of this name writes.
    pub(crate) fn declarative_file(&self, name: &str) -> PathBuf {
        self.home.path().join(format!("{name}.yml"))
    }

    /// Stops the token from working.
    pub(crate) fn revoke(&self) {
        let mut token = self.tokens.0.lock().unwrap();
        token.record.revoked_at = Some(Timestamp(0));
    }

    /// Makes the token expire.
    pub(crate) fn expire(&self) {
        let mut token = self.tokens.0.lock().unwrap();
        token.record.expires_at = Some(self.clock.now());
    }

    /// Deletes the group.
    pub(crate) fn delete_group(&self) {
        self.tokens.0.lock().unwrap().group_exists = false;
    }

    /// The fleet, by host name.
    pub(crate) async fn nodes(&self) -> BTreeMap<String, Node> {
        let nodes = self.service.nodes().list(GROUP).await.unwrap();
        nodes
            .into_iter()
            .map(|node| (node.record.hostname.clone(), node))
            .collect()
    }

    /// Waits until the node of this name stands so; answers it.
    pub(crate) async fn node(&self, name: &str, status: SyncStatus) -> Node {
        let what = format!("{name} to be {status:?}");
        let look = async || {
            let mut nodes = self.nodes().await;
            nodes.remove(name).filter(|node| node.status == status)
        };
        eventually(&what, look).await
    }

    /// Waits until the node of this name runs a version.
    pub(crate) async fn runs(&self, name: &str, version: Version) -> Node {
        let what = format!("{name} to run version {version}");
        let look = async || {
            let mut nodes = self.nodes().await;
            let runs = |node: &Node| {
                node.record
                    .applied
                    .is_some_and(|applied| applied.version == version)
            };
            nodes.remove(name).filter(runs)
        };
        eventually(&what, look).await
    }

    /// Ends the service as the process would.
    pub(crate) async fn stop(self) -> TempDir {
        self.tasks.end.cancel();
        self.tasks.tracker.close();
        self.tasks.tracker.wait().await;
        self.home
    }
}

/// A running agent, ended when told.
pub(crate) struct Agent {
    end: CancellationToken,
    tracker: TaskTracker,
}

impl Agent {
    /// Runs an agent.
    pub(crate) fn run(options: AgentOptions) -> Self {
        let (end, tracker) = (CancellationToken::new(), TaskTracker::new());
        let told = end.clone();
        tracker.spawn(async move { agent::run(options, told).await.unwrap() });
        Self { end, tracker }
    }

    /// Ends it, and waits until it has.
    pub(crate) async fn stop(self) {
        self.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// Waits for a condition.
pub(crate) async fn eventually<Found>(what: &str, mut look: impl AsyncFnMut() -> Option<Found>) -> Found {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn authority() -> Authority {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Authority {
        certificate: parameters.self_signed(&key).unwrap().pem(),
        key: Secret::new(key.serialize_pem()),
    }
}

/// The real time, or later.
#[derive(Default)]
pub(crate) struct Running {
    ahead: AtomicI64,
}

impl Running {
    /// Goes on as if so many seconds had passed.
    pub(crate) fn skip_seconds(&self, seconds: i64) {
        self.ahead.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

impl Clock for Running {
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates are checked against the real time, so they must be issued at it"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(since.unwrap().as_millis() as i64 + self.ahead.load(Ordering::Relaxed))
    }
}

#[derive(Clone, Default)]
struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

impl Spawner for Tasks {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.tracker.spawn(task);
    }

    fn shutdown(&self) -> BoxFuture<'static, ()> {
        self.end.clone().cancelled_owned().boxed()
    }
}

struct Tokens(Mutex<StoredToken>);

impl Tokens {
    fn with(secret: &Secret) -> Self {
        Self(Mutex::new(StoredToken {
            organization: ORGANIZATION,
            record: TokenRecord {
                id: TokenId(Uuid::from_u128(0x64)),
                name: "edge".to_owned(),
                role: Role::Instance,
                group: Some(GROUP),
                hash: token::hash(secret.expose()),
                created_at: Timestamp(0),
                expires_at: None,
                revoked_at: None,
                revoked_with_group: false,
            },
            group_exists: true,
            runtime_type: None,
        }))
    }
}

#[async_trait]
impl InstanceTokens for Tokens {
    async fn token(&self, hash: TokenHash) -> Result<Option<StoredToken>, TokensUnavailable> {
        let token = self.0.lock().unwrap().clone();
        Ok(Some(token).filter(|token| token.record.hash == hash))
    }

    async fn tokens(&self, hashes: &[TokenHash]) -> Result<Vec<Option<StoredToken>>, TokensUnavailable> {
        futures::future::try_join_all(hashes.iter().map(|hash| self.token(*hash))).await
    }
}

/// Nobody has a certificate here.
struct NoCertificates;

#[async_trait]
impl NodeCertificates for NoCertificates {
    async fn pinned(
        &self,
        _fingerprint: Fingerprint,
    ) -> Result<Option<CertificateHolder>, CertificatesUnavailable> {
        Ok(None)
    }

    async fn pinned_now(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<Option<CertificateHolder>>, CertificatesUnavailable> {
        Ok(vec![None; fingerprints.len()])
    }

    async fn authorities(&self) -> Result<Arc<[GroupAuthority]>, CertificatesUnavailable> {
        Ok(Arc::new([]))
    }
}

struct Nowhere;

#[async_trait]
impl ObservedNodes for Nowhere {
    async fn put(&self, _nodes: &[NodeRecord]) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }

    async fn list(&self, _group: GroupId) -> Result<Vec<NodeRecord>, ObservedNodesUnavailable> {
        Ok(Vec::new())
    }

    async fn groups_of(&self, _node: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ObservedNodesUnavailable> {
        Ok(Vec::new())
    }

    async fn delete(&self, _group: GroupId, _node: NodeId) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }

    async fn delete_before(&self, _last_seen: Timestamp) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }
}

/// A gateway that accepts everything and remembers it.
#[derive(Default)]
pub(crate) struct Recorded(Mutex<Vec<OrganizationCommand>>);

impl Recorded {
    /// The commands so far.
    pub(crate) fn all(&self) -> Vec<OrganizationCommand> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Commands for Recorded {
    async fn group(
        &self,
        _organization: OrganizationId,
        _group: GroupId,
        _command: GroupCommand,
        _cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        Err(CommandError::NoSuchGroup)
    }

    async fn organization(
        &self,
        _organization: OrganizationId,
        command: OrganizationCommand,
        _cause: Cause,
    ) -> Result<Accepted<OrganizationOutcome>, CommandError> {
        self.0.lock().unwrap().push(command);
        Ok(Accepted {
            version: 1,
            at: Timestamp(0),
            position: Position(1),
            changed: true,
            replayed: false,
            outcome: OrganizationOutcome::default(),
        })
    }
}

/// The id of a test's own instance.
pub(crate) const fn node_id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}
