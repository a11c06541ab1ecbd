//! Rebuilding: another generation is filled from the start of the log beside the one that is read; when it has
//! caught up, one row flips. Killed anywhere, it goes on from its checkpoint at the next call.

use std::sync::Arc;

use domain::{Position, Record, log::ReadError};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::batch::Batch;
use crate::database::Connection;
use crate::decoding::Decoder;
use crate::error::ProjectionError;
use crate::projector::{BATCH_BYTES, BATCH_RECORDS, add};
use crate::shared::{Shared, verify_checkpoint};
use crate::write::{self, generations};

/// Fills a new generation and makes it the one that is read. `progress` hears the position reached and the one aimed at.
pub(crate) async fn rebuild(
    shared: &Arc<Shared>,
    progress: impl Fn(Position, Position),
) -> Result<(), ProjectionError> {
    let mut filler = Filler::begin(shared).await?;
    loop {
        let target = shared.progress.position();
        progress(filler.position(), target);
        if filler.position() < target {
            let batch = filler.next_batch(target).await?;
            let mut connection = shared.database.write().await;
            filler.write(&mut connection, &batch).await?;
        } else {
            // Nobody else writes while this connection is held: the gap is closed, then nothing is missing.
            let mut connection = shared.database.write().await;
            let target = shared.live_position(&mut connection).await?;
            while filler.position() < target {
                let batch = filler.next_batch(target).await?;
                filler.write(&mut connection, &batch).await?;
            }
            return filler.flip(&mut connection).await;
        }
    }
}

struct Filler {
    shared: Arc<Shared>,
    generation: i64,
    decoder: Decoder,
    records: BoxStream<'static, Result<Record, ReadError>>,
    written: Position,
}

impl Filler {
    async fn begin(shared: &Arc<Shared>) -> Result<Self, ProjectionError> {
        let mut connection = shared.database.write().await;
        let generation = generations::filling(&mut connection).await?;
        let (position, digest) = generations::checkpoint(&mut connection, generation).await?;
        let ends = generations::boundary_ends(&mut connection, generation).await?;
        drop(connection);
        verify_checkpoint(&*shared.log, position, digest).await?;
        let (log, keyring) = (Arc::clone(&shared.log), Arc::clone(&shared.keyring));
        Ok(Self {
            shared: Arc::clone(shared),
            generation,
            decoder: Decoder::resumed(log, keyring, position, ends),
            records: shared.log.follow(position),
            written: position,
        })
    }

    const fn position(&self) -> Position {
        self.written
    }

    /// Rows of the next records, none beyond the target.
    async fn next_batch(&mut self, target: Position) -> Result<Batch, ProjectionError> {
        let mut batch = Batch::default();
        let mut taken = 0;
        while taken < BATCH_RECORDS && batch.size < BATCH_BYTES && self.decoder.position() < target {
            let ended = || ReadError::Unavailable("it stopped sending records".to_owned());
            let record = self.records.next().await.ok_or_else(ended)??;
            let decoded = self.decoder.decode(&record).await?;
            add(&mut batch, &decoded, &self.shared).await?;
            taken += 1;
        }
        Ok(batch)
    }

    async fn write(&mut self, connection: &mut Connection, batch: &Batch) -> Result<(), ProjectionError> {
        write::write(connection, self.generation, self.written, batch).await?;
        self.written = self.decoder.position();
        Ok(())
    }

    async fn flip(self, connection: &mut Connection) -> Result<(), ProjectionError> {
        let mut live = self.shared.generation.write().await;
        generations::flip(connection, self.generation).await?;
        *live = self.generation;
        self.shared.retired.notify_one();
        Ok(())
    }
}

impl Shared {
    async fn live_position(&self, connection: &mut Connection) -> Result<Position, ProjectionError> {
        let generation = *self.generation.read().await;
        Ok(generations::checkpoint(connection, generation).await?.0)
    }
}

/// Deletes the rows of retired generations, a few at a time, whenever there are some.
pub(crate) async fn clean_up(shared: Arc<Shared>) {
    loop {
        let more = {
            let mut connection = shared.database.write().await;
            generations::delete_some_retired(&mut connection).await
        };
        match more {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => shared.retired.notified().await,
            Err(error) => {
                tracing::warn!(%error, "deleting the rows of retired read models failed; it is tried again later");
                shared.retired.notified().await;
            }
        }
    }
}
