//! The reader: the process's one follower of the log. Decodes each commit once and hands it first to the live groups,
//! which somebody's instances wait for, then to the projector.

use std::sync::Arc;

use domain::{Record, log::ReadError};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

use crate::decoding::{Decoded, Decoder};
use crate::error::ProjectionError;
use crate::live::LiveGroups;
use crate::projector::pause;
use crate::shared::Shared;

/// Follows the log from a checkpoint on.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    decoder: Decoder,
    live: LiveGroups,
    projector: mpsc::Sender<Decoded>,
}

impl Reader {
    /// Goes on where the decoder stands.
    pub(crate) const fn new(
        shared: Arc<Shared>,
        decoder: Decoder,
        live: LiveGroups,
        projector: mpsc::Sender<Decoded>,
    ) -> Self {
        Self {
            shared,
            decoder,
            live,
            projector,
        }
    }

    /// Reads until the process ends, or an error that doesn't pass.
    pub(crate) async fn run(mut self, mut shutdown: BoxFuture<'static, ()>) {
        loop {
            let error = tokio::select! {
                () = &mut shutdown => return,
                error = self.follow() => error,
            };
            if error == ProjectionError::ShuttingDown {
                return;
            }
            self.shared.progress.troubled(&error);
            if !pause(&error, &mut shutdown).await {
                return;
            }
        }
    }

    async fn follow(&mut self) -> ProjectionError {
        let mut records = self.shared.log.follow(self.decoder.position());
        while let Some(record) = records.next().await {
            if let Err(error) = self.take(record).await {
                return error;
            }
        }
        ProjectionError::Log(ReadError::Unavailable("it stopped sending records".to_owned()))
    }

    async fn take(&mut self, record: Result<Record, ReadError>) -> Result<(), ProjectionError> {
        let record = record?;
        self.shared.progress.saw(record.position);
        let decoded = self.decoder.decode(&record).await?;
        if let Some(commit) = &decoded.commit {
            self.live.feed(commit);
        }
        self.projector
            .send(decoded)
            .await
            .map_err(|_| ProjectionError::ShuttingDown)
    }
}
