//! One nats-server with JetStream.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::eventually::eventually;
use crate::port::Port;
use crate::process::Process;

/// How a [`NatsServer`] is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether JetStream syncs a message to disk before it acknowledges it (`sync_interval: always`); otherwise every two minutes.
    pub sync_always: bool,
    /// Where JetStream keeps its files: a throw-away directory unless one is named.
    pub store_dir: Option<PathBuf>,
    /// The server's certificate, its key and the authority whose certificates it asks its clients for, PEM files; plain text unless given.
    pub tls: Option<[PathBuf; 3]>,
    /// How many bytes JetStream may keep, for tests of a full log; unlimited unless set.
    pub max_file_store: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sync_always: true,
            store_dir: None,
            tls: None,
            max_file_store: None,
        }
    }
}

/// A nats-server as one test needs it: its own ports and files, ended when dropped.
#[derive(Debug)]
pub struct NatsServer {
    name: String,
    process: Process,
    ports: Ports,
    home: TempDir,
    configuration: String,
}

/// The ports of a server; a member of a cluster also listens for its peers.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) client: Port,
    pub(crate) monitor: Port,
    pub(crate) route: Port,
}

impl Ports {
    pub(crate) fn reserve() -> Self {
        Self {
            client: Port::reserve(),
            monitor: Port::reserve(),
            route: Port::reserve(),
        }
    }
}

impl NatsServer {
    /// Starts a server and waits until JetStream answers.
    ///
    /// # Panics
    /// When `NATS_SERVER` names no program that starts; `tests/run` sets it.
    pub async fn start(options: Options) -> Self {
        let mut server = Self::launch("nats-server", options, Ports::reserve(), &[]);
        server.ready().await;
        server
    }

    /// Starts a server without waiting for it; with `peers`, the addresses of every member's route port, as one of a cluster.
    pub(crate) fn launch(name: &str, options: Options, ports: Ports, peers: &[String]) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let configuration = configuration(name, &options, &ports, peers, home.path());
        configure(&configuration, home.path());
        let process = run(name, home.path());
        Self {
            name: name.to_owned(),
            process,
            ports,
            home,
            configuration,
        }
    }

    /// Waits until JetStream answers and has all that it held.
    pub async fn ready(&mut self) {
        self.healthy("healthz").await;
    }

    /// Waits until JetStream runs, whatever it holds.
    pub(crate) async fn runs(&mut self) {
        self.healthy("healthz?js-enabled-only=true").await;
    }

    async fn healthy(&mut self, question: &str) {
        let what = format!("{} is healthy", self.name);
        let monitor = self.monitor_url();
        let process = &mut self.process;
        eventually(&what, async || {
            process.must_run();
            let health = monitored(&monitor, question).await?;
            if health["status"] == "ok" {
                Ok(())
            } else {
                Err(health.to_string())
            }
        })
        .await;
    }

    /// What the monitoring endpoint answers on `path`, or why it doesn't.
    pub async fn monitored(&self, path: &str) -> Result<Value, String> {
        monitored(&self.monitor_url(), path).await
    }

    /// What clients connect to: `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.ports.client.address())
    }

    /// The monitoring endpoint, for `--nats-monitor`.
    pub fn monitor_url(&self) -> String {
        format!("http://{}", self.ports.monitor.address())
    }

    /// The name of the server, also within its cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGSTOP: what a partition looks like to clients and peers.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT, after [`NatsServer::pause`].
    pub fn proceed(&self) {
        self.process.proceed();
    }

    /// Has the server stop JetStream and go on without it, as it does by itself in a cluster when its disk is full: nothing of JetStream
    /// answers until it is started again.
    pub fn stop_jetstream(&self) {
        let without = self
            .configuration
            .replacen("jetstream {", "jetstream {\n  enabled: false", 1);
        configure(&without, self.home.path());
        self.process.reload();
    }

    /// Starts again on the same ports with the same files, after [`NatsServer::kill9`]; doesn't wait.
    pub fn start_again(&mut self) {
        configure(&self.configuration, self.home.path());
        self.process = run(&self.name, self.home.path());
    }

    /// SIGKILL, starts again on the same ports with the same files and waits until JetStream answers.
    pub async fn restart(&mut self) {
        self.kill9();
        self.start_again();
        self.ready().await;
    }
}

async fn monitored(monitor: &str, path: &str) -> Result<Value, String> {
    // A server that is paused accepts connections and says nothing.
    let asked = reqwest::Client::new()
        .get(format!("{monitor}/{path}"))
        .timeout(Duration::from_secs(5));
    let answer = asked.send().await.map_err(|error| format!("{error:?}"))?;
    answer.json().await.map_err(|error| format!("{error:?}"))
}

fn configure(configuration: &str, home: &Path) {
    std::fs::write(home.join("server.conf"), configuration).expect("the configuration is writable");
}

fn run(name: &str, home: &Path) -> Process {
    let program = std::env::var_os("NATS_SERVER")
        .expect("NATS_SERVER names the nats-server to test with: start the tests with tests/run");
    let mut command = Command::new(program);
    command.arg("--config").arg(home.join("server.conf"));
    Process::start(name, &mut command, &home.join("output.log"))
}

fn configuration(name: &str, options: &Options, ports: &Ports, peers: &[String], home: &Path) -> String {
    let store_dir = options
        .store_dir
        .clone()
        .unwrap_or_else(|| home.join("jetstream"));
    let sync = if options.sync_always { "always" } else { "\"2m\"" };
    let mut text = format!(
        "server_name: {name}\nlisten: \"{}\"\nhttp: \"{}\"\n\
         jetstream {{\n  store_dir: \"{}\"\n  sync_interval: {sync}\n",
        ports.client.address(),
        ports.monitor.address(),
        store_dir.display(),
    );
    if let Some(bytes) = options.max_file_store {
        writeln!(text, "  max_file_store: {bytes}").expect("a text grows");
    }
    text.push_str("}\n");
    if let Some([certificate, key, authority]) = &options.tls {
        let [certificate, key, authority] = [certificate, key, authority].map(|path| path.display());
        let block = format!(
            "tls {{\n  cert_file: \"{certificate}\"\n  key_file: \"{key}\"\n  ca_file: \"{authority}\"\n  verify: true\n}}\n"
        );
        text.push_str(&block);
    }
    if !peers.is_empty() {
        let routes: Vec<String> = peers
            .iter()
            .map(|peer| format!("\"nats-route://{peer}\""))
            .collect();
        writeln!(
            text,
            // Nobody listens where they are told that this member is: peers come by the routes they were given, or not at all.
            "cluster {{\n  name: tests\n  listen: \"{}\"\n  advertise: \"127.0.0.1:1\"\n  routes: [{}]\n}}",
            ports.route.address(),
            routes.join(", ")
        )
        .expect("a text grows");
    }
    text
}
