//! Background tasks with a name: shutdown waits for them, and a panic is seen and ends the process in order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::spawner::{Share, Work};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, error_span, warn};

use crate::compute::Pool;

/// How long shutting down waits for tasks before it says which ones.
const SLOW: Duration = Duration::from_secs(5);

/// Spawns tasks that belong together. Clones share the tasks and the token.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    root: CancellationToken,
    failed: Arc<AtomicBool>,
    running: Arc<Mutex<Vec<&'static str>>>,
    pool: Pool,
}

impl Tasks {
    /// Tasks that end when `root` is cancelled, and cancel it when one of them panics.
    pub fn new(root: CancellationToken) -> Self {
        Self {
            root,
            ..Self::default()
        }
    }

    /// Other tasks with an end of their own, which share the threads for computing with these.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            ..Self::default()
        }
    }

    /// The threads for computing.
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Cancelled when the process shall end: every task stops when it sees this.
    pub fn token(&self) -> &CancellationToken {
        &self.root
    }

    /// Runs a task until it ends by itself. If it panics, the panic is logged with the task's name and the root token
    /// is cancelled: a process never goes on with a part missing.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that spawns: tracked, named, panics are seen"
    )]
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        tasks.running().push(name);
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                error!(
                    task = name,
                    panic = panic_text(&*panic),
                    "a task panicked; the process is shutting down"
                );
                tasks.fail();
            }
            let mut running = tasks.running();
            if let Some(ended) = running.iter().position(|running| *running == name) {
                running.swap_remove(ended);
            }
        };
        tokio::spawn(
            self.tracker
                .track_future(guarded.instrument(error_span!("task", name))),
        );
    }

    /// Ends the process in order because a part of it can't go on: [`Self::failed`] from now on.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.root.cancel();
    }

    /// Whether a task has panicked or said that it can't go on: the process then ends with a failure.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Cancels the root token and waits until every task has ended.
    pub async fn shut_down(&self) {
        self.root.cancel();
        self.tracker.close();
        while tokio::time::timeout(SLOW, self.tracker.wait()).await.is_err() {
            warn!(tasks = ?self.running(), "shutting down still waits for these");
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl domain::Spawner for Tasks {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        Self::spawn(self, name, task);
    }

    fn shutdown(&self) -> BoxFuture<'static, ()> {
        let root = self.root.clone();
        Box::pin(async move { root.cancelled().await })
    }

    fn compute(&self, share: Share, work: Work) {
        self.pool.compute(share, work);
    }
}

/// What the panic said, if it said it in words.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_cancels_the_root_token() {
        let tasks = Tasks::default();
        tasks.spawn("unlucky", async { panic!("on purpose") });
        tasks.token().cancelled().await;
        assert!(tasks.failed());
    }

    #[tokio::test]
    async fn shutting_down_waits_for_every_task() {
        let tasks = Tasks::default();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let token = tasks.token().clone();
        tasks.spawn("last words", async move {
            token.cancelled().await;
            tokio::task::yield_now().await;
            sender.send(()).await.unwrap();
        });
        tasks.shut_down().await;
        assert_eq!(receiver.try_recv(), Ok(()));
    }
}
