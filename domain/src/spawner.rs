//! The background tasks' seam: named tasks that shutdown waits for and whose panics are seen.

use futures::future::BoxFuture;

/// Spawns background tasks. The one implementation is `commands::tasks::Tasks`.
pub trait Spawner: Send + Sync + 'static {
    /// Runs a task until it ends by itself; if it panics, the process is shut down in order.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Ends when the process shall end: every task that runs for ever selects on this.
    fn shutdown(&self) -> BoxFuture<'static, ()>;
}
