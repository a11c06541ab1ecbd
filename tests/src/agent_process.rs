//! A running `runtime-manager agent`: a runtime instance.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::Process;
use crate::program;
use crate::server_process::ServerProcess;

/// An instance of one runtime group with its own directory, ended when dropped.
#[derive(Debug)]
pub struct AgentProcess {
    process: Process,
    command: Vec<String>,
    token: String,
    home: TempDir,
}

impl AgentProcess {
    /// Starts an agent of `group` that connects to `server` with an instance token; doesn't wait.
    pub fn start(server: &ServerProcess, group: &str, token: &str) -> Self {
        let authority = server.data_dir().join("ca.pem");
        Self::connect(&server.dataplane_address(), &authority, group, token)
    }

    /// Starts an agent like [`AgentProcess::start`] with further arguments, such as `--hostname`; doesn't wait.
    pub fn start_with(server: &ServerProcess, group: &str, token: &str, further: &[&str]) -> Self {
        let authority = server.data_dir().join("ca.pem");
        Self::run(&server.dataplane_address(), &authority, group, token, further)
    }

    /// Starts an agent that connects to `address`, whose certificate the authority in this file has signed; doesn't wait.
    pub fn connect(address: &str, authority: &Path, group: &str, token: &str) -> Self {
        Self::run(address, authority, group, token, &[])
    }

    fn run(address: &str, authority: &Path, group: &str, token: &str, further: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let path = |name: &str| home.path().join(name).display().to_string();
        let command = [
            "agent".to_owned(),
            format!("--group={group}"),
            format!("--connect={address}"),
            format!("--ca={}", authority.display()),
            format!("--state-dir={}", path("state")),
            format!("--write={}", path("kong.yml")),
        ];
        let further = further.iter().map(|argument| (*argument).to_owned());
        let command: Vec<_> = command.into_iter().chain(further).collect();
        let process = run(&command, token, &home);
        Self {
            process,
            command,
            token: token.to_owned(),
            home,
        }
    }

    /// The declarative file that the agent writes for a DB-less Kong.
    pub fn declarative_file(&self) -> PathBuf {
        self.home.path().join("kong.yml")
    }

    /// What the declarative file holds now.
    ///
    /// # Panics
    /// When the agent has written none.
    pub fn declarative_text(&self) -> String {
        std::fs::read_to_string(self.declarative_file()).expect("the agent has written its file")
    }

    /// SIGSTOP: the instance stays connected and reads nothing until [`AgentProcess::proceed`].
    pub fn pause(&self) {
        self.process.pause();
    }

    /// SIGCONT, after [`AgentProcess::pause`].
    pub fn proceed(&self) {
        self.process.proceed();
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts again with the same directory, after it has ended; doesn't wait.
    pub fn start_again(&mut self) {
        self.process = run(&self.command, &self.token, &self.home);
    }

    /// Every configuration that the agent says it has applied, in order: version and digest.
    pub fn applied(&self) -> Vec<(u64, String)> {
        let printed = self.printed();
        let applied = printed
            .lines()
            .filter(|line| line.contains("configuration applied"));
        let field = |line: &str, name: &str| {
            let mut words = line.split_whitespace();
            words.find_map(|word| word.strip_prefix(name).map(str::to_owned))
        };
        applied
            .filter_map(|line| Some((field(line, "version=")?.parse().ok()?, field(line, "digest=")?)))
            .collect()
    }

    /// Everything the agent has printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }
}

fn run(arguments: &[String], token: &str, home: &TempDir) -> Process {
    let mut command = program::command();
    command.args(arguments).env("RUNTIME_MANAGER_TOKEN", token);
    Process::start(
        "runtime-manager agent",
        &mut command,
        &home.path().join("output.log"),
    )
}
