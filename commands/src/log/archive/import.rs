//! Reads an exported log into an empty one, or into one that holds the beginning of it.

use std::collections::HashMap;

use bytes::Bytes;
use domain::keyring::KeyringError;
use domain::log::{AppendError, Placed, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::AsyncRead;
use uuid::Builder;

use super::Progress;
use super::frame::{End, Frame, FrameError, FrameReader, Header, Record};
use crate::keyring::{KeyPages, PageAddress};

/// How many records are appended together at most.
const BATCH_RECORDS: usize = 500;

/// After how many bytes no further record is appended together with others.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How often an append without a definite answer is sent again.
const ATTEMPTS: u32 = 20;

/// The pause between two of them.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// Why an import failed. What was imported stays; the same import continues there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] FrameError),
    /// The pieces of the file aren't in their order.
    #[error("the file is not an export of this version: {0}")]
    Form(&'static str),
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The log doesn't take a record.
    #[error("position {position}: {source}")]
    Append {
        /// Which record.
        position: Position,
        /// Why.
        source: AppendError,
    },
    /// The log holds something else.
    #[error(
        "position {0}: this log holds another record there: import into an empty log, or into one with the beginning of the same"
    )]
    OtherLog(Position),
    /// The log holds more than the file.
    #[error(
        "this log ends at {found}, after the last exported record {last}: the file is older than the log"
    )]
    Longer {
        /// Where the log ends.
        found: Position,
        /// Where the file ends.
        last: Position,
    },
    /// The keyring doesn't take a page.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The file has keys and nobody to take them.
    #[error("the file has keys, but no keyring was given to take them")]
    NoKeyring,
}

/// What was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The identity of the log that was exported.
    pub identity: String,
    /// How many records the log holds now.
    pub records: u64,
    /// How many of them it held before.
    pub already: u64,
    /// How many pages of keys were read.
    pub pages: u64,
}

/// Imports a file. Positions, boundaries and bytes end up as they were exported; keys that are destroyed on either
/// side are destroyed afterwards.
pub async fn import(
    log: &dyn EventLog,
    keyring: Option<&dyn KeyPages>,
    input: impl AsyncRead + Unpin,
    progress: impl FnMut(Progress),
) -> Result<Imported, ImportError> {
    let mut file = FrameReader::begin(input).await?;
    let Frame::Header(header) = file.read().await? else {
        return Err(ImportError::Form("it has no header"));
    };
    if header.keys && keyring.is_none() {
        return Err(ImportError::NoKeyring);
    }
    let already = log.tail().await?;
    if already > header.last {
        return Err(ImportError::Longer {
            found: already,
            last: header.last,
        });
    }
    let target = Target {
        log,
        present: log.follow(Position::START),
        already,
        last: HashMap::new(),
        waiting: Vec::new(),
        waiting_bytes: 0,
    };
    let mut reading = Reading {
        file,
        keyring,
        target,
        header: &header,
    };
    let read = reading.read_all(progress).await;
    // What a file that is cut off had before is worth keeping.
    reading.target.flush().await?;
    let end = read?;
    Ok(Imported {
        already: already.0,
        records: end.records,
        pages: end.pages,
        identity: header.identity,
    })
}

/// One pass through the file.
struct Reading<'a, R> {
    file: FrameReader<R>,
    keyring: Option<&'a dyn KeyPages>,
    target: Target<'a>,
    header: &'a Header,
}

impl<R: AsyncRead + Unpin> Reading<'_, R> {
    /// Reads to the end, which must confirm what was read.
    async fn read_all(&mut self, mut progress: impl FnMut(Progress)) -> Result<End, ImportError> {
        let mut seen = End { records: 0, pages: 0 };
        loop {
            match self.file.read().await? {
                Frame::Page(page) => {
                    let keyring = self.keyring.ok_or(ImportError::NoKeyring)?;
                    let address = PageAddress {
                        boundary: page.boundary,
                        number: page.number,
                    };
                    keyring.import(address, &page.sealed).await?;
                    seen.pages += 1;
                }
                Frame::Record(record) => {
                    let position = record.position;
                    if position.0 != seen.records + 1 {
                        return Err(ImportError::Form("its records have a gap"));
                    }
                    self.target.take(record).await?;
                    seen.records += 1;
                    progress(Progress {
                        position,
                        last: self.header.last,
                    });
                }
                Frame::End(end) if end == seen && end.records == self.header.last.0 => return Ok(end),
                Frame::End(_) => return Err(ImportError::Form("it has other counts than its end says")),
                Frame::Header(_) => return Err(ImportError::Form("it has two headers")),
            }
        }
    }
}

/// The log that is filled.
struct Target<'a> {
    log: &'a dyn EventLog,
    /// What it held before.
    present: BoxStream<'static, Result<domain::Record, ReadError>>,
    already: Position,
    last: HashMap<Boundary, Position>,
    /// Records that are read and not yet appended.
    waiting: Vec<Placed>,
    waiting_bytes: usize,
}

impl Target<'_> {
    /// Takes the next record: compares it with what the log holds there, or appends it with the ones after it.
    async fn take(&mut self, record: Record) -> Result<(), ImportError> {
        let Record {
            position,
            boundary,
            bytes,
        } = record;
        let record = domain::Record {
            position,
            boundary,
            bytes: Bytes::from(bytes),
        };
        let expected = Expected::after(self.last.insert(boundary, position));
        if position <= self.already {
            return self.compare(&record).await;
        }
        self.waiting_bytes += record.bytes.len();
        self.waiting.push(Placed {
            id: commit_id(&record),
            expected,
            record,
        });
        if self.waiting.len() < BATCH_RECORDS && self.waiting_bytes < BATCH_BYTES {
            Ok(())
        } else {
            self.flush().await
        }
    }

    async fn compare(&mut self, record: &domain::Record) -> Result<(), ImportError> {
        let ended = || ReadError::Unavailable("the log was closed during the import".to_owned());
        let present = self.present.next().await.ok_or_else(ended)??;
        if present == *record {
            Ok(())
        } else {
            Err(ImportError::OtherLog(record.position))
        }
    }

    /// Appends what waits. After an answer that isn't definite it looks what is stored and goes on there.
    async fn flush(&mut self) -> Result<(), ImportError> {
        self.waiting_bytes = 0;
        let mut records = std::mem::take(&mut self.waiting);
        for attempt in 0.. {
            let Some(first) = records.first() else { break };
            let position = first.record.position;
            let Err(source) = self.log.append_at(records.clone()).await else {
                break;
            };
            let definite = !matches!(
                source,
                AppendError::Unknown(_) | AppendError::Away(_) | AppendError::Conflict
            );
            if definite || attempt == ATTEMPTS {
                return Err(ImportError::Append { position, source });
            }
            tokio::time::sleep(PAUSE).await;
            records = self.not_stored(records).await?;
        }
        Ok(())
    }

    /// Leaves out the records that the log holds by now.
    async fn not_stored(&self, records: Vec<Placed>) -> Result<Vec<Placed>, ImportError> {
        let mut missing = Vec::new();
        for placed in records {
            match self.log.record_at(placed.record.position).await? {
                Some(stored) if stored == placed.record => {}
                Some(_) => return Err(ImportError::OtherLog(placed.record.position)),
                None => missing.push(placed),
            }
        }
        Ok(missing)
    }
}

/// An id made of what is stored, the same at every attempt.
fn commit_id(record: &domain::Record) -> CommitId {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&record.position.0.to_le_bytes())
        .update(&record.bytes);
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    CommitId(Builder::from_random_bytes(id).into_uuid())
}
