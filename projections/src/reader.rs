//! The reader: the process's one follower of the log. Checks each record, opens those that somebody wants, and hands
//! them first to the live groups, which somebody's instances wait for, then to whoever follows the feed. It waits for
//! nobody.

use std::sync::Arc;

use domain::{Record, log::ReadError};
use futures::StreamExt;
use futures::future::BoxFuture;

use crate::decoding::{Checked, Decoder};
use crate::error::ProjectionError;
use crate::live::LiveGroups;
use crate::projector::pause;
use crate::shared::Shared;

/// Follows the log from a checkpoint on.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    decoder: Decoder,
    live: LiveGroups,
    /// A record that is checked, but couldn't be opened yet.
    held_back: Option<Checked>,
}

impl Reader {
    /// Goes on where the decoder stands.
    pub(crate) const fn new(shared: Arc<Shared>, decoder: Decoder, live: LiveGroups) -> Self {
        Self {
            shared,
            decoder,
            live,
            held_back: None,
        }
    }

    /// Reads until the process ends, or an error that doesn't pass.
    pub(crate) async fn run(mut self, mut shutdown: BoxFuture<'static, ()>) {
        loop {
            let error = tokio::select! {
                () = &mut shutdown => return,
                error = self.follow() => error,
            };
            self.shared.progress.troubled(&error);
            if !pause(&error, &mut shutdown).await {
                return;
            }
        }
    }

    async fn follow(&mut self) -> ProjectionError {
        if let Err(error) = self.hand_out().await {
            return error;
        }
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
        self.held_back = Some(self.decoder.check(&record).await?);
        self.hand_out().await
    }

    async fn hand_out(&mut self) -> Result<(), ProjectionError> {
        let Some(checked) = &self.held_back else {
            return Ok(());
        };
        let followed = self.shared.feed.takes(checked.position);
        if followed || self.live.wants(checked.boundary) {
            let decoded = self.decoder.open(checked).await?;
            if let Some(commit) = &decoded.commit {
                self.live.feed(commit);
            }
            self.shared.feed.send(decoded);
        }
        self.held_back = None;
        Ok(())
    }
}
