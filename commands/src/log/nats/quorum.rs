//! Whether the server that answers for the stream still leads it. One that was cut off from the others goes on answering from what
//! it has, until it notices: what it calls the newest record needn't be the newest any more.
//! A leader that has heard from a majority within its lease has no successor yet ([`leader`](crate::jetstream::leader)).

use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::stream::{Info, Stream};
use domain::log::ReadError;
use tokio::time::Instant;

use super::unavailable;
use crate::jetstream::leader::{LEASE, silence};

/// How often an answer that took too long is asked for again.
const ATTEMPTS: u32 = 3;

/// When the stream's leader last heard from a majority, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    heard: Mutex<Option<Instant>>,
    /// One asks the leader for all that wait.
    asking: tokio::sync::Mutex<()>,
}

impl Quorum {
    /// Whether what the leader answers now is the newest.
    fn holds(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|heard| heard.elapsed() < LEASE)
    }

    /// Reads something from the leader while it is known to lead.
    pub(super) async fn vouched<Answer, Reading>(
        &self,
        stream: &Stream,
        read: impl Fn() -> Reading,
    ) -> Result<Answer, ReadError>
    where
        Reading: Future<Output = Result<Answer, ReadError>>,
    {
        for _ in 0..ATTEMPTS {
            self.confirm(stream).await?;
            let answer = read().await?;
            // It may have taken longer than what was known is good for.
            if self.holds() {
                return Ok(answer);
            }
        }
        Err(lost())
    }

    /// Asks the leader whether it has a majority, unless that is known.
    async fn confirm(&self, stream: &Stream) -> Result<(), ReadError> {
        if self.holds() {
            return Ok(());
        }
        let _alone = self.asking.lock().await;
        if self.holds() {
            return Ok(());
        }
        self.ask(stream).await.map(drop)
    }

    /// Asks the leader whether it has a majority; what else it says comes back.
    pub(super) async fn ask(&self, stream: &Stream) -> Result<Info, ReadError> {
        let asked = Instant::now();
        let info = stream.get_info().await.map_err(unavailable)?;
        let heard = silence(info.cluster.as_ref()).and_then(|silence| asked.checked_sub(silence));
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        if self.holds() { Ok(info) } else { Err(lost()) }
    }
}

/// What is answered while the leader may have a successor.
fn lost() -> ReadError {
    unavailable(
        "the server that leads the stream has lost the others, or they have just chosen another; try again",
    )
}
