//! The agent: a runtime instance beside a gateway (DESIGN §8). It keeps its group's newest verified configuration in
//! memory and on disk, survives a control plane that is away, and feeds a Kong by file or Admin API.
//!
//! - [`replica`]: the configuration itself: pure; frames in, verdicts out.
//! - [`link`]: the connection to the control plane, made again and again.
//! - [`store`]: base file and changes on disk; [`node_identity`]: the instance's id.
//! - [`declarative_file`], [`yaml`], [`kong_admin`]: what Kong gets.

pub mod declarative_file;
pub mod kong_admin;
pub mod link;
pub mod node_identity;
pub mod outputs;
pub mod replica;
pub mod store;
pub mod yaml;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::Secret;
use futures::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::kong_admin::KongAdmin;
use self::link::Link;
use self::outputs::Outputs;
use self::replica::Replica;
use self::store::Store;

/// How many changes may wait for the disk before the instance takes no more.
const DISK_QUEUE: usize = 1024;

/// How long the control plane may take to be told that the agent ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where an agent's token comes from.
#[derive(Clone, Debug)]
pub enum TokenSource {
    /// Given.
    Value(Secret),
    /// A file, read at each connection, so that a token can be replaced while the agent runs.
    File(PathBuf),
}

/// What an agent needs.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The data-plane listener: `wss://host:port`; `ws://` where it has no TLS.
    pub server: String,
    /// The CA that the listener's certificate is checked against, PEM; needed for `wss://`.
    pub ca_certificate: Option<PathBuf>,
    /// The instance token.
    pub token: TokenSource,
    /// Where the instance keeps its id and configuration.
    pub state_directory: PathBuf,
    /// This host's name.
    pub hostname: String,
    /// This program's version.
    pub version: String,
    /// Labels shown in the fleet.
    pub labels: BTreeMap<String, String>,
    /// Write Kong's declarative file here.
    pub write: Option<PathBuf>,
    /// Feed the DB-less Kong with this Admin API.
    pub kong_admin: Option<String>,
}

/// Why an agent can't run at all.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Its directory.
    #[error("the state directory {directory} can't be used: {error}")]
    State {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The declarative file.
    #[error("the declarative file {file} can't be written: {error}")]
    Write {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The Admin API.
    #[error("the HTTP client for Kong's Admin API can't be made: {0}")]
    KongAdmin(#[from] reqwest::Error),
    /// The address.
    #[error(
        "{address:?} is no address of a data-plane listener, such as wss://control-plane.example:8005: {reason}"
    )]
    Address {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS without anything to check it against.
    #[error("wss:// needs the CA that the listener's certificate is checked against: --ca data/ca.pem")]
    NoAuthority,
}

/// Runs an agent until it is told to end. Being unable to reach the control plane never ends it.
pub async fn run(options: AgentOptions, shutdown: CancellationToken) -> Result<(), AgentError> {
    let address = link::Address::parse(&options)?;
    let (store, replica, node) = open(&options.state_directory).await?;
    let kong = options.kong_admin.as_deref().map(KongAdmin::at).transpose()?;
    if let (Some(file), Some(applied)) = (&options.write, replica.applied()) {
        let written = outputs::write_declarative(file.clone(), Arc::new(replica.clone())).await;
        written.map_err(|error| AgentError::Write {
            file: file.clone(),
            error,
        })?;
        tracing::info!(version = applied.version, file = %file.display(), "the last known configuration is written");
    }
    let (newest, published) = watch::channel(Arc::new(replica.clone()));
    let (persist, to_persist) = mpsc::channel(DISK_QUEUE);
    let disk = outputs::keep_on_disk(store, to_persist, published.clone());
    let file = outputs::keep_written(options.write.clone(), published.clone());
    let restored = outputs::restore_kong(kong.clone(), replica.clone(), published);
    let outputs = Outputs {
        kong,
        newest,
        persist,
    };
    let link = Link::new(options, address, node, replica, outputs, shutdown.clone());
    tokio::pin!(disk, file);
    tokio::select! {
        () = link.run() => (),
        () = &mut disk => (),
        () = &mut file => (),
        () = restored => (),
        () = shutdown.cancelled().then(|()| tokio::time::sleep(FAREWELL)) => (),
    }
    // The link is gone, so the queue ends: what was acknowledged reaches the disk.
    disk.await;
    Ok(())
}

async fn open(directory: &Path) -> Result<(Store, Replica, domain::NodeId), AgentError> {
    let path = directory.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        let (store, replica) = Store::open(&path)?;
        Ok((store, replica, node_identity::node_id(&path)?))
    });
    opened
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
        .map_err(|error| AgentError::State {
            directory: directory.to_owned(),
            error,
        })
}
