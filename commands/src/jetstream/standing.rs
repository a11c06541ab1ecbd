//! How the connection to NATS stands, as [`watch`](crate::log::NatsLog::watch) finds it: well, or since when what is away. While
//! something has been away for long, nobody waits for it any more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::error;

/// What has been away for longer isn't waited for: an election takes less.
const HOPE: Duration = Duration::from_secs(10);

/// What is away.
#[derive(Clone, Debug)]
struct Trouble {
    since: Instant,
    what: String,
}

/// Shared by all that use the connection.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    trouble: Mutex<Option<Trouble>>,
    /// What the last publish met, if it ended without an answer that says whether it was stored.
    unstored: Mutex<Option<String>>,
}

impl Standing {
    /// All is well.
    pub(crate) fn recovered(&self) {
        self.set(None);
    }

    /// Something is away; says so when another thing was said to be the reason before.
    pub(crate) fn troubled(&self, what: &str) {
        let known = self.get();
        let since = known.as_ref().map_or_else(Instant::now, |trouble| trouble.since);
        if known.is_some_and(|known| known.what != what) {
            error!("the log in NATS is still away: {what}");
        }
        let what = what.to_owned();
        self.set(Some(Trouble { since, what }));
    }

    /// A publish ended, well or in doubt.
    pub(crate) fn published(&self, doubt: Option<String>) {
        *self.unstored.lock().unwrap_or_else(PoisonError::into_inner) = doubt;
    }

    /// Why it isn't known that the last publish was stored; none if it was.
    pub(crate) fn unstored(&self) -> Option<String> {
        self.unstored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is away.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.get().map(|trouble| trouble.what)
    }

    /// How long an answer is waited for that is waited for so long while all is well.
    pub(crate) fn patience(&self, limit: Duration) -> Duration {
        match self.get() {
            Some(trouble) if trouble.since.elapsed() > HOPE => Duration::ZERO,
            _ => limit,
        }
    }

    fn get(&self) -> Option<Trouble> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn what_has_been_away_for_long_is_not_waited_for_until_it_is_back() {
        let standing = Standing::default();
        assert_eq!((standing.patience(LIMIT), standing.trouble()), (LIMIT, None));
        standing.troubled("the leader");
        assert_eq!(standing.patience(LIMIT), LIMIT);
        tokio::time::advance(HOPE + Duration::from_secs(1)).await;
        standing.troubled("everything");
        assert_eq!(standing.patience(LIMIT), Duration::ZERO);
        assert_eq!(standing.trouble().as_deref(), Some("everything"));
        standing.recovered();
        assert_eq!((standing.patience(LIMIT), standing.trouble()), (LIMIT, None));
    }
}
