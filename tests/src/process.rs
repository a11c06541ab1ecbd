//! A child process: its signals, what it printed, and its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;

/// A running child, killed with SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts `command`; both its outputs go to the file `output`, after what is there already.
    ///
    /// # Panics
    /// When the program can't be started.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> Self {
        let append = || {
            File::options()
                .create(true)
                .append(true)
                .open(output)
                .expect("the output file opens")
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(append())
            .stderr(append())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        Self {
            name: name.to_owned(),
            child,
            output: output.to_owned(),
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until the process is gone: it had no chance to finish anything.
    pub fn kill9(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGSTOP: the process keeps its connections and does nothing until [`Process::proceed`].
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGHUP: the process reads its configuration again.
    pub fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGCONT, after [`Process::pause`].
    pub fn proceed(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM: the process begins to end in order.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGTERM, and waits for the orderly end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// Waits until the process ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        eventually(&what, async || self.exit_status().ok_or("it still runs")).await
    }

    /// How the process ended, `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Panics with what the process printed if it has ended: for those who wait until it answers.
    pub fn must_run(&mut self) {
        if let Some(status) = self.exit_status() {
            panic!("{} ended too early ({status}):\n{}", self.name, self.printed());
        }
    }

    /// Everything the process and those started before it with the same output file have printed.
    pub fn printed(&self) -> String {
        let bytes = std::fs::read(&self.output).expect("the output file is readable");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id fits");
        kill_process(id, signal).unwrap_or_else(|error| panic!("{}: {signal:?}: {error}", self.name));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            report(&format!(
                "--- {} printed ---\n{}",
                self.name,
                last_lines(&self.printed())
            ));
        }
    }
}

/// Says something that explains a failure.
#[expect(
    clippy::print_stderr,
    reason = "the test framework shows it below the failure it explains"
)]
pub fn report(text: &str) {
    eprintln!("{text}");
}

/// The last two hundred lines: enough to see why a process failed.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(200)..].join("\n")
}
