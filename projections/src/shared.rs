//! What the parts of the read side share.

use std::cmp::Ordering;
use std::sync::Arc;

use domain::health::Health;
use domain::{Clock, Digest, EventLog, Keyring, Position};
use tokio::sync::{Notify, RwLock, watch};

use crate::database::Database;
use crate::error::ProjectionError;
use crate::feed::Feed;
use crate::progress::Progress;

/// What the parts of the read side share.
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The generation that is read. A query holds it while it reads, so none is deleted under it. Whoever needs the
    /// writing connection too takes that first.
    pub(crate) generation: RwLock<i64>,
    pub(crate) progress: Progress,
    pub(crate) health: Arc<dyn Health>,
    pub(crate) feed: Feed,
    /// Whether this process projects.
    pub(crate) leading: watch::Sender<bool>,
    /// What this process calls itself where others see it.
    pub(crate) holder: String,
    /// Who held the lease when the database was looked at last; `None` if nobody did.
    pub(crate) heard_holder: watch::Sender<Option<String>>,
    /// Told when a generation was retired.
    pub(crate) retired: Notify,
    /// Told when another process made another generation the one that is read.
    pub(crate) flipped: Notify,
    /// Told when nobody holds the projector's lease any more.
    pub(crate) vacant: Notify,
}

impl Shared {
    /// Notes which generation is read and how far it has come.
    pub(crate) async fn reads(&self, generation: i64, position: Position) {
        let read = *self.generation.read().await;
        match generation.cmp(&read) {
            Ordering::Equal => self.progress.projected(position),
            Ordering::Greater => {
                *self.generation.write().await = generation;
                self.progress.replaced(position);
                self.retired.notify_one();
            }
            // Generations only grow: this was said before the last flip.
            Ordering::Less => {}
        }
    }
}

/// Checks that the log still holds what was read from it up to a checkpoint; answers the log's tail.
pub(crate) async fn verify_checkpoint(
    log: &dyn EventLog,
    checkpoint: Position,
    digest: Digest,
) -> Result<Position, ProjectionError> {
    let tail = log.tail().await?;
    if tail < checkpoint {
        return Err(ProjectionError::LostTail { checkpoint, tail });
    }
    if checkpoint > Position::START {
        let record = log.record_at(checkpoint).await?;
        if record.is_none_or(|record| Digest::of(&record.bytes) != digest) {
            return Err(ProjectionError::Rewritten { checkpoint });
        }
    }
    Ok(tail)
}
