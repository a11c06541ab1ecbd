//! The one way to wait: ask again until the condition holds.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How long a condition is waited for before the test fails. Far beyond what a slow machine needs: it ends a test that would
/// hang, it measures nothing.
const DEADLINE: Duration = Duration::from_secs(180);

/// The pause between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `look` until it finds what it looks for and returns that. An `Err` says what was seen instead.
///
/// # Panics
/// When the condition, named by `what`, doesn't hold within three minutes; the message has what was seen last.
pub async fn eventually<Found, Seen: Display>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Found, Seen>,
) -> Found {
    let patience = Patience::new(what);
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => patience.pause(seen).await,
        }
    }
}

/// The waiting of [`eventually`] for a loop of its own, as tasks on other threads need it.
#[derive(Debug)]
pub struct Patience {
    what: String,
    began: Instant,
}

impl Patience {
    /// Begins to wait for the condition named by `what`.
    pub fn new(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            began: Instant::now(),
        }
    }

    /// Pauses before the next look, after one that has `seen` something else.
    ///
    /// # Panics
    /// When the waiting began more than three minutes ago.
    pub async fn pause(&self, seen: impl Display) {
        assert!(
            self.began.elapsed() < DEADLINE,
            "waited in vain: {}; seen last: {seen}",
            self.what
        );
        tokio::time::sleep(INTERVAL).await;
    }
}
