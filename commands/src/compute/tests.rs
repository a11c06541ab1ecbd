use std::panic::AssertUnwindSafe;
use std::sync::mpsc;

use domain::TokenId;
use futures::FutureExt as _;
use uuid::Uuid;

use super::*;

fn share(number: u128) -> Share {
    Share::Token(TokenId(Uuid::from_u128(number)))
}

/// Work that goes on until it is let go; and how it is let go.
fn gate() -> (Work, mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (open, opened) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    let work = move || {
        began.send(()).unwrap();
        let _ = opened.recv();
    };
    (Box::new(work), open, begun)
}

#[tokio::test]
async fn a_request_is_answered_from_a_thread_for_computing() {
    let pool = Pool::default();
    let name = async {
        tokio::task::yield_now().await;
        std::thread::current().name().map(str::to_owned)
    };
    assert_eq!(
        pool.drive(share(1), name).await.unwrap().as_deref(),
        Some("computing")
    );
}

#[tokio::test]
async fn a_request_that_waits_holds_no_thread() {
    let pool = Pool::with_threads(1);
    let (tell, told) = oneshot();
    let waits = pool.drive(share(1), async move { told.await.unwrap() });
    let other = async {
        let answered = pool.drive(share(1), async { 7 }).await;
        tell.send(()).unwrap();
        answered
    };
    let (waited, answered) = tokio::join!(waits, other);
    assert_eq!((waited, answered), (Ok(()), Ok(7)));
}

#[tokio::test]
async fn a_request_finds_the_runtime_although_a_stranger_woke_it() {
    let pool = Pool::with_threads(1);
    let (tell, told) = oneshot();
    // A thread that knows of no runtime starts the first thread for computing, and wakes the request.
    let (early, later) = (pool.clone(), pool.clone());
    std::thread::spawn(move || early.compute(share(1), Box::new(|| {})))
        .join()
        .unwrap();
    let asks = later.drive(share(2), async move {
        told.await.unwrap();
        Handle::try_current().is_ok()
    });
    let wakes = async {
        tokio::task::yield_now().await;
        std::thread::spawn(move || tell.send(()).unwrap()).join().unwrap();
    };
    let (asked, ()) = tokio::join!(asks, wakes);
    assert_eq!(asked, Ok(true));
}

fn oneshot() -> (
    tokio::sync::oneshot::Sender<()>,
    tokio::sync::oneshot::Receiver<()>,
) {
    tokio::sync::oneshot::channel()
}

#[tokio::test]
async fn who_computes_a_lot_leaves_threads_to_others() {
    let pool = Pool::with_threads(2);
    let (work, open, begun) = gate();
    pool.compute(share(1), work);
    begun.recv().unwrap();
    for _ in 0..10 {
        let (work, _, _) = gate();
        pool.compute(share(1), work);
    }
    assert_eq!(pool.drive(share(2), async { "answered" }).await, Ok("answered"));
    open.send(()).unwrap();
}

#[tokio::test]
async fn shares_take_turns() {
    let pool = Pool::with_threads(1);
    let (work, open, begun) = gate();
    pool.compute(share(1), work);
    begun.recv().unwrap();
    let (done, order) = mpsc::channel();
    for owner in [1, 1, 1, 2, 3] {
        let done = done.clone();
        pool.compute(share(owner), Box::new(move || done.send(owner).unwrap()));
    }
    drop(done);
    open.send(()).unwrap();
    let order: Vec<u128> = order.iter().collect();
    assert_eq!(order, [1, 2, 3, 1, 1]);
}

#[tokio::test]
async fn who_has_too_much_waiting_is_refused_and_nobody_else() {
    let pool = Pool::with_threads(1);
    let (work, open, begun) = gate();
    pool.compute(share(1), work);
    begun.recv().unwrap();
    let mut waiting: Vec<_> = (0..64)
        .map(|_| Box::pin(pool.drive(share(1), async {})))
        .collect();
    for request in &mut waiting {
        assert!(futures::poll!(request.as_mut()).is_pending());
    }
    assert_eq!(pool.drive(share(1), async {}).await, Err(Overloaded::Share));
    let mut other = Box::pin(pool.drive(share(2), async {}));
    assert!(futures::poll!(other.as_mut()).is_pending());
    open.send(()).unwrap();
    assert_eq!(other.await, Ok(()));
    for request in waiting {
        assert_eq!(request.await, Ok(()));
    }
    assert_eq!(
        pool.drive(share(1), async {}).await,
        Ok(()),
        "there is room again"
    );
}

#[tokio::test]
async fn a_share_has_some_requests_under_way_and_the_next_begins_when_one_ends() {
    let pool = Pool::with_threads(1);
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let mut asked: Vec<_> = (0..3)
        .map(|number| {
            let ((tell, told), begin) = (oneshot(), begin.clone());
            let asks = async move {
                begin.send(number).unwrap();
                told.await.unwrap();
            };
            (Box::pin(pool.drive(share(1), asks)), tell)
        })
        .collect();
    let (mut third, third_may_end) = asked.pop().unwrap();
    let (mut second, second_may_end) = asked.pop().unwrap();
    let (mut first, first_may_end) = asked.pop().unwrap();
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(futures::poll!(second.as_mut()).is_pending());
    assert!(futures::poll!(third.as_mut()).is_pending());
    assert_eq!((begun.recv().await, begun.recv().await), (Some(0), Some(1)));
    // Another share's requests are begun meanwhile.
    assert_eq!(pool.drive(share(2), async { 2 }).await, Ok(2));
    assert!(futures::poll!(third.as_mut()).is_pending());
    assert!(begun.try_recv().is_err(), "it has no place");

    first_may_end.send(()).unwrap();
    assert_eq!(first.await, Ok(()));
    assert!(futures::poll!(third.as_mut()).is_pending());
    assert_eq!(begun.recv().await, Some(2));
    second_may_end.send(()).unwrap();
    third_may_end.send(()).unwrap();
    assert_eq!((second.await, third.await), (Ok(()), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn what_isnt_begun_in_time_is_refused() {
    let pool = Pool::with_threads(1);
    let (work, open, begun) = gate();
    pool.compute(share(1), work);
    begun.recv().unwrap();
    assert_eq!(pool.drive(share(2), async {}).await, Err(Overloaded::Waited));
    open.send(()).unwrap();
}

#[tokio::test]
async fn a_panic_reaches_who_waits_for_it() {
    let pool = Pool::default();
    let unlucky = AssertUnwindSafe(pool.drive(share(1), async { panic!("on purpose") })).catch_unwind();
    assert!(unlucky.await.is_err());
    assert_eq!(pool.drive(share(1), async { 1 }).await, Ok(1));
}
