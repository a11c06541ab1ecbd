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
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if began.elapsed() > DEADLINE => panic!("waited in vain: {what}; seen last: {seen}"),
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}
