//! Reads an exported log into an empty one, or into one that holds the beginning of it.

use std::collections::HashMap;

use bytes::Bytes;
use domain::keyring::KeyringError;
use domain::log::{AppendError, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position};
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::io::AsyncRead;
use uuid::Builder;

use super::Progress;
use super::frame::{End, Frame, FrameError, FrameReader, Header, Record};
use crate::keyring::{KeyPages, PageAddress};

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
    /// Somebody else writes to the log.
    #[error(
        "the record of position {expected} was stored at {found}: somebody else writes to this log; stop that and import into an empty one"
    )]
    NotAlone {
        /// Where it belongs.
        expected: Position,
        /// Where it is.
        found: Position,
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
    };
    let read = Reading {
        file,
        keyring,
        target,
        header: &header,
    };
    let end = read.all(progress).await?;
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
    async fn all(mut self, mut progress: impl FnMut(Progress)) -> Result<End, ImportError> {
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
}

impl Target<'_> {
    /// Makes sure that the log holds this record at its position.
    async fn take(&mut self, record: Record) -> Result<(), ImportError> {
        let position = record.position;
        if position <= self.already {
            self.compare(&record).await?;
        } else {
            self.append(&record).await?;
        }
        self.last.insert(record.boundary, position);
        Ok(())
    }

    async fn compare(&mut self, record: &Record) -> Result<(), ImportError> {
        let ended = || ReadError::Unavailable("the log was closed during the import".to_owned());
        let present = self.present.next().await.ok_or_else(ended)??;
        if present.boundary != record.boundary || present.bytes != record.bytes {
            return Err(ImportError::OtherLog(record.position));
        }
        Ok(())
    }

    /// Appends and checks the position; an unknown outcome is resolved by sending the same again and by reading.
    async fn append(&mut self, record: &Record) -> Result<(), ImportError> {
        let expected = Expected::after(self.last.get(&record.boundary).copied());
        let id = CommitId(Builder::from_random_bytes(id_bytes(record)).into_uuid());
        let bytes = Bytes::from(record.bytes.clone());
        let mut attempt = 0;
        loop {
            let source = match self
                .log
                .append(record.boundary, expected, id, bytes.clone())
                .await
            {
                Ok(found) if found == record.position => return Ok(()),
                Ok(found) => {
                    return Err(ImportError::NotAlone {
                        expected: record.position,
                        found,
                    });
                }
                Err(AppendError::Conflict) => return self.confirm(record).await,
                Err(source) => source,
            };
            attempt += 1;
            if attempt > ATTEMPTS || !matches!(source, AppendError::Unknown(_)) {
                return Err(ImportError::Append {
                    position: record.position,
                    source,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// After a conflict: the record may be there because an earlier, unanswered append stored it.
    async fn confirm(&self, record: &Record) -> Result<(), ImportError> {
        match self.log.record_at(record.position).await? {
            Some(stored) if stored.boundary == record.boundary && stored.bytes == record.bytes => Ok(()),
            Some(_) => Err(ImportError::OtherLog(record.position)),
            None => Err(ImportError::Append {
                position: record.position,
                source: AppendError::Conflict,
            }),
        }
    }
}

/// An id made of what is stored, the same at every attempt.
fn id_bytes(record: &Record) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&record.position.0.to_le_bytes())
        .update(&record.bytes);
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    id
}
