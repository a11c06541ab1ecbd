//! Large commits take turns. Whoever follows the log takes records in as they stand there, and everybody's reads wait for that: of
//! what takes long to take in, only one commit at a time is on its way, whoever makes them. The next waits before it is in
//! the log, where it stands in nobody's way; and where small commits came meanwhile, for as long again as the last one took: those get
//! half of the follower's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::follower::Follower;
use domain::{Position, Spawner};
use futures::FutureExt as _;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, sleep, timeout};

/// From how many bytes on a commit is large.
const LARGE: usize = 32 * 1024;
/// How long a commit waits for the one before, and for itself to be taken in: who follows may stand still, and commands go on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turns of all writers of a process.
pub(crate) struct LargeCommits {
    follower: Option<Arc<dyn Follower>>,
    turn: Arc<Mutex<()>>,
    /// How many small ones there were.
    small: Arc<AtomicU64>,
}

/// The turn of one large commit, until it is dropped.
pub(super) struct Turn {
    follower: Arc<dyn Follower>,
    began: Instant,
    small: Arc<AtomicU64>,
    small_before: u64,
    /// None where the one before took too long.
    _held: Option<OwnedMutexGuard<()>>,
}

impl LargeCommits {
    /// Nobody waits where nobody follows.
    pub(crate) fn new(follower: Option<Arc<dyn Follower>>) -> Self {
        Self {
            follower,
            turn: Arc::default(),
            small: Arc::default(),
        }
    }

    /// The turn of a commit of so many bytes; none for a small one, which never waits.
    pub(super) async fn turn(&self, bytes: usize) -> Option<Turn> {
        let follower = Arc::clone(self.follower.as_ref()?);
        if bytes < LARGE {
            self.small.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let held = timeout(PATIENCE, Arc::clone(&self.turn).lock_owned()).await.ok();
        Some(Turn {
            follower,
            began: Instant::now(),
            small: Arc::clone(&self.small),
            small_before: self.small.load(Ordering::Relaxed),
            _held: held,
        })
    }
}

impl Turn {
    /// Ends when the commit at a position was taken in, and small ones had their share. Its writer goes on meanwhile.
    pub(super) fn end_later(self, position: Position, spawner: &dyn Spawner) {
        let shutdown = spawner.shutdown();
        let end = async move {
            tokio::select! { () = self.end(position) => {}, () = shutdown => {} }
        };
        spawner.spawn("large commit", end.boxed());
    }

    async fn end(self, position: Position) {
        drop(timeout(PATIENCE, self.follower.took(position)).await);
        if self.small.load(Ordering::Relaxed) > self.small_before {
            sleep(self.began.elapsed().min(PATIENCE)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use async_trait::async_trait;
    use futures::poll;
    use tokio::sync::watch;

    use super::*;

    /// Has taken in what it is told.
    struct Told(watch::Sender<Position>);

    #[async_trait]
    impl Follower for Told {
        async fn took(&self, position: Position) {
            let mut told = self.0.subscribe();
            drop(told.wait_for(|taken| *taken >= position).await);
        }
    }

    fn told() -> (Arc<Told>, LargeCommits) {
        let told = Arc::new(Told(watch::Sender::new(Position::START)));
        let follower: Arc<dyn Follower> = Arc::<Told>::clone(&told);
        (told, LargeCommits::new(Some(follower)))
    }

    #[tokio::test]
    async fn a_large_commit_waits_until_the_one_before_was_taken_in_and_a_small_one_doesnt() {
        let (told, commits) = told();
        let first = commits.turn(LARGE).await.expect("a turn");
        let mut second = pin!(commits.turn(LARGE));
        assert!(poll!(second.as_mut()).is_pending());
        assert!(commits.turn(LARGE - 1).await.is_none());
        let mut end = pin!(first.end(Position(7)));
        assert!(poll!(end.as_mut()).is_pending());
        assert!(poll!(second.as_mut()).is_pending());
        told.0.send_replace(Position(7));
        end.await;
        assert!(second.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn small_commits_get_half_of_the_time() {
        let (told, commits) = told();
        for small in [false, true] {
            let turn = commits.turn(LARGE).await.expect("a turn");
            tokio::time::advance(Duration::from_millis(40)).await;
            if small {
                assert!(commits.turn(1).await.is_none());
            }
            told.0.send_replace(Position(7));
            let ending = Instant::now();
            turn.end(Position(7)).await;
            let gap = Duration::from_millis(if small { 40 } else { 0 });
            assert_eq!(ending.elapsed(), gap);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_stands_still_stops_nobody() {
        let (_told, commits) = told();
        let first = commits.turn(LARGE).await.expect("a turn");
        assert!(commits.turn(LARGE).await.is_some());
        first.end(Position(7)).await;
    }
}
