//! What the parts of the read side share.

use std::sync::Arc;

use domain::{Clock, Digest, EventLog, Keyring, Position};
use tokio::sync::{Notify, RwLock};

use crate::database::Database;
use crate::error::ProjectionError;
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
    /// Told when a generation was retired.
    pub(crate) retired: Notify,
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
