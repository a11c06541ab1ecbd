//! decK as published, run against one runtime group the way a person runs it.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::command_line::Outcome;
use crate::server_process::ServerProcess;

/// What `diff --non-zero-exit-code` answers with when there is a difference.
pub const DIFFERENT: i32 = 2;

/// Which of its servers decK takes a group for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A Kong Admin API.
    Kong,
    /// Konnect, with the group as one of its control planes.
    Konnect,
}

/// decK with a group as its target and a directory for its files.
#[derive(Debug)]
pub struct Deck {
    program: String,
    target: Vec<String>,
    home: TempDir,
}

impl Deck {
    /// The version that `DECK` names, with `group` of `server` as its target.
    ///
    /// # Panics
    /// When `DECK` is not set; `tests/run` sets it.
    pub fn new(server: &ServerProcess, group: &str, mode: Mode) -> Self {
        let program =
            std::env::var("DECK").expect("DECK names the decK to test with: start the tests with tests/run");
        let (url, token) = (server.url(), server.admin_token());
        let target = match mode {
            Mode::Kong => vec![
                format!("--kong-addr={url}/groups/{group}/admin"),
                format!("--headers=kong-admin-token:{token}"),
            ],
            Mode::Konnect => vec![
                format!("--konnect-addr={url}"),
                format!("--konnect-token={token}"),
                format!("--konnect-control-plane-name={group}"),
            ],
        };
        Self::with_target(&program, target)
    }

    /// The program at a path, with these arguments that name its target.
    pub fn with_target(program: &str, target: Vec<String>) -> Self {
        Self {
            program: program.to_owned(),
            target,
            home: tempfile::tempdir().expect("the temporary directory is writable"),
        }
    }

    /// Runs decK to its end: `["gateway", "sync", file]`.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(arguments)
            .args(&self.target)
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .env("DECK_ANALYTICS", "off")
            .env("DECK_TIMEOUT", "60")
            .kill_on_drop(true);
        Outcome::of(&format!("deck {}", arguments.join(" ")), command).await
    }

    /// `gateway sync` of a file, which must succeed.
    pub async fn sync(&self, file: &Path) -> Outcome {
        self.run(&["gateway", "sync", text(file)]).await.expect_code(0)
    }

    /// Checks that `gateway diff` finds the group as the file says.
    ///
    /// # Panics
    /// When it finds a difference; the message has it.
    pub async fn expect_no_difference(&self, file: &Path) {
        let diff = ["gateway", "diff", text(file), "--non-zero-exit-code"];
        self.run(&diff).await.expect_code(0);
    }

    /// `gateway dump` with further arguments, read.
    pub async fn dump(&self, arguments: &[&str]) -> Value {
        let file = self.home.path().join("dump.yaml");
        let _ = std::fs::remove_file(&file);
        let mut dump = vec!["gateway", "dump", "--output-file", text(&file)];
        dump.extend(arguments);
        self.run(&dump).await.expect_code(0);
        let dumped = std::fs::read_to_string(&file).expect("decK wrote the file it was told to");
        serde_saphyr::from_str(&dumped).unwrap_or_else(|error| panic!("{error}: {dumped}"))
    }

    /// Writes a file into decK's directory and returns its path.
    pub fn file(&self, name: &str, content: &str) -> std::path::PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("the temporary directory is writable");
        path
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is text")
}
