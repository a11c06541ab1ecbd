//! How the process ends (`model-codebases.md` §1.1): a first signal finishes what is held, a second one drops it, and a part that
//! panicked takes the whole process down in order, with an exit code that says so.

use std::process::ExitCode;

use commands::tasks::Tasks;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// The exit code after a second signal: work was dropped.
const DROPPED: u8 = 130;

/// The process's life, from its start to its exit code.
#[derive(Debug)]
pub struct Lifecycle {
    /// What lets requests in: ended first, so that those which are inside still find everything running.
    doors: Tasks,
    /// Everything else.
    tasks: Tasks,
    signals: Signals,
}

impl Lifecycle {
    /// Listens for SIGTERM and SIGINT from now on.
    pub fn start() -> std::io::Result<Self> {
        Ok(Self {
            doors: Tasks::default(),
            tasks: Tasks::default(),
            signals: Signals::listen()?,
        })
    }

    /// The tasks that let requests in.
    pub fn doors(&self) -> &Tasks {
        &self.doors
    }

    /// All other tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits until a signal or a failed part asks for the end, then until everything has finished or a second signal comes.
    pub async fn run(self) -> ExitCode {
        let Self {
            doors,
            tasks,
            mut signals,
        } = self;
        tokio::select! {
            () = signals.next() => info!("stopping: finishing what is in hand; a second signal drops it"),
            () = doors.token().cancelled() => warn!("stopping: a part of the program has failed"),
            () = tasks.token().cancelled() => warn!("stopping: a part of the program has failed"),
        }
        let finish = async {
            doors.shut_down().await;
            tasks.shut_down().await;
        };
        tokio::select! {
            () = finish => {}
            () = signals.next() => {
                error!("a second signal: what was in hand is dropped");
                return ExitCode::from(DROPPED);
            }
        }
        if doors.failed() || tasks.failed() {
            error!("stopped because a part of the program failed, see above");
            return ExitCode::FAILURE;
        }
        info!("stopped");
        ExitCode::SUCCESS
    }
}

/// The signals that ask for the end.
#[derive(Debug)]
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_ends_the_process_with_a_failure() {
        let lifecycle = Lifecycle::start().unwrap();
        lifecycle.tasks().spawn("unlucky", async { panic!("on purpose") });
        assert_eq!(lifecycle.run().await, ExitCode::FAILURE);
    }

    #[tokio::test]
    async fn the_doors_close_before_anything_else_ends() {
        let lifecycle = Lifecycle::start().unwrap();
        let (doors, tasks) = (lifecycle.doors().clone(), lifecycle.tasks().clone());
        let (said, mut heard) = tokio::sync::mpsc::channel(1);
        let inside = tasks.token().clone();
        let closing = doors.token().clone();
        doors.spawn("door", async move {
            closing.cancelled().await;
            said.send(inside.is_cancelled()).await.unwrap();
        });
        doors.token().cancel();
        assert_eq!(lifecycle.run().await, ExitCode::SUCCESS);
        assert_eq!(heard.recv().await, Some(false), "everything else still ran");
    }
}
