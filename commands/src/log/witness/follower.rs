//! The task that follows the log and signs its head: at once when something new is durable, at most every 50 ms.

use std::sync::Arc;
use std::time::Duration;

use domain::log::ReadError;
use domain::{Clock, Digest, Position, Record};
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, warn};
use uuid::Uuid;

use super::files::Files;
use super::{Witness, WitnessError};
use crate::log::head::{LogHead, SignedHead, running_digest};

/// The shortest time between two signatures.
const BETWEEN_SIGNATURES: Duration = Duration::from_millis(50);
/// The pause after something failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end of the program may wait for the last records to be witnessed.
const LAST_RECORDS: Duration = Duration::from_secs(2);

pub(super) struct Follower {
    witness: Witness,
    log_id: Uuid,
    clock: Arc<dyn Clock>,
    heads: watch::Sender<Option<SignedHead>>,
    /// The digests since the last signature.
    unwritten: Vec<u8>,
    /// Not before this the next signature.
    due: Instant,
    /// Whether the last attempt to write failed, and was reported.
    failing: bool,
}

impl Follower {
    pub(super) fn new(
        witness: Witness,
        log_id: Uuid,
        clock: Arc<dyn Clock>,
        heads: watch::Sender<Option<SignedHead>>,
    ) -> Self {
        Self {
            witness,
            log_id,
            clock,
            heads,
            unwritten: Vec::new(),
            due: Instant::now(),
            failing: false,
        }
    }

    /// Follows until the end of the program, and then to the end of the log.
    pub(super) async fn run(mut self, mut shutdown: BoxFuture<'static, ()>) {
        while let Some(ended) = self.follow(&mut shutdown).await {
            let ReadError::Unavailable(_) = ended else {
                error!(%ended, "the log can't be witnessed any further");
                return;
            };
            tokio::select! {
                () = &mut shutdown => break,
                () = sleep(PAUSE) => {}
            }
        }
        if timeout(LAST_RECORDS, self.catch_up()).await.is_err() {
            warn!(position = %self.witness.position, "the log's last records weren't witnessed in time");
        }
        self.sign(Durable::Synced).await;
    }

    /// Witnesses and signs until the end of the program, or answers why the log can't be followed.
    async fn follow(&mut self, shutdown: &mut BoxFuture<'static, ()>) -> Option<ReadError> {
        let mut records = self.witness.log.follow(self.witness.position);
        loop {
            tokio::select! {
                biased;
                () = &mut *shutdown => return None,
                () = sleep_until(self.due), if !self.unwritten.is_empty() => self.sign(Durable::Written).await,
                record = records.next() => match record {
                    Some(Ok(record)) => self.take(&record),
                    Some(Err(error)) => return Some(error),
                    None => return Some(ReadError::Unavailable("the log was closed".to_owned())),
                },
            }
        }
    }

    /// Witnesses what is durable by now.
    async fn catch_up(&mut self) {
        let Ok(tail) = self.witness.log.tail().await else {
            return;
        };
        let mut records = self.witness.log.follow(self.witness.position);
        while self.witness.position < tail
            && let Some(Ok(record)) = records.next().await
        {
            self.take(&record);
        }
    }

    fn take(&mut self, record: &Record) {
        self.witness.digest = running_digest(self.witness.digest, record);
        self.witness.position = record.position;
        self.unwritten.extend_from_slice(&self.witness.digest.0);
    }

    /// Writes the digests and a head for the last of them; what fails is tried again with the next one.
    async fn sign(&mut self, durable: Durable) {
        let head = LogHead {
            log: self.log_id,
            position: self.witness.position,
            digest: self.witness.digest,
            at: self.clock.now(),
        };
        let (signing, files) = (Arc::clone(&self.witness.signing), Arc::clone(&self.witness.files));
        let digests = self.unwritten.clone();
        let write = move || -> Result<SignedHead, WitnessError> {
            let signed = SignedHead::sign(head, &signing);
            write(&files, &signed, &digests)?;
            if durable == Durable::Synced {
                files.sync()?;
            }
            Ok(signed)
        };
        let written = tokio::task::spawn_blocking(write)
            .await
            .expect("writing files doesn't panic");
        match written {
            Ok(signed) => {
                if !self.unwritten.is_empty() {
                    self.heads.send_replace(Some(signed));
                }
                self.unwritten.clear();
                self.failing = false;
                self.due = Instant::now() + BETWEEN_SIGNATURES;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    warn!(%error, "the log's head can't be written; it is tried again");
                }
                self.due = Instant::now() + PAUSE;
            }
        }
    }
}

/// How far what is written must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durable {
    /// To the operating system, which holds nobody up.
    Written,
    /// To the disk.
    Synced,
}

/// Digests first: the file of digests is never behind the head unless the machine loses power.
fn write(files: &Files, signed: &SignedHead, digests: &[u8]) -> Result<(), WitnessError> {
    let count = (digests.len() / size_of::<Digest>()) as u64;
    if count == 0 {
        return Ok(());
    }
    let first = Position(signed.head.position.0 - count + 1);
    files.write_digests(first, digests)?;
    files.write_head(signed)
}
