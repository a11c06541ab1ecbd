//! The projector: writes records with their checkpoint, while this process leads. It follows the reader's feed; where
//! it has fallen behind or is new, it reads the log by itself until it meets the feed.

use std::sync::Arc;
use std::time::Duration;

use domain::{Position, log::ReadError};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;
use tracing::info;

use crate::batch::Batch;
use crate::decoding::{Decoded, Decoder};
use crate::error::ProjectionError;
use crate::feed;
use crate::shared::{Shared, verify_checkpoint};
use crate::write::generations::{self, Resumption};
use crate::write::{self, Held};

/// How many records one transaction takes: one while live, as many as are waiting while catching up.
pub(crate) const BATCH_RECORDS: usize = 4096;

/// After how many bytes of bodies a transaction ends.
pub(crate) const BATCH_BYTES: usize = 32 * 1024 * 1024;

/// The same while live: who waits for one record shall not wait for all the large ones behind it too.
const LIVE_BATCH_BYTES: usize = 128 * 1024;

/// How near the reader must be for the feed to be subscribed to: nearer than it reaches back.
const NEAR: u64 = feed::CAPACITY as u64 / 2;

const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Writes into the generation that is read, under one lease.
pub(crate) struct Projector {
    shared: Arc<Shared>,
    epoch: i64,
    position: Position,
}

/// Where the projector goes on after catching up.
struct Met {
    feed: broadcast::Receiver<Decoded>,
    /// What the feed has brought already.
    first: Option<Decoded>,
}

