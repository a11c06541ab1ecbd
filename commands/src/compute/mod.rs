//! Threads for computing: what costs more than others should wait for runs here and never on the threads that serve everybody.
//!
//! There are more threads than processors, at a lower priority than the rest of the program, so that the operating system gives
//! those who serve the processors first. Each share (a tenant, or the program) has some of the threads at most, and where several
//! wait they take turns: [`queue`]. [`Pool::drive`] takes a whole request: its steps run here, and while it waits for something it
//! holds no thread ([`driven`]). Only a few requests of a share are under way at once; the others wait, up to a number.

mod driven;
mod queue;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use domain::spawner::{Share, Work};
use tokio::runtime::Handle;

use self::queue::Queue;

/// How long a request may wait until it is begun.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How much nicer the threads are than the rest of the program.
const NICER: i32 = 10;
/// How many threads there are at least, so that a few long computations don't stop the others.
const LEAST_THREADS: usize = 4;

/// Too much is waiting to be computed: ask again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overloaded {
    /// By the one who asks.
    #[error("too many requests of yours wait to be computed: send fewer at once")]
    Share,
    /// By everybody.
    #[error("too many requests wait to be computed: try again later")]
    Everybody,
    /// It has waited too long.
    #[error("the request waited {} s to be computed and wasn't begun: try again later", PATIENCE.as_secs())]
    Waited,
    /// The process ends.
    #[error("the program is shutting down")]
    Ending,
}

/// The threads. Clones share them; they end with the last clone.
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Ends the threads when it is dropped.
    _end: Arc<End>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// Told when there is more to do, or nothing ever again.
    more: Condvar,
    threads: usize,
    /// In which the driven find themselves: that of the first who asked.
    runtime: OnceLock<Handle>,
}

#[derive(Debug)]
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue().end();
        self.0.more.notify_all();
    }
}

impl Default for Pool {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self::with_threads(LEAST_THREADS.max(processors * 2))
    }
}

impl Pool {
    /// So many threads, started when there is something to do.
    pub fn with_threads(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(threads)),
            more: Condvar::new(),
            threads,
            runtime: OnceLock::new(),
        });
        Self {
            _end: Arc::new(End(Arc::clone(&shared))),
            shared,
        }
    }

    /// Does work when it is this share's turn.
    pub fn compute(&self, share: Share, work: Work) {
        self.shared.push(share, work);
    }

    /// Answers what a future comes to, all of whose steps run on these threads; it is dropped with the returned one. Refused at
    /// once where too many of this share, or of all, haven't begun; later if it can't be begun in time. It must be awaited in a
    /// tokio runtime, where the future will find itself too.
    pub async fn drive<Driven>(&self, share: Share, future: Driven) -> Result<Driven::Output, Overloaded>
    where
        Driven: Future + Send + 'static,
        Driven::Output: Send + 'static,
    {
        driven::drive(&self.shared, share, future).await
    }
}

impl Shared {
    fn push(self: &Arc<Self>, share: Share, work: Work) {
        let start = {
            let mut queue = self.queue();
            queue.push(share, work);
            queue.wants_a_thread(self.threads)
        };
        self.more.notify_one();
        if start {
            self.start_thread();
        }
    }

    fn start_thread(self: &Arc<Self>) {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("computing".to_owned());
        let started = thread.spawn(move || {
            be_nice();
            while let Some((share, work)) = shared.next() {
                // Not for the thread's life: it may have been started before there was a runtime.
                let entered = shared.runtime.get().map(Handle::enter);
                work();
                drop(entered);
                shared.queue().done(share);
                // Another of this share may run now.
                shared.more.notify_one();
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "a thread for computing can't be started");
            self.queue().thread_failed();
        }
    }

    fn next(&self) -> Option<(Share, Work)> {
        let mut queue = self.queue();
        loop {
            if queue.has_ended() {
                return None;
            }
            if let Some(next) = queue.pop() {
                return Some(next);
            }
            queue.idle();
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.awake();
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lowers this thread's priority. Elsewhere than on Linux that would be the whole process's.
fn be_nice() {
    if cfg!(target_os = "linux") {
        let lowered = rustix::process::getpriority_process(None)
            .and_then(|now| rustix::process::setpriority_process(None, now + NICER));
        if let Err(error) = lowered {
            tracing::debug!(%error, "a thread for computing keeps its priority");
        }
    }
}

#[cfg(test)]
mod tests;
