//! This side of a sandbox's process: it is started with nothing but its pipes, and killed when it takes too long.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use domain::schema::evaluation::{Job, Outcome};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;
use tracing::warn;

use super::Program;
use super::confinement::Confinement;
use super::frame::{self, LONGEST_ANSWER, LONGEST_JOB};

/// A process in which jobs of one caller are evaluated.
#[derive(Debug)]
pub(super) struct SandboxProcess {
    child: Child,
    jobs: ChildStdin,
    answers: ChildStdout,
}

/// What became of a job.
pub(super) enum Exchange {
    /// It was answered.
    Answered(Outcome),
    /// The process is of no use any more, and why.
    Stopped(String),
}

impl SandboxProcess {
    /// Starts one. It inherits no environment and no files.
    pub(super) fn spawn(program: &Program) -> std::io::Result<Self> {
        let mut child = Command::new(&program.path)
            .args(&program.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (jobs, answers) = pipes.ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok(Self { child, jobs, answers })
    }

    /// Waits until it says that it has given up what a process has.
    pub(super) async fn start(&mut self, limit: Duration) -> Result<(), String> {
        match timeout(
            limit,
            frame::receive::<Confinement>(&mut self.answers, LONGEST_ANSWER),
        )
        .await
        {
            // What it said may have waited in the pipe for longer than it lived.
            Ok(Ok(confinement)) => match self.child.try_wait() {
                Ok(None) => {
                    confinement.say_what_is_missing();
                    Ok(())
                }
                Ok(Some(status)) => Err(format!("it has ended ({status})")),
                Err(error) => Err(error.to_string()),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it said nothing for {} s", limit.as_secs())),
        }
    }

    /// Has a job evaluated.
    pub(super) async fn exchange(&mut self, job: &Job, limit: Duration) -> Exchange {
        let frame = match frame::encode(job, LONGEST_JOB) {
            Ok(frame) => frame,
            Err(error) => return Exchange::Stopped(format!("it can't be evaluated: {error}")),
        };
        let answered = timeout(limit, async {
            self.jobs.write_all(&frame).await?;
            frame::receive::<Outcome>(&mut self.answers, LONGEST_ANSWER).await
        });
        match answered.await {
            Ok(Ok(outcome)) => Exchange::Answered(outcome),
            Ok(Err(error)) => Exchange::Stopped(self.why_it_ended(&error)),
            Err(_) => Exchange::Stopped(format!(
                "evaluating it was stopped after {} ms: a schema has to answer at once",
                limit.as_millis()
            )),
        }
    }

    /// Kills it, and waits until it is gone.
    pub(super) async fn end(mut self) {
        if let Err(error) = self.child.kill().await {
            warn!("a process for uploaded schemas can't be ended: {error}");
        }
    }

    fn why_it_ended(&mut self, error: &std::io::Error) -> String {
        let status = self.child.try_wait().ok().flatten();
        match status.and_then(|status| status.signal()) {
            Some(signal) => format!(
                "its process was ended by signal {signal}: it takes more memory or time than a schema may"
            ),
            None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                "its process ended: it takes more memory or time than a schema may".to_owned()
            }
            None => format!("its process answered something else: {error}"),
        }
    }
}
