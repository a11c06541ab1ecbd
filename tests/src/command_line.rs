//! Commands of `runtime-manager` that end by themselves, run as a person runs them.

use std::pin::pin;
use std::process::{Output, Stdio};
use std::time::Duration;

use crate::{process_usage, program};

/// The pause between two looks at what a command takes.
const GLANCE: Duration = Duration::from_millis(2);

/// The surroundings of a command: what a person has exported in the shell.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    environment: Vec<(String, String)>,
}

impl CommandLine {
    /// A shell with nothing exported.
    pub fn new() -> Self {
        Self::default()
    }

    /// A shell that talks to the server at `url` with `token`.
    pub fn of(url: &str, token: &str) -> Self {
        Self::new()
            .export("RUNTIME_MANAGER_URL", url)
            .export("RUNTIME_MANAGER_TOKEN", token)
    }

    /// The same shell with one more variable.
    #[must_use]
    pub fn export(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs `runtime-manager` with `arguments` to its end.
    ///
    /// # Panics
    /// When the program can't be started.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&spoken(arguments), self.command(arguments)).await
    }

    /// The same; answers the most resident memory too that the command was seen to have, in bytes: the kernel forgets it when it ends.
    ///
    /// # Panics
    /// When the program can't be started.
    pub async fn run_watched(&self, arguments: &[&str]) -> (Outcome, u64) {
        let spoken = spoken(arguments);
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{spoken}: {error}"));
        let pid = child.id();
        let mut ended = pin!(child.wait_with_output());
        let mut peak = 0;
        loop {
            tokio::select! {
                output = &mut ended => {
                    let output = output.unwrap_or_else(|error| panic!("{spoken}: {error}"));
                    return (Outcome { spoken, output }, peak);
                }
                () = tokio::time::sleep(GLANCE) => {
                    let seen = pid.and_then(process_usage::peak_resident_if_running);
                    peak = peak.max(seen.unwrap_or_default());
                }
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::from(program::command());
        command
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true);
        command
    }
}

/// How a person would have written it.
fn spoken(arguments: &[&str]) -> String {
    format!("runtime-manager {}", arguments.join(" "))
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    spoken: String,
    output: Output,
}

impl Outcome {
    /// Runs a command to its end; `spoken` is how a person would have written it.
    ///
    /// # Panics
    /// When the program can't be started.
    pub async fn of(spoken: &str, mut command: tokio::process::Command) -> Self {
        Self {
            spoken: spoken.to_owned(),
            output: command
                .output()
                .await
                .unwrap_or_else(|error| panic!("{spoken}: {error}")),
        }
    }

    /// The exit code; `None` when a signal ended the command.
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// What was printed for programs.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What was printed for people.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The same outcome, after checking its exit code.
    ///
    /// # Panics
    /// When the code is another one; the message has everything that was printed.
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            Some(code),
            "{}\n{}{}",
            self.spoken,
            self.stdout(),
            self.stderr()
        );
        self
    }
}
