//! `agent`: a runtime instance (DESIGN §8).

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use commands::tasks::Tasks;
use dataplane_sync::agent::{self, AgentOptions, TokenSource};
use domain::Secret;
use tracing::error;

use super::ending::Ending;
use super::labels::label;
use crate::config::LogFormat;
use crate::lifecycle::Lifecycle;
use crate::telemetry;

/// Runs a runtime instance: receives a group's configuration and feeds a Kong without a database
///
/// Receives a runtime group's configuration, verifies and keeps it, and feeds a Kong without a database. It
/// goes on with what it has while the control plane is away. Its instance token comes from
/// RUNTIME_MANAGER_TOKEN or --token-file.
#[derive(Args, Debug)]
pub struct Agent {
    /// The runtime group, for the instance's own messages; the token decides which group it gets
    #[arg(long, short)]
    group: String,
    /// The control plane's listener for runtime instances: host:port, or ws://host:port where it has no TLS
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "RUNTIME_MANAGER_CONNECT",
        default_value = "127.0.0.1:8005"
    )]
    connect: String,
    /// The certificate authority that the listener's certificate is checked against: the server's data/ca.pem
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNTIME_MANAGER_CA",
        default_value = "./data/ca.pem"
    )]
    ca: PathBuf,
    /// A file with the instance token, read at each connection, so that it can be replaced
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the instance keeps its id and its configuration
    #[arg(long, value_name = "DIRECTORY", default_value = "./agent")]
    state_dir: PathBuf,
    /// Writes Kong's declarative file here at every change
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Feeds the DB-less Kong with this Admin API at every change
    #[arg(long, value_name = "URL")]
    kong_admin: Option<String>,
    /// This host's name in the fleet [default: the operating system's]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// A label shown in the fleet; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// The form of log lines on standard error
    #[arg(long, value_enum, default_value = "text", env = "RUNTIME_MANAGER_LOG_FORMAT")]
    log_format: LogFormat,
}

impl Agent {
    /// Runs until a signal.
    pub async fn run(self) -> anyhow::Result<Ending> {
        telemetry::install(self.log_format);
        let options = self.options()?;
        let lifecycle = Lifecycle::start()?;
        let tasks = lifecycle.tasks().clone();
        lifecycle.tasks().spawn("agent", run(options, tasks));
        Ok(Ending::Exit(lifecycle.run(Duration::ZERO).await))
    }

    fn options(self) -> anyhow::Result<AgentOptions> {
        let token = match (self.token_file, std::env::var("RUNTIME_MANAGER_TOKEN")) {
            (Some(file), _) => TokenSource::File(file),
            (None, Ok(token)) => TokenSource::Value(Secret::new(token.trim().to_owned())),
            (None, Err(_)) => bail!(
                "no token: set RUNTIME_MANAGER_TOKEN or give --token-file; `runtime-manager token create NAME --role instance --group {}` makes one",
                self.group
            ),
        };
        let server = if self.connect.contains("://") {
            self.connect
        } else {
            format!("wss://{}", self.connect)
        };
        Ok(AgentOptions {
            ca_certificate: server.starts_with("wss://").then_some(self.ca),
            server,
            token,
            state_directory: self.state_dir,
            hostname: self.hostname.unwrap_or_else(hostname),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: self.labels.into_iter().collect(),
            write: self.write,
            kong_admin: self.kong_admin,
        })
    }
}

async fn run(options: AgentOptions, tasks: Tasks) {
    if let Err(error) = agent::run(options, tasks.token().clone()).await {
        error!("{error}");
        tasks.fail();
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
