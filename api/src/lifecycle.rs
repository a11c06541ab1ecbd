//! How the process ends: a first signal drains, closes the doors and finishes what is held, a second one drops it, and a part
//! that panicked takes the whole process down in order, with an exit code that says so.

use std::process::ExitCode;
use std::time::Duration;

use commands::tasks::Tasks;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// The exit code after a second signal: work was dropped.
const DROPPED: u8 = 130;

/// The process's life, from its start to its exit code.
#[derive(Debug)]
pub struct Lifecycle {
    /// What lets requests in: ended first, so that those which are inside still find everything running.
    doors: Tasks,
    /// Cancelled some time before the doors close, at the latest with them.
    draining: CancellationToken,
    /// Everything else.
    tasks: Tasks,
    signals: Signals,
}

impl Lifecycle {
    /// Listens for SIGTERM and SIGINT from now on.
    pub fn start() -> std::io::Result<Self> {
        let doors = Tasks::default();
        Ok(Self {
            draining: doors.token().child_token(),
            tasks: doors.beside(),
            doors,
            signals: Signals::listen()?,
        })
    }

    /// The tasks that let requests in.
    pub fn doors(&self) -> &Tasks {
        &self.doors
    }

    /// Cancelled when requests are still taken, but shall go elsewhere.
    pub const fn draining(&self) -> &CancellationToken {
        &self.draining
    }

    /// All other tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits until a signal or a failed part asks for the end, then until everything has finished or a second signal comes.
    /// After a signal the doors stay open for as long as `drain` says: whoever sends requests here must first see that this
    /// process isn't ready any more.
    pub async fn run(self, drain: Duration) -> ExitCode {
        let Self {
            doors,
            draining,
            tasks,
            mut signals,
        } = self;
        let failed = async || {
            tokio::select! {
                () = doors.token().cancelled() => {}
                () = tasks.token().cancelled() => {}
            }
            warn!("stopping: a part of the program has failed");
        };
        let asked = tokio::select! {
            () = signals.next() => true,
            () = failed() => false,
        };
        let finish = async {
            draining.cancel();
            if asked {
                info!(
                    drain_seconds = drain.as_secs(),
                    "stopping: finishing what is in hand; a second signal drops it"
                );
                tokio::select! {
                    () = tokio::time::sleep(drain) => {}
                    () = failed() => {}
                }
            }
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
        assert_eq!(lifecycle.run(Duration::ZERO).await, ExitCode::FAILURE);
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
        assert_eq!(lifecycle.run(Duration::ZERO).await, ExitCode::SUCCESS);
        assert_eq!(heard.recv().await, Some(false), "everything else still ran");
    }
}