/// Projects until an error that doesn't pass, or another process has a later lease.
pub(crate) async fn project(shared: &Arc<Shared>, epoch: i64) -> ProjectionError {
    loop {
        let error = tokio::select! {
            result = project_on(shared, epoch) => match result {
                Ok(()) => continue,
                Err(error) => error,
            },
            // Another generation is read: go on with that.
            () = shared.flipped.notified() => continue,
        };
        if !error.passes() {
            return error;
        }
        shared.progress.troubled(&error);
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Goes on from the checkpoint until the feed has run ahead.
async fn project_on(shared: &Arc<Shared>, epoch: i64) -> Result<(), ProjectionError> {
    let mut writer = shared.database.write().await?;
    if !generations::claim(&mut writer, epoch).await? {
        return Err(ProjectionError::Superseded);
    }
    let resumption = generations::resume_live(&mut writer).await?;
    drop(writer);
    verify_checkpoint(&*shared.log, resumption.position, resumption.digest).await?;
    shared.reads(resumption.generation, resumption.position).await;
    let mut projector = Projector {
        shared: Arc::clone(shared),
        epoch,
        position: resumption.position,
    };
    match projector.run(resumption).await {
        // A rebuild by another process has flipped; the next checkpoint is found in what is read now.
        Err(ProjectionError::Fenced { .. }) if shared.database.postgres().is_some() => Ok(()),
        result => result,
    }
}

impl Projector {
    async fn run(&mut self, resumption: Resumption) -> Result<(), ProjectionError> {
        let met = self.catch_up(resumption).await?;
        self.follow_feed(met).await
    }

    /// Reads the log from the checkpoint on until the feed brings what comes next.
    async fn catch_up(&mut self, resumption: Resumption) -> Result<Met, ProjectionError> {
        let shared = Arc::clone(&self.shared);
        let (sender, mut records) = mpsc::channel(BATCH_RECORDS);
        let reading = read(&shared, resumption, sender);
        // Records are opened while earlier ones are being written.
        tokio::select! {
            met = self.write_until_met(&mut records) => met,
            () = async { reading.await; std::future::pending().await } => Err(stopped_sending()),
        }
    }

    async fn write_until_met(
        &mut self,
        records: &mut mpsc::Receiver<Result<Decoded, ProjectionError>>,
    ) -> Result<Met, ProjectionError> {
        let (mut feed, mut first) = (None, None);
        let mut waiting = Vec::new();
        loop {
            if feed.is_none() && self.shared.progress.seen().0 <= self.position.0.saturating_add(NEAR) {
                feed = Some(self.shared.feed.subscribe());
            }
            if let Some(met) = self.meet(&mut feed, &mut first) {
                return Ok(met);
            }
            // What wasn't met yet is in the log, so another record comes.
            records.recv_many(&mut waiting, BATCH_RECORDS).await;
            let mut failure = None;
            let good = waiting
                .drain(..)
                .map_while(|record| record.map_err(|error| failure = Some(error)).ok());
            let mut good: Vec<_> = good.collect();
            self.store_all(&mut good, BATCH_BYTES).await?;
            if let Some(error) = failure {
                return Err(error);
            }
        }
    }

    /// The subscription, if what comes next will come from there.
    fn meet(
        &self,
        feed: &mut Option<broadcast::Receiver<Decoded>>,
        first: &mut Option<Decoded>,
    ) -> Option<Met> {
        let mut receiver = feed.take()?;
        while first.as_ref().is_none_or(|first| first.position <= self.position) {
            match receiver.try_recv() {
                Ok(decoded) => *first = Some(decoded),
                Err(TryRecvError::Empty) => {
                    *first = None;
                    if self.shared.feed.position() <= self.position {
                        return Some(Met {
                            feed: receiver,
                            first: None,
                        });
                    }
                    break;
                }
                // It is subscribed to again when it is near again.
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => {
                    *first = None;
                    return None;
                }
            }
        }
        if first
            .as_ref()
            .is_some_and(|first| first.position == self.position.next())
        {
            return Some(Met {
                feed: receiver,
                first: first.take(),
            });
        }
        *feed = Some(receiver);
        None
    }

    /// Writes what the feed brings; ends where it has run ahead.
    async fn follow_feed(&mut self, met: Met) -> Result<(), ProjectionError> {
        let mut feed = met.feed;
        let mut waiting = Vec::from_iter(met.first);
        loop {
            if waiting.is_empty() {
                match feed.recv().await {
                    Ok(decoded) => waiting.push(decoded),
                    Err(RecvError::Lagged(_)) => return Ok(()),
                    Err(RecvError::Closed) => return Err(ProjectionError::ShuttingDown),
                }
            }
            while waiting.len() < BATCH_RECORDS
                && let Ok(decoded) = feed.try_recv()
            {
                waiting.push(decoded);
            }
            waiting.retain(|decoded| decoded.position > self.position);
            let expected = (self.position.0 + 1..).map(Position);
            if !waiting
                .iter()
                .map(|decoded| decoded.position)
                .eq(expected.take(waiting.len()))
            {
                return Ok(());
            }
            self.store_all(&mut waiting, LIVE_BATCH_BYTES).await?;
        }
    }

    /// Writes records in as many transactions as it takes, each of about so many bytes.
    async fn store_all(
        &mut self,
        records: &mut Vec<Decoded>,
        batch_bytes: usize,
    ) -> Result<(), ProjectionError> {
        let mut records = records.drain(..);
        loop {
            let mut batch = Batch::default();
            while batch.size < batch_bytes
                && let Some(decoded) = records.next()
            {
                add(&mut batch, &decoded, &self.shared).await?;
            }
            let Some((position, _)) = batch.checkpoint else {
                return Ok(());
            };
            self.write(&batch).await?;
            self.position = position;
            self.shared.progress.projected(position);
        }
    }

    async fn write(&self, batch: &Batch) -> Result<(), ProjectionError> {
        let began = Instant::now();
        let mut writer = self.shared.database.write().await?;
        let held = Held {
            generation: *self.shared.generation.read().await,
            epoch: self.epoch,
            position: self.position,
        };
        write::write(&mut writer, held, batch, &*self.shared.keyring).await?;
        measure("rows", began);
        let began = Instant::now();
        writer.shorten_write_ahead_log().await?;
        measure("checkpoint", began);
        if batch.purged_groups().next().is_some() && !writer.empty_write_ahead_log().await? {
            info!(
                "a reader kept the views' write-ahead log from being emptied after a purge; a later checkpoint does it"
            );
        }
        Ok(())
    }
}

fn measure(of: &'static str, began: Instant) {
    metrics::histogram!("runtime_manager_projecting_seconds", "of" => of)
        .record(began.elapsed().as_secs_f64());
}

/// Sends every record after a checkpoint, and at last why there are no more.
async fn read(
    shared: &Shared,
    resumption: Resumption,
    sender: mpsc::Sender<Result<Decoded, ProjectionError>>,
) {
    let (log, keyring) = (Arc::clone(&shared.log), Arc::clone(&shared.keyring));
    let mut records = log.follow(resumption.position);
    let mut decoder = Decoder::resumed(log, keyring, resumption.position, resumption.ends);
    let mut next = async || {
        let record = records.next().await.ok_or_else(stopped_sending)??;
        let checked = decoder.check(&record).await?;
        decoder.open(&checked).await
    };
    loop {
        let decoded = next().await;
        let last = decoded.is_err();
        if sender.send(decoded).await.is_err() || last {
            return;
        }
    }
}

fn stopped_sending() -> ProjectionError {
    ProjectionError::Log(ReadError::Unavailable("it stopped sending records".to_owned()))
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
