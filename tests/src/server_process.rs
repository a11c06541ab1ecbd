//! A running `runtime-manager serve`.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tempfile::TempDir;

use crate::api_client::ApiClient;
use crate::command_line::CommandLine;
use crate::eventually::eventually;
use crate::nats_cluster::NatsCluster;
use crate::nats_server::NatsServer;
use crate::port::Port;
use crate::process::Process;
use crate::program;

/// The option that an older program may not have: it answers health and metrics where it answers everything else.
const OPERATIONS: &str = "--ops-listen";

/// Which engine keeps the log.
#[derive(Debug, Clone)]
pub enum Log {
    /// `log.db` in the data directory.
    Sqlite,
    /// JetStream at `url`, with the durability setting checked at `monitor_url`.
    Nats {
        /// `nats://…`, several separated by commas.
        url: String,
        /// `http://…` of the servers' monitoring endpoints, several separated by commas.
        monitor_url: String,
        /// On how many servers each record is kept.
        replicas: usize,
    },
}

impl NatsServer {
    /// This server as the engine of a control plane's log.
    pub fn log(&self) -> Log {
        Log::Nats {
            url: self.url(),
            monitor_url: self.monitor_url(),
            replicas: 1,
        }
    }
}

impl NatsCluster {
    /// This cluster as the engine of a control plane's log; durability is checked at every member.
    pub fn log(&self) -> Log {
        Log::Nats {
            url: self.url(),
            monitor_url: self.monitor_urls(),
            replicas: self.size(),
        }
    }
}

/// A control plane with its own ports and data directory, ended when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    /// `None` until the first start.
    process: Option<Process>,
    /// Another program than `runtime-manager` as it is built here.
    program: Option<PathBuf>,
    /// What is exported to it.
    environment: Vec<(String, String)>,
    log: Log,
    /// `postgres://…`; SQLite unless one is named.
    database: Option<String>,
    /// As 64 hexadecimal digits, for the environment; one in the data directory unless one is given.
    master_key: Option<String>,
    /// Further arguments of `serve`.
    arguments: Vec<String>,
    api_port: Port,
    dataplane_port: Port,
    operations_port: Port,
    home: TempDir,
}

impl ServerProcess {
    /// Starts a server on an empty data directory and waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead; the message has what it printed.
    pub async fn start(log: Log) -> Self {
        let mut server = Self::prepare(log);
        server.start_again();
        server.ready().await;
        server
    }

