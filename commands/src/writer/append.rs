//! Appending until the answer is definite (DESIGN §5): a timeout means unknown, absence in a read proves nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::log::{AppendError, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record, Spawner};
use futures::TryStreamExt;
use tracing::{info, warn};

use super::measures;
use crate::entropy;

/// What definitely became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is durable at this position.
    Stored(Position),
    /// Another writer's record stands where it should: it isn't and will never be stored.
    Superseded,
    /// The log took nothing.
    Refused(AppendError),
    /// The process ends before the log has answered definitely.
    Unresolved,
}

/// Appends to one boundary.
pub(crate) struct Appender {
    pub(crate) boundary: Boundary,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) spawner: Arc<dyn Spawner>,
}

impl Appender {
    /// Sends the same record with the same guard until its fate is definite.
    pub(crate) async fn append(&self, guard: Position, id: CommitId, record: &Bytes) -> Fate {
        let mut pause = Pause::default();
        let mut in_doubt = false;
        let mut said = String::new();
        loop {
            let expected = Expected::after(Some(guard));
            match self.log.append(self.boundary, expected, id, record.clone()).await {
                Ok(position) => return Fate::Stored(position),
                Err(AppendError::Conflict) => match self.record_after(guard).await {
                    Ok(Some(found)) if found.bytes == *record => return Fate::Stored(found.position),
                    Ok(Some(_)) => {
                        measures::conflict();
                        return Fate::Superseded;
                    }
                    Ok(None) => info!(boundary = %self.boundary, "a conflict with a record still in flight"),
                    Err(error) => {
                        warn!(boundary = %self.boundary, %error, "the log can't show whose record won");
                    }
                },
                Err(AppendError::Unknown(reason)) => {
                    in_doubt = true;
                    measures::unknown();
                    if said != reason {
                        warn!(boundary = %self.boundary, reason, "an append's outcome is unknown; asking again");
                    }
                    said = reason;
                }
                Err(refusal) if !in_doubt => return Fate::Refused(refusal),
                // An earlier attempt may still be stored, whatever this one met.
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    if said != refusal {
                        warn!(boundary = %self.boundary, refusal, "asking again after a refusal");
                    }
                    said = refusal;
                }
            }
            if !pause.wait(&*self.spawner).await {
                return Fate::Unresolved;
            }
        }
    }

    /// The boundary's first record after the guard. A guard is a literal position, so at most one record can ever
    /// stand right after it: whose it is decides between all who tried.
    async fn record_after(&self, guard: Position) -> Result<Option<Record>, ReadError> {
        self.log.read_boundary(self.boundary, guard).try_next().await
    }
}

/// Pauses between attempts: doubling up to a limit, with jitter, so that a log in trouble isn't hammered.
#[derive(Debug, Default)]
struct Pause {
    attempts: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(2);
    const LONGEST: Duration = Duration::from_millis(500);

    /// Waits; false if the process shall end.
    async fn wait(&mut self, spawner: &dyn Spawner) -> bool {
        let longest = Self::FIRST
            .saturating_mul(1 << self.attempts.min(16))
            .min(Self::LONGEST);
        self.attempts += 1;
        let mut random = [0; 1];
        entropy::fill(&mut random);
        let pause = longest.mul_f64(0.5 + f64::from(random[0]) / 512.0);
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = spawner.shutdown() => false,
        }
    }
}
