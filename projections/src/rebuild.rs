//! Rebuilding: another generation is filled from the start of the log beside the one that is read; when it has
//! caught up, one row flips. Killed anywhere, it goes on from its checkpoint at the next call.

use std::sync::Arc;
use std::time::Duration;

use domain::{Position, Record, log::ReadError};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::batch::Batch;
use crate::decoding::Decoder;
use crate::error::ProjectionError;
use crate::projector::{BATCH_BYTES, BATCH_RECORDS, add};
use crate::shared::{Shared, verify_checkpoint};
use crate::write::{self, Held, generations};

/// The epoch of a generation that no projector writes yet.
const NOT_LED: i64 = 0;

/// How long the rows of a retired generation stay where other processes may be reading them.
const GRACE: Duration = Duration::from_secs(60);

/// Fills a new generation and makes it the one that is read. `progress` hears the position reached and the one aimed at.
pub(crate) async fn rebuild(
    shared: &Arc<Shared>,
    progress: impl Fn(Position, Position),
) -> Result<(), ProjectionError> {
    let mut filler = Filler::begin(shared).await?;
    loop {
        let target = shared.progress.position();
        progress(filler.held.position, target);
        if filler.held.position >= target {
            return filler.finish().await;
        }
        let batch = filler.next_batch(target).await?;
        filler.write(&batch).await?;
    }
}

struct Filler {
    shared: Arc<Shared>,
    decoder: Decoder,
    records: BoxStream<'static, Result<Record, ReadError>>,
    held: Held,
}

impl Filler {
    async fn begin(shared: &Arc<Shared>) -> Result<Self, ProjectionError> {
        let mut writer = shared.database.write().await?;
        let resumption = generations::resume_filling(&mut writer).await?;
        drop(writer);
        let position = resumption.position;
        verify_checkpoint(&*shared.log, position, resumption.digest).await?;
        let (log, keyring) = (Arc::clone(&shared.log), Arc::clone(&shared.keyring));
        Ok(Self {
            shared: Arc::clone(shared),
            decoder: Decoder::resumed(log, keyring, position, resumption.ends),
            records: shared.log.follow(position),
            held: Held {
                generation: resumption.generation,
                epoch: NOT_LED,
                position,
            },
        })
    }

    /// Rows of the next records, none beyond the target.
    async fn next_batch(&mut self, target: Position) -> Result<Batch, ProjectionError> {
        let mut batch = Batch::default();
        let mut taken = 0;
        while taken < BATCH_RECORDS && batch.size < BATCH_BYTES && self.decoder.position() < target {
            let ended = || ReadError::Unavailable("it stopped sending records".to_owned());
            let record = self.records.next().await.ok_or_else(ended)??;
            let checked = self.decoder.check(&record).await?;
            let decoded = self.decoder.open(&checked).await?;
            add(&mut batch, &decoded, &self.shared).await?;
            taken += 1;
        }
        Ok(batch)
    }

    async fn write(&mut self, batch: &Batch) -> Result<(), ProjectionError> {
        let mut writer = self.shared.database.write().await?;
        let mut transaction = writer.begin().await?;
        write::write_within(
            &mut transaction.connection(),
            self.held,
            batch,
            &*self.shared.keyring,
        )
        .await?;
        transaction.commit().await?;
        writer.shorten_write_ahead_log().await?;
        self.held.position = self.decoder.position();
        Ok(())
    }

    /// While nobody else writes the gap is closed; then nothing is missing, and the new generation is the one to read.
    async fn finish(mut self) -> Result<(), ProjectionError> {
        let shared = Arc::clone(&self.shared);
        let mut writer = shared.database.write().await?;
        let mut transaction = writer.begin().await?;
        let (target, epoch) = generations::lock_live(&mut transaction.connection()).await?;
        while self.held.position < target {
            let batch = self.next_batch(target).await?;
            write::write_within(&mut transaction.connection(), self.held, &batch, &*shared.keyring).await?;
            self.held.position = self.decoder.position();
        }
        let held = Held { epoch, ..self.held };
        generations::flip(&mut transaction.connection(), held).await?;
        transaction.announce(held.generation, held.position).await?;
        let mut live = shared.generation.write().await;
        transaction.commit().await?;
        *live = held.generation;
        shared.retired.notify_one();
        Ok(())
    }
}

/// Deletes the rows of retired generations, a few at a time, whenever there are some. On PostgreSQL other processes may
/// still read them, so the one that projects deletes what has been retired for a while.
pub(crate) async fn clean_up(shared: Arc<Shared>) {
    let mut seen = Vec::new();
    loop {
        match clean_up_once(&shared, &seen).await {
            Ok(retired) => seen = retired,
            Err(error) => {
                tracing::warn!(%error, "deleting the rows of retired read models failed; it is tried again later");
            }
        }
        if shared.database.postgres().is_some() {
            tokio::time::sleep(GRACE).await;
        } else {
            shared.retired.notified().await;
        }
    }
}

/// Deletes what may be deleted; answers what is retired by now.
async fn clean_up_once(shared: &Shared, seen: &[i64]) -> Result<Vec<i64>, ProjectionError> {
    let shares = shared.database.postgres().is_some();
    if shares && !*shared.leading.borrow() {
        return Ok(Vec::new());
    }
    let retired = generations::retired(&mut shared.database.write().await?).await?;
    for generation in retired
        .iter()
        .filter(|generation| !shares || seen.contains(generation))
    {
        while generations::delete_some(&mut shared.database.write().await?, *generation).await? {
            tokio::task::yield_now().await;
        }
    }
    Ok(retired)
}
