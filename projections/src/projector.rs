//! The projector: takes whatever decoded records are waiting and writes them with their checkpoint.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::batch::Batch;
use crate::decoding::Decoded;
use crate::error::ProjectionError;
use crate::shared::Shared;
use crate::write;

/// How many records one transaction takes: one while live, as many as are waiting while catching up.
pub(crate) const BATCH_RECORDS: usize = 4096;

/// After how many bytes of bodies a transaction ends.
pub(crate) const BATCH_BYTES: usize = 32 * 1024 * 1024;

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Writes into the generation that is read.
pub(crate) struct Projector {
    shared: Arc<Shared>,
    records: mpsc::Receiver<Decoded>,
    position: Position,
}

impl Projector {
    /// Goes on after the live generation's checkpoint.
    pub(crate) const fn new(
        shared: Arc<Shared>,
        records: mpsc::Receiver<Decoded>,
        position: Position,
    ) -> Self {
        Self {
            shared,
            records,
            position,
        }
    }

    /// Projects until the process ends, or an error that doesn't pass.
    pub(crate) async fn run(mut self, mut shutdown: BoxFuture<'static, ()>) {
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                received = self.records.recv_many(&mut waiting, BATCH_RECORDS) => if received == 0 { return },
            }
            let mut waiting = waiting.drain(..);
            while let Some(batch) = self.next_batch(&mut waiting, &mut shutdown).await {
                if !self.store(&batch, &mut shutdown).await {
                    return;
                }
            }
        }
    }

    /// Rows of as many records as one transaction takes.
    async fn next_batch(
        &self,
        waiting: &mut impl Iterator<Item = Decoded>,
        shutdown: &mut BoxFuture<'static, ()>,
    ) -> Option<Batch> {
        let mut batch = Batch::default();
        while batch.size < BATCH_BYTES
            && let Some(decoded) = waiting.next()
        {
            while let Err(error) = add(&mut batch, &decoded, &self.shared).await {
                self.shared.progress.troubled(&error);
                if !pause(&error, shutdown).await {
                    return None;
                }
            }
        }
        (!batch.is_empty()).then_some(batch)
    }

    /// Writes until it is written; says whether to go on.
    async fn store(&mut self, batch: &Batch, shutdown: &mut BoxFuture<'static, ()>) -> bool {
        let Some((position, _)) = batch.checkpoint else {
            return true;
        };
        while let Err(error) = self.write(batch).await {
            self.shared.progress.troubled(&error);
            if !pause(&error, shutdown).await {
                return false;
            }
        }
        self.position = position;
        self.shared.progress.projected(position);
        true
    }

    async fn write(&self, batch: &Batch) -> Result<(), ProjectionError> {
        let mut connection = self.shared.database.write().await;
        let generation = *self.shared.generation.read().await;
        write::write(&mut connection, generation, self.position, batch).await
    }
}

/// Takes a record into a batch, loading the keys that sealing it needs.
pub(crate) async fn add(
    batch: &mut Batch,
    decoded: &Decoded,
    shared: &Shared,
) -> Result<(), ProjectionError> {
    while let Err(missing) = batch.add(decoded, &*shared.keyring) {
        shared.keyring.load(&[missing.0].into()).await?;
    }
    Ok(())
}

/// Waits before another try; says whether to try.
pub(crate) async fn pause(error: &ProjectionError, shutdown: &mut BoxFuture<'static, ()>) -> bool {
    if !error.passes() {
        return false;
    }
    tokio::select! {
        () = shutdown => false,
        () = tokio::time::sleep(RETRY_AFTER) => true,
    }
}
