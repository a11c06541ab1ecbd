//! Whose turn it is: a few processes at once, one of them for each caller, and so many who wait.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::GroupId;
use domain::sandbox::SandboxUnavailable;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many processes evaluate at once.
const PLACES: usize = 2;
/// How many calls of one caller wait or run.
const CALLS: usize = 16;
/// How long a call waits for its turn.
const WAIT: Duration = Duration::from_secs(10);

/// The places, and who waits for one.
#[derive(Debug)]
pub(super) struct Turns {
    places: Arc<Semaphore>,
    callers: Arc<DashMap<GroupId, Arc<Caller>>>,
}

/// One caller's calls: of those that came in, one at a time competes with other callers'.
#[derive(Debug)]
struct Caller {
    calls: Arc<Semaphore>,
    next: Arc<Semaphore>,
}

/// A place, until it is dropped.
pub(super) struct Turn {
    permits: Vec<OwnedSemaphorePermit>,
    caller: Option<Arc<Caller>>,
    id: GroupId,
    callers: Arc<DashMap<GroupId, Arc<Caller>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            callers: Arc::default(),
        }
    }
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            calls: Arc::new(Semaphore::new(CALLS)),
            next: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Turns {
    /// Waits for a caller's turn.
    pub(super) async fn take(&self, id: GroupId) -> Result<Turn, SandboxUnavailable> {
        let caller = Arc::clone(&self.callers.entry(id).or_default());
        let (calls, next) = (Arc::clone(&caller.calls), Arc::clone(&caller.next));
        let mut turn = Turn {
            permits: Vec::new(),
            caller: Some(caller),
            id,
            callers: Arc::clone(&self.callers),
        };
        let call = calls.try_acquire_owned();
        turn.permits.push(call.map_err(|_| {
            SandboxUnavailable(format!(
                "{CALLS} evaluations of this group are under way; try again"
            ))
        })?);
        let waited = timeout(WAIT, async {
            let next = next.acquire_owned().await?;
            let place = Arc::clone(&self.places).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>([place, next])
        });
        match waited.await {
            Ok(Ok(permits)) => {
                turn.permits.extend(permits);
                Ok(turn)
            }
            _ => Err(SandboxUnavailable(format!(
                "other evaluations took the {PLACES} places for {} s; try again",
                WAIT.as_secs()
            ))),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.permits.clear();
        self.caller = None;
        self.callers
            .remove_if(&self.id, |_, caller| Arc::strong_count(caller) == 1);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const fn group(number: u128) -> GroupId {
        GroupId(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_asks_again_and_again_leaves_a_place_for_others() {
        let turns = Turns::default();
        let first = turns.take(group(1)).await.unwrap();
        assert!(turns.take(group(1)).await.is_err(), "it has its one place");
        let other = turns.take(group(2)).await.unwrap();
        assert!(turns.take(group(3)).await.is_err(), "all places are taken");
        drop(first);
        let third = turns.take(group(3)).await.unwrap();
        drop((other, third));
        assert!(turns.callers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_with_too_many_calls_is_told_at_once() {
        let turns = Turns::default();
        let _runs = turns.take(group(1)).await.unwrap();
        let mut calls = Vec::new();
        for _ in 1..CALLS {
            calls.push(Box::pin(turns.take(group(1))));
        }
        for call in &mut calls {
            assert!(futures::poll!(call).is_pending());
        }
        let refused = turns.take(group(1)).await.err().unwrap();
        assert!(refused.0.contains("of this group are under way"), "{refused}");
    }
}