    /// Reserves ports and an empty data directory for a server that is started later.
    pub fn prepare(log: Log) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        std::fs::create_dir(data_dir(home.path())).expect("the temporary directory is writable");
        Self {
            process: None,
            program: None,
            environment: Vec::new(),
            log,
            database: None,
            master_key: None,
            arguments: Vec::new(),
            api_port: Port::reserve(),
            dataplane_port: Port::reserve(),
            operations_port: Port::reserve(),
            home,
        }
    }

    /// Starts another process of this server's installation, with its log and database, and waits until it is ready.
    pub async fn another(&self) -> Self {
        let mut another = Self::prepare(self.log.clone());
        another.database.clone_from(&self.database);
        another.take_master_key_of(self);
        another.start_again();
        another.ready().await;
        another
    }

    /// Keeps the views in a PostgreSQL database.
    #[must_use]
    pub fn with_database(mut self, url: &str) -> Self {
        self.database = Some(url.to_owned());
        self
    }

    /// Takes the master key from the environment, as processes that share a log do.
    #[must_use]
    pub fn with_master_key(mut self, key: &str) -> Self {
        self.master_key = Some(key.to_owned());
        self
    }

    /// Runs another program that takes the same settings.
    #[must_use]
    pub fn with_program(mut self, program: PathBuf) -> Self {
        self.program = Some(program);
        self
    }

    /// Runs another program from the next start on: one of another version; `None` is the one that is built here.
    pub fn replace_program(&mut self, program: Option<PathBuf>) {
        self.program = program;
    }

    /// Exports a variable to the program.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts with these further arguments from the next start on, and no others.
    pub fn replace_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    }

    /// Starts with these arguments of `serve` too.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self) {
        let address = format!("{}/readyz", self.url());
        let process = self
            .process
            .as_mut()
            .expect("a server that was started is waited for");
        eventually("the server is ready", async || {
            process.must_run();
            let answer = reqwest::get(&address)
                .await
                .map_err(|error| format!("{error:?}"))?;
            if answer.status().is_success() {
                Ok(())
            } else {
                Err(answer.text().await.unwrap_or_default())
            }
        })
        .await;
    }

    /// The process's id.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server was started").id()
    }

    /// Where the API listens: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.api_port.address())
    }

    /// Where runtime instances connect: `127.0.0.1:<port>`.
    pub fn dataplane_address(&self) -> String {
        self.dataplane_port.address().to_string()
    }

    /// Where health and metrics are answered: `http://127.0.0.1:<port>`.
    pub fn operations_url(&self) -> String {
        format!("http://{}", self.operations_port.address())
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        data_dir(self.home.path())
    }

    /// The administrator's token, as the first start left it.
    ///
    /// # Panics
    /// When the server left none.
    pub fn admin_token(&self) -> String {
        let path = self.data_dir().join("admin.token");
        let token =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        token.trim().to_owned()
    }

    /// The API, seen by the administrator.
    pub fn api(&self) -> ApiClient {
        self.api_as(&self.admin_token())
    }

    /// The API, seen by the holder of `token`.
    pub fn api_as(&self, token: &str) -> ApiClient {
        ApiClient::new(&self.url(), token)
    }

    /// The command line, used by the administrator.
    pub fn command_line(&self) -> CommandLine {
        CommandLine::of(&self.url(), &self.admin_token())
    }

    /// The arguments that name this server's log and data to commands that work on them directly (`log verify`, `rebuild`).
    pub fn storage_arguments(&self) -> Vec<String> {
        let mut arguments = storage_arguments(&self.log, self.home.path());
        if let Some(url) = &self.database {
            arguments.extend(["--database".to_owned(), url.clone()]);
        }
        arguments
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process().kill9();
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process().stop().await
    }

    /// Starts with the same ports and data as before; doesn't wait.
    pub fn start_again(&mut self) {
        let mut command = match &self.program {
            Some(program) => program::command_of(program),
            None => program::command(),
        };
        command
            .envs(self.environment.iter().cloned())
            .arg("serve")
            .args(["--listen", &self.api_port.address().to_string()])
            .args(["--dataplane-listen", &self.dataplane_port.address().to_string()])
            .args(self.storage_arguments())
            .args(&self.arguments);
        let older = self
            .program
            .as_ref()
            .is_some_and(|program| program::lacks(program, OPERATIONS));
        if !older {
            command.args([OPERATIONS, &self.operations_port.address().to_string()]);
        }
        if let Some(key) = &self.master_key {
            command.env("RUNTIME_MANAGER_MASTER_KEY", key);
        }
        let output = self.home.path().join("output.log");
        self.process = Some(Process::start("runtime-manager serve", &mut command, &output));
    }

    /// SIGKILL, starts again with the same ports and data and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill9();
        self.start_again();
        self.ready().await;
    }

    /// The process itself.
    ///
    /// # Panics
    /// Before the first start.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server was started")
    }

    /// Deletes the views, which are derived from the log, while the server doesn't run.
    pub fn forget_what_is_derived(&self) {
        for name in ["views.db", "views.db-wal", "views.db-shm"] {
            match std::fs::remove_file(self.data_dir().join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                _ => {}
            }
        }
        assert!(!self.data_dir().join("views.db").exists(), "the views are gone");
    }

    /// Copies the key that opens the keyring from `other`'s data directory.
    pub fn take_master_key_of(&self, other: &Self) {
        let name = "master.key";
        std::fs::copy(other.data_dir().join(name), self.data_dir().join(name))
            .expect("a server keeps its master key");
    }
}

fn storage_arguments(log: &Log, home: &Path) -> Vec<String> {
    let mut arguments = vec!["--data-dir".to_owned(), data_dir(home).display().to_string()];
    match log {
        Log::Sqlite => arguments.extend(["--log".to_owned(), "sqlite".to_owned()]),
        Log::Nats {
            url,
            monitor_url,
            replicas,
        } => {
            let flags = [
                "--log".to_owned(),
                url.clone(),
                "--nats-monitor".to_owned(),
                monitor_url.clone(),
                "--nats-replicas".to_owned(),
                replicas.to_string(),
            ];
            arguments.extend(flags);
        }
    }
    arguments
}

fn data_dir(home: &Path) -> PathBuf {
    home.join("data")
}
