//! Large commits take turns. Whoever follows the log takes records in as they stand there, and everybody's reads wait for that: of
//! what takes long to take in, only one commit at a time is on its way, whoever makes them. The next waits before it is in
//! the log, where it stands in nobody's way.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use domain::follower::Follower;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// From how many bytes on a commit is large.
const LARGE: usize = 32 * 1024;
/// How long a commit waits for the one before, and for itself to be taken in: who follows may stand still, and commands go on.
const PATIENCE: Duration = Duration::from_secs(1);

/// The turns of all writers of a process.
pub(crate) struct LargeCommits {
    follower: Option<Arc<dyn Follower>>,
    turn: Mutex<()>,
}

/// The turn of one large commit, until it is dropped.
pub(super) struct Turn<'t> {
    follower: &'t dyn Follower,
    /// None where the one before took too long.
    _held: Option<MutexGuard<'t, ()>>,
}

impl LargeCommits {
    /// Nobody waits where nobody follows.
    pub(crate) fn new(follower: Option<Arc<dyn Follower>>) -> Self {
        Self {
            follower,
            turn: Mutex::default(),
        }
    }

    /// The turn of a commit of so many bytes; none for a small one, which never waits.
    pub(super) async fn turn(&self, bytes: usize) -> Option<Turn<'_>> {
        let follower = self.follower.as_deref().filter(|_| bytes >= LARGE)?;
        Some(Turn {
            follower,
            _held: timeout(PATIENCE, self.turn.lock()).await.ok(),
        })
    }
}

impl Turn<'_> {
    /// Ends when the commit at a position was taken in.
    pub(super) async fn end(self, position: Position) {
        drop(timeout(PATIENCE, self.follower.took(position)).await);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures::poll;
    use std::pin::pin;
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
    async fn a_follower_that_stands_still_stops_nobody() {
        let (_told, commits) = told();
        let first = commits.turn(LARGE).await.expect("a turn");
        assert!(commits.turn(LARGE).await.is_some());
        first.end(Position(7)).await;
    }
}
