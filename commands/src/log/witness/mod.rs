//! The witness: what this process has seen of the log, kept outside of it, so that a log that loses its tail or is written
//! anew is noticed at the next start, and by `log verify` at the very record.
//!
//! - [`files`]: `head.json`, the signed head, and `witness`, the running digest after every record.
//! - [`follower`]: the task that keeps both current.
//!
//! Every process witnesses for itself, in its own data directory.

mod files;
mod follower;

use std::path::Path;
use std::sync::Arc;

use domain::log::ReadError;
use domain::signing::SigningKey;
use domain::{Clock, Digest, EventLog, Position, Spawner};
use futures::StreamExt;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use self::files::Files;
use self::follower::Follower;
use super::head::{HeadError, SignedHead, running_digest};

pub use self::files::{HEAD_FILE, WITNESS_FILE, WitnessReader, WitnessedHead, read_head};

/// The newest head that was signed, for whoever wants to show it; none before the first.
pub type Heads = watch::Receiver<Option<SignedHead>>;

/// Why a log isn't the one that was witnessed here.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// `head.json` isn't what this installation signed.
    #[error(
        "{path}: {source}; put the file back, or remove it to have it made anew once `log verify` finds the log whole"
    )]
    Head {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: HeadError,
    },
    /// The log is shorter than it was.
    #[error(
        "the log has lost its tail: it ends at {tail}, but position {head} was signed in {path}; find the newer log or restore it from an \
         export. If the loss is accepted, remove {path}"
    )]
    LostTail {
        /// Where the log ends.
        tail: Position,
        /// What was signed.
        head: Position,
        /// The head's file.
        path: String,
    },
    /// Already the first record is another one.
    #[error(
        "the log is another one than {path} was signed for: put the right log back or restore it from an export. If this log is the right \
         one, remove {path}"
    )]
    OtherLog {
        /// The head's file.
        path: String,
    },
    /// What was signed isn't what the log holds.
    #[error(
        "the log was rewritten: what it holds up to position {position} is not what was signed in {path}; `log verify` names the record. \
         Restore the log from an export"
    )]
    Rewritten {
        /// What was signed.
        position: Position,
        /// The head's file.
        path: String,
    },
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] ReadError),
}

/// A log that was compared with what was witnessed of it, ready to be followed further.
pub struct Witness {
    log: Arc<dyn EventLog>,
    signing: Arc<SigningKey>,
    files: Arc<Files>,
    position: Position,
    digest: Digest,
    head: Option<SignedHead>,
}

impl Witness {
    /// Compares the log with the head in this directory. Do this before anything is appended.
    pub async fn compare(
        directory: &Path,
        log: Arc<dyn EventLog>,
        signing: Arc<SigningKey>,
    ) -> Result<Self, WitnessError> {
        let files = Arc::new(Files::open(directory)?);
        let tail = log.tail().await?;
        let head = match read_head(directory)? {
            WitnessedHead::Signed(head) => head,
            WitnessedHead::Missing => {
                if tail > Position::START {
                    let path = files.head_path();
                    warn!(
                        "{path} isn't there: what was signed before isn't known, the whole log is witnessed anew"
                    );
                }
                files.clear()?;
                return Ok(Self {
                    log,
                    signing,
                    files,
                    position: Position::START,
                    digest: Digest::ZERO,
                    head: None,
                });
            }
        };
        head.check(&signing.public())
            .map_err(|source| files.bad_head(source))?;
        compare(&*log, tail, &head, &files).await?;
        Ok(Self {
            log,
            signing,
            files,
            position: head.head.position,
            digest: head.head.digest,
            head: Some(head),
        })
    }

    /// Follows the log from here on and signs its head whenever something new is durable. `log_id` is the log's identity.
    pub fn follow(self, log_id: Uuid, clock: Arc<dyn Clock>, spawner: &dyn Spawner) -> Heads {
        let (heads, watched) = watch::channel(self.head);
        let follower = Follower::new(self, log_id, clock, heads);
        spawner.spawn("witness", Box::pin(follower.run(spawner.shutdown())));
        watched
    }
}

/// Compares the log's record at the head with what was signed. That costs two records, unless the file of digests is
/// shorter than the head: then it is first continued from the log.
async fn compare(
    log: &dyn EventLog,
    tail: Position,
    head: &SignedHead,
    files: &Files,
) -> Result<(), WitnessError> {
    let signed = head.head;
    let path = files.head_path();
    if tail < signed.position {
        return Err(WitnessError::LostTail {
            tail,
            head: signed.position,
            path,
        });
    }
    let first = log.record_at(Position(1)).await?;
    let witnessed_first = files.digest_at(Position(1))?;
    let first = first.map(|record| running_digest(Digest::ZERO, &record));
    if witnessed_first.is_some() && first != witnessed_first {
        return Err(WitnessError::OtherLog { path });
    }
    let mut position = files.last()?.min(Position(signed.position.0 - 1));
    let mut digest = files.digest_at(position)?.unwrap_or(Digest::ZERO);
    let mut records = log.follow(position);
    while position < signed.position {
        let ended = || ReadError::Unavailable("the log was closed".to_owned());
        let record = records.next().await.ok_or_else(ended)??;
        digest = running_digest(digest, &record);
        position = record.position;
        files.write_digests(position, &digest.0)?;
    }
    if digest != signed.digest {
        return Err(WitnessError::Rewritten {
            position: signed.position,
            path,
        });
    }
    Ok(())
}
