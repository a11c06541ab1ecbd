//! The background tasks' seam: named tasks that shutdown waits for and whose panics are seen, and work that takes the processor
//! for longer than others should wait.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use futures::channel::oneshot;
use futures::future::BoxFuture;

use crate::identifiers::{GroupId, TokenId};

/// Work to be done on a thread for computing.
pub type Work = Box<dyn FnOnce() + Send>;

/// Spawns background tasks. The one implementation is `commands::tasks::Tasks`.
pub trait Spawner: Send + Sync + 'static {
    /// Runs a task until it ends by itself; if it panics, the process is shut down in order.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);

    /// Ends when the process shall end: every task that runs for ever selects on this.
    fn shutdown(&self) -> BoxFuture<'static, ()>;

    /// Does work when it is this share's turn, on a thread where it keeps nobody waiting; here and now where there are none.
    /// Work that hasn't begun when the process ends is dropped.
    fn compute(&self, share: Share, work: Work) {
        let _ = share;
        work();
    }
}

/// On whose account the processor is used. Shares take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// Of a runtime group: its writer, and those who come with a token for this group.
    Group(GroupId),
    /// Of the holder of a token for more than one group.
    Token(TokenId),
    /// Of the program itself.
    Program,
}

/// What work comes to; nothing if the process ends before. A panic of the work is one of who awaits it.
pub async fn computed<Out: Send + 'static>(
    spawner: &dyn Spawner,
    share: Share,
    work: impl FnOnce() -> Out + Send + 'static,
) -> Option<Out> {
    let (sender, receiver) = oneshot::channel::<Result<Out, Box<dyn Any + Send>>>();
    let work = move || {
        // Whoever waited may have gone.
        drop(sender.send(catch_unwind(AssertUnwindSafe(work))));
    };
    spawner.compute(share, Box::new(work));
    match receiver.await.ok()? {
        Ok(out) => Some(out),
        Err(panic) => resume_unwind(panic),
    }
}
