//! A future whose steps run on the threads for computing: it begins when its share has a place for it, and each time it can go on,
//! its next step waits for its share's turn.

use std::any::Any;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use domain::spawner::Share;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::{Overloaded, PATIENCE, Shared};

/// It waits for something.
const WAITING: u8 = 0;
/// Its next step waits for its turn.
const QUEUED: u8 = 1;
/// A step runs.
const RUNNING: u8 = 2;
/// A step runs, and there will be another one.
const RUNNING_AGAIN: u8 = 3;

/// Drives a future to its end; the same as awaiting it, but for where its steps run.
pub(super) async fn drive<Driven>(
    shared: &Arc<Shared>,
    share: Share,
    future: Driven,
) -> Result<Driven::Output, Overloaded>
where
    Driven: Future + Send + 'static,
    Driven::Output: Send + 'static,
{
    shared.runtime.get_or_init(Handle::current);
    let places = shared.queue().admit(share)?;
    let _ended = Ended { shared, share };
    let unbegun = Unbegun { shared, share };
    let patience = Instant::now() + PATIENCE;
    let place = timeout_at(patience, places.acquire_owned()).await;
    let _place = place
        .map_err(|_| Overloaded::Waited)?
        .map_err(|_| Overloaded::Ending)?;
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<Result<Driven::Output, Box<dyn Any + Send>>>();
    let future = async move {
        let _ = begin.send(());
        let out = AssertUnwindSafe(future).catch_unwind().await;
        // Whoever waited may have gone.
        drop(end.send(out));
    };
    let request = Arc::new(Request {
        future: Mutex::new(Some(future.boxed())),
        stage: AtomicU8::new(WAITING),
        shared: Arc::clone(shared),
        share,
    });
    let _dropped_with_this = DropsIt(Arc::clone(&request));
    request.wake();
    timeout_at(patience, begun)
        .await
        .map_err(|_| Overloaded::Waited)?
        .map_err(|_| Overloaded::Ending)?;
    drop(unbegun);
    match ended.await {
        Ok(Ok(out)) => Ok(out),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(Overloaded::Ending),
    }
}

/// Counts as not begun until it is dropped.
struct Unbegun<'shared> {
    shared: &'shared Arc<Shared>,
    share: Share,
}

impl Drop for Unbegun<'_> {
    fn drop(&mut self) {
        self.shared.queue().begun(self.share);
    }
}

/// Hasn't ended until it is dropped.
struct Ended<'shared> {
    shared: &'shared Arc<Shared>,
    share: Share,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.shared.queue().ended(self.share);
    }
}

/// A driven future.
struct Request {
    /// None once it has ended, or nobody waits for it any more.
    future: Mutex<Option<BoxFuture<'static, ()>>>,
    stage: AtomicU8,
    shared: Arc<Shared>,
    share: Share,
}

impl Request {
    fn step(self: Arc<Self>) {
        self.stage.store(RUNNING, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self));
        let mut future = self.future.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = future.as_mut() else {
            return;
        };
        let stepped = Pin::new(running).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(()) = stepped {
            *future = None;
            return;
        }
        drop(future);
        let rests = self
            .stage
            .compare_exchange(RUNNING, WAITING, Ordering::AcqRel, Ordering::Acquire);
        if rests.is_err() {
            self.stage.store(QUEUED, Ordering::Release);
            self.queue();
        }
    }

    fn queue(self: &Arc<Self>) {
        let request = Arc::clone(self);
        self.shared.push(self.share, Box::new(move || request.step()));
    }
}

impl Wake for Request {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let next = |stage| match stage {
            WAITING => Some(QUEUED),
            RUNNING => Some(RUNNING_AGAIN),
            _ => None,
        };
        let before = self.stage.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        if before == Ok(WAITING) {
            self.queue();
        }
    }
}

/// Drops the future when whoever waits for it goes; a step that runs is finished first.
struct DropsIt(Arc<Request>);

impl Drop for DropsIt {
    fn drop(&mut self) {
        let request = Arc::clone(&self.0);
        match request.future.try_lock() {
            Ok(mut future) => *future = None,
            // It runs. The step after that finds that nobody waits.
            Err(_) => {
                let last = Arc::clone(&request);
                request.shared.push(
                    request.share,
                    Box::new(move || {
                        *last.future.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    }),
                );
            }
        };
    }
}
