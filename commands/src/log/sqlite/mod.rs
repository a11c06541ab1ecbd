//! The log of one machine: the file `log.db` through SQLite, with a write-ahead log and an fsync before every answer.
//!
//! [`writer`] is the one task that appends and lets all boundaries share a transaction; [`reader`] reads in pages or
//! from [`recent`]; [`storage`] is the file as the writer sees it.

mod reader;
mod recent;
mod ring;
mod storage;
mod writer;

#[cfg(test)]
mod faults;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::log::{AppendError, Placed, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record};
use futures::stream::BoxStream;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::sync::{mpsc, oneshot};

use self::reader::Reader;
use self::recent::Recent;
use self::storage::{SqliteStorage, Storage, StorageError, connect_options, sync_files};
use self::writer::{Append, Placement, QUEUE, Request, Writer};
use super::invariants::check_size;
use crate::entropy;
use crate::opened_file::{OpenedFile, make_private};
use crate::tasks::Tasks;

/// How many connections read.
const READERS: u32 = 4;

/// How many rows a connection reads ahead.
const READ_AHEAD: usize = 64;

/// The way back from the writer.
type Answer = oneshot::Sender<Result<Position, AppendError>>;

/// Why `log.db` could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}; check that the directory exists, belongs to this user and has space left")]
pub struct OpenError {
    path: String,
    reason: String,
}

/// An [`EventLog`] in one SQLite file. Open it once per process, and in one process only.
#[derive(Debug)]
pub struct SqliteLog {
    queue: mpsc::Sender<Request>,
    recent: Arc<Recent>,
    reader: Reader,
    identity: String,
}

impl SqliteLog {
    /// Opens or creates the file. It grows to at most `max_bytes`, if given; beyond that appends answer `Full`.
    /// When the tasks' token is cancelled, appends that wait are finished and later ones refused.
    pub async fn open(path: &Path, max_bytes: Option<u64>, tasks: &Tasks) -> Result<Self, OpenError> {
        Self::open_with(path, max_bytes, tasks, |storage| storage).await
    }

    /// Opens an existing file to read what it holds by now, also while another process appends to it. Appends are refused.
    pub async fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        let options = connect_options(path).create_if_missing(false).read_only(true);
        let opened = async {
            let pool = SqlitePoolOptions::new()
                .max_connections(READERS)
                .connect_with(options.row_buffer_size(READ_AHEAD))
                .await?;
            let identity = sqlx::query_scalar("SELECT identity FROM identity")
                .fetch_one(&pool)
                .await?;
            let tail: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM record")
                .fetch_one(&pool)
                .await?;
            Ok::<_, sqlx::Error>((pool, identity, Position(tail.cast_unsigned())))
        };
        let (pool, identity, tail) = opened.await.map_err(|error| OpenError {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let recent = Arc::new(Recent::new(tail));
        // Nobody takes from this queue: whoever appends is refused.
        let (queue, _) = mpsc::channel(1);
        Ok(Self {
            queue,
            reader: Reader::new(pool, recent.clone()),
            recent,
            identity,
        })
    }

    /// As [`Self::open`], with something between the writer and the file.
    async fn open_with<S: Storage>(
        path: &Path,
        max_bytes: Option<u64>,
        tasks: &Tasks,
        wrap: impl FnOnce(SqliteStorage) -> S,
    ) -> Result<Self, OpenError> {
        let refused = |reason: String| OpenError {
            path: path.display().to_string(),
            reason,
        };
        let options = connect_options(path);
        let prepared = async {
            sync_files(path).await?;
            make_private(path)?;
            let mut storage = SqliteStorage::open(options.clone(), max_bytes).await?;
            migrations::log::migrator()
                .run(&mut *storage.connection())
                .await?;
            let identity = identity(storage.connection()).await?;
            let readers = options.pragma("query_only", "ON").row_buffer_size(READ_AHEAD);
            let pool = SqlitePoolOptions::new()
                .max_connections(READERS)
                .connect_with(readers)
                .await?;
            storage.watch(OpenedFile::of(path)?);
            Ok::<_, sqlx::Error>((storage, identity, pool))
        };
        let (mut storage, identity, pool) = prepared.await.map_err(|error| refused(error.to_string()))?;
        let tail = storage
            .tail()
            .await
            .map_err(|error: StorageError| refused(error.to_string()))?;
        let recent = Arc::new(Recent::new(tail));
        let (queue, appends) = mpsc::channel(QUEUE);
        let writer = Writer::new(wrap(storage), recent.clone(), tail);
        tasks.spawn("log writer", writer.run(appends, tasks.token().clone()));
        let reader = Reader::new(pool, recent.clone());
        Ok(Self {
            queue,
            recent,
            reader,
            identity,
        })
    }

    /// Hands the writer a request and waits for its answer.
    async fn ask_writer(&self, request: impl FnOnce(Answer) -> Request) -> Result<Position, AppendError> {
        let (answer, answered) = oneshot::channel();
        if self.queue.send(request(answer)).await.is_err() {
            return Err(AppendError::Refused(
                "the log is closed: the program is shutting down, or only reads it".to_owned(),
            ));
        }
        answered
            .await
            .unwrap_or_else(|_| Err(AppendError::Unknown("the log's writer ended".to_owned())))
    }

    /// A text that stays the same as long as this is the same log; another file has another one.
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

/// The file's identity, made at its creation.
async fn identity(connection: &mut sqlx::SqliteConnection) -> sqlx::Result<String> {
    let fresh = blake3::Hash::from_bytes(entropy::seed()).to_hex();
    sqlx::query("INSERT INTO identity (one, identity) VALUES (1, $1) ON CONFLICT DO NOTHING")
        .bind(fresh.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("SELECT identity FROM identity")
        .fetch_one(connection)
        .await
}

#[async_trait]
impl EventLog for SqliteLog {
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        _id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError> {
        check_size(record.len(), self.record_limit())?;
        let ask = |answer| {
            Request::Append(Append {
                boundary,
                expected,
                bytes: record,
                answer,
            })
        };
        self.ask_writer(ask).await
    }

    async fn append_at(&self, records: Vec<Placed>) -> Result<(), AppendError> {
        self.ask_writer(|answer| Request::Place(Placement { records, answer }))
            .await
            .map(drop)
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        self.reader.follow(after)
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        self.reader.read_boundary(boundary, after)
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        self.reader.record_at(position).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        Ok(self.recent.tail())
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        self.reader.boundary_tail(boundary).await
    }

    /// The file's own structure, and the column that guards appends.
    async fn check_storage(&self) -> Result<(), ReadError> {
        self.reader.check_storage().await
    }
}
