//! Writes a log and its keyring into one file.

use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::{EventLog, Position};
use futures::StreamExt;
use tokio::io::AsyncWrite;

use super::Progress;
use super::frame::{End, Frame, FrameError, FrameWriter, Header, Page, Record};
use crate::keyring::KeyPages;

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The keyring can't be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The file can't be written.
    #[error(transparent)]
    File(#[from] FrameError),
}

/// What was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// How many records.
    pub records: u64,
    /// How many pages of keys.
    pub pages: u64,
}

/// Exports every record that is durable when this is called. `keyring: None` leaves the keys out: then nobody can read
/// the secrets in it, nor undo an erasure. Pages come first: each key was durable before the record that needs it.
pub async fn export(
    log: &dyn EventLog,
    identity: &str,
    keyring: Option<&dyn KeyPages>,
    output: impl AsyncWrite + Unpin,
    mut progress: impl FnMut(Progress),
) -> Result<Exported, ExportError> {
    let last = log.tail().await?;
    let mut file = FrameWriter::begin(output).await?;
    file.write(&Frame::Header(Header {
        identity: identity.to_owned(),
        last,
        keys: keyring.is_some(),
    }))
    .await?;
    let pages = match keyring {
        Some(keyring) => keyring.export().await?,
        None => Vec::new(),
    };
    let counts = End {
        records: last.0,
        pages: pages.len() as u64,
    };
    for (address, sealed) in pages {
        file.write(&Frame::Page(Page {
            boundary: address.boundary,
            number: address.number,
            sealed,
        }))
        .await?;
    }
    let mut records = log.follow(Position::START);
    let mut position = Position::START;
    while position < last {
        let ended = || ReadError::Unavailable("the log was closed during the export".to_owned());
        let record = records.next().await.ok_or_else(ended)??;
        position = record.position;
        let bytes = record.bytes.to_vec();
        file.write(&Frame::Record(Record {
            position,
            boundary: record.boundary,
            bytes,
        }))
        .await?;
        progress(Progress { position, last });
    }
    file.write(&Frame::End(counts)).await?;
    file.finish().await?;
    Ok(Exported {
        records: counts.records,
        pages: counts.pages,
    })
}
