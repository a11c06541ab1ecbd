//! What an agent keeps up to date off its acknowledgements' path: the files on disk and the declarative file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::declarative_file::declarative;
use super::kong_admin::KongAdmin;
use super::replica::Replica;
use super::store::{Store, write_whole};
use super::yaml;
use crate::native::frames::Delta;

/// How many changes share one write to the disk.
const BATCH: usize = 256;
/// How long the declarative file rests at least between two writes, and otherwise as long as the last one took: changes in between
/// are written as one, and a large file doesn't keep a core busy.
const REST: Duration = Duration::from_millis(10);
/// How long a failing file is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What has to reach the disk.
#[derive(Debug)]
pub enum Persist {
    /// A change to append.
    Delta(Delta),
    /// The configuration as a whole, as last published.
    Whole,
}

/// Where a link hands its configurations.
#[derive(Debug)]
pub struct Outputs {
    /// The Kong that has to take a configuration before it is acknowledged.
    pub kong: Option<KongAdmin>,
    /// The newest acknowledged configuration.
    pub newest: watch::Sender<Arc<Replica>>,
    /// What has to reach the disk.
    pub persist: mpsc::Sender<Persist>,
}

/// Keeps the store up to date until the queue ends.
pub async fn keep_on_disk(
    mut store: Store,
    mut queue: mpsc::Receiver<Persist>,
    published: watch::Receiver<Arc<Replica>>,
) {
    let mut batch = Vec::new();
    let mut damaged = false;
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let deltas = std::mem::take(&mut batch);
        let newest = published.borrow().clone();
        let write = move || {
            let written = write_batch(&mut store, deltas, &newest, damaged);
            (store, written)
        };
        let Ok((returned, written)) = tokio::task::spawn_blocking(write).await else {
            return;
        };
        store = returned;
        // After a failure the file's end is unknown: the next write replaces it whole.
        damaged = written.is_err();
        if let Err(error) = written {
            tracing::warn!(%error, "the configuration isn't kept on disk; trying again at the next change");
        }
    }
}

fn write_batch(store: &mut Store, batch: Vec<Persist>, newest: &Replica, damaged: bool) -> io::Result<()> {
    let mut deltas = Vec::with_capacity(batch.len());
    let mut whole = damaged;
    for item in batch {
        match item {
            Persist::Delta(delta) => deltas.push(delta),
            Persist::Whole => whole = true,
        }
    }
    if whole {
        return store.rewrite(newest);
    }
    store.append(&deltas)?;
    if store.wants_compaction() {
        store.rewrite(newest)?;
    }
    Ok(())
}

/// Keeps the declarative file at the newest published configuration; without a file it waits for ever.
pub async fn keep_written(file: Option<PathBuf>, mut published: watch::Receiver<Arc<Replica>>) {
    let Some(file) = file else {
        return std::future::pending().await;
    };
    while published.changed().await.is_ok() {
        let replica = published.borrow_and_update().clone();
        let began = Instant::now();
        if let Err(error) = write_declarative(file.clone(), replica).await {
            tracing::warn!(file = %file.display(), %error, "the declarative file wasn't written; trying again");
            tokio::time::sleep(RETRY).await;
            published.mark_changed();
        }
        tokio::time::sleep(began.elapsed().max(REST)).await;
    }
}

/// Writes the declarative file in one step.
pub async fn write_declarative(file: PathBuf, replica: Arc<Replica>) -> io::Result<()> {
    let write = move || write_whole(&file, declarative_text(&replica).as_bytes());
    tokio::task::spawn_blocking(write)
        .await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

/// Gives Kong the last known configuration at the start, for it may have been restarted meanwhile and then has nothing,
/// and whenever it is restarted later. Never returns.
pub async fn restore_kong(kong: Option<KongAdmin>, replica: Replica, newest: watch::Receiver<Arc<Replica>>) {
    let Some(kong) = kong else {
        return std::future::pending().await;
    };
    if let Some(applied) = replica.applied() {
        match kong.load(replica).await {
            Ok(()) => tracing::info!(version = applied.version, "Kong has the last known configuration"),
            Err(error) => {
                tracing::warn!(version = applied.version, %error, "the last known configuration was refused");
            }
        }
    }
    kong.keep_loaded(newest).await;
}

fn declarative_text(replica: &Replica) -> String {
    let mut heading = "# Written by Runtime Manager's agent; changes made here are lost.\n".to_owned();
    if let (Some(origin), Some(applied)) = (replica.origin(), replica.applied()) {
        let (group, version, digest) = (origin.group, applied.version, applied.digest);
        heading.push_str(&format!(
            "# Runtime group {group}, version {version}, digest {digest}\n"
        ));
    }
    heading + &yaml::document(&declarative(replica))
}
