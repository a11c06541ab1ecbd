//! A running `runtime-manager serve`.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use tempfile::TempDir;

use crate::api_client::ApiClient;
use crate::command_line::CommandLine;
use crate::eventually::eventually;
use crate::port::Port;
use crate::process::Process;
use crate::program;

/// Which engine keeps the log.
#[derive(Debug, Clone)]
pub enum Log {
    /// `log.db` in the data directory.
    Sqlite,
    /// JetStream at `url`, with the durability setting checked at `monitor_url`.
    Nats {
        /// `nats://…`, several separated by commas.
        url: String,
        /// `http://…` of a server's monitoring endpoint.
        monitor_url: String,
    },
}

/// A control plane with its own ports and data directory, ended when dropped.
#[derive(Debug)]
pub struct ServerProcess {
    process: Process,
    log: Log,
    api_port: Port,
    dataplane_port: Port,
    home: TempDir,
}

impl ServerProcess {
    /// Starts a server on an empty data directory and waits until it is ready.
    ///
    /// # Panics
    /// When it ends instead; the message has what it printed.
    pub async fn start(log: Log) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let (api_port, dataplane_port) = (Port::reserve(), Port::reserve());
        let process = run(&log, &api_port, &dataplane_port, home.path());
        let mut server = Self {
            process,
            log,
            api_port,
            dataplane_port,
            home,
        };
        server.ready().await;
        server
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self) {
        let address = format!("{}/readyz", self.url());
        let process = &mut self.process;
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

    /// Where the API listens: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.api_port.address())
    }

    /// Where runtime instances connect: `127.0.0.1:<port>`.
    pub fn dataplane_address(&self) -> String {
        self.dataplane_port.address().to_string()
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
        ApiClient::new(&self.url(), &self.admin_token())
    }

    /// The command line, used by the administrator.
    pub fn command_line(&self) -> CommandLine {
        CommandLine::of(&self.url(), &self.admin_token())
    }

    /// The arguments that name this server's log and data to commands that work on them directly (`log verify`, `rebuild`).
    pub fn storage_arguments(&self) -> Vec<String> {
        storage_arguments(&self.log, self.home.path())
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.process.stop().await
    }

    /// Starts again with the same ports and data, after it has ended; doesn't wait.
    pub fn start_again(&mut self) {
        self.process = run(&self.log, &self.api_port, &self.dataplane_port, self.home.path());
    }

    /// SIGKILL, starts again with the same ports and data and waits until it is ready.
    pub async fn restart(&mut self) {
        self.kill9();
        self.start_again();
        self.ready().await;
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn run(log: &Log, api_port: &Port, dataplane_port: &Port, home: &Path) -> Process {
    let mut command = program::command();
    command
        .arg("serve")
        .args(["--listen", &api_port.address().to_string()])
        .args(["--dataplane-listen", &dataplane_port.address().to_string()])
        .args(storage_arguments(log, home));
    Process::start("runtime-manager serve", &mut command, &home.join("output.log"))
}

fn storage_arguments(log: &Log, home: &Path) -> Vec<String> {
    let mut arguments = vec!["--data-dir".to_owned(), data_dir(home).display().to_string()];
    match log {
        Log::Sqlite => arguments.extend(["--log".to_owned(), "sqlite".to_owned()]),
        Log::Nats { url, monitor_url } => {
            let flags = [
                "--log".to_owned(),
                url.clone(),
                "--nats-monitor".to_owned(),
                monitor_url.clone(),
            ];
            arguments.extend(flags);
        }
    }
    arguments
}

fn data_dir(home: &Path) -> PathBuf {
    home.join("data")
}
