//! What the writer needs of the file, and the file itself: one connection that alone appends.

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use domain::{Boundary, Position, Record};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection};
use tokio::fs::File;

use crate::opened_file::OpenedFile;

/// SQLite's primary result code for "no space left", on disk or under its own page limit.
const SQLITE_FULL: &str = "13";

/// The size of a page of the file in bytes, SQLite's default.
const PAGE_BYTES: u64 = 4096;

/// A record on its way into the file, with the position its boundary had before it.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) previous: Position,
}

/// Why the file didn't take the rows.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// No space left; SQLite has undone the statement.
    #[error("{0}")]
    Full(String),
    /// Anything else: what is durable is not known until the file has been opened again.
    #[error("{0}")]
    Failed(String),
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        let full = error
            .as_database_error()
            .is_some_and(|error| error.code().as_deref() == Some(SQLITE_FULL));
        if full {
            Self::Full(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

/// The file as the writer sees it; the tests put faults in between.
pub(super) trait Storage: Send + 'static {
    /// Stores all rows in one durable transaction, or none.
    fn insert(&mut self, rows: &[Row]) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// The newest position of all.
    fn tail(&mut self) -> impl Future<Output = Result<Position, StorageError>> + Send;

    /// The newest position of one boundary; [`Position::START`] if it has none.
    fn boundary_tail(
        &mut self,
        boundary: Boundary,
    ) -> impl Future<Output = Result<Position, StorageError>> + Send;

    /// Opens the file again after a failure and makes everything durable that it then holds.
    fn reopen(&mut self) -> impl Future<Output = Result<(), StorageError>> + Send;

    /// Leaves everything in the one file, after the last record.
    fn finish(&mut self) -> impl Future<Output = Result<(), StorageError>> + Send;
}

/// `log.db` through the one connection that appends.
pub(super) struct SqliteStorage {
    options: SqliteConnectOptions,
    connection: SqliteConnection,
    /// Which file it is; noted once it is there as a whole.
    opened: Option<OpenedFile>,
}

/// How every connection to the file is opened: a write-ahead log, each commit on the disk before it answers.
pub(super) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// Syncs what a process that was killed had written and not synced: whatever is read from here on is durable.
pub(super) async fn sync_files(path: &Path) -> std::io::Result<()> {
    let mut write_ahead_log = path.as_os_str().to_owned();
    write_ahead_log.push("-wal");
    for file in [path.as_os_str(), &write_ahead_log] {
        match File::open(file).await {
            Ok(file) => file.sync_all().await?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl SqliteStorage {
    /// Opens the file; it grows to at most `max_bytes`, if given.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        max_bytes: Option<u64>,
    ) -> Result<Self, sqlx::Error> {
        let mut options = options
            .pragma("wal_autocheckpoint", "4000")
            .statement_cache_capacity(256);
        if let Some(max_bytes) = max_bytes {
            options = options.pragma("max_page_count", (max_bytes / PAGE_BYTES).max(1).to_string());
        }
        let connection = options.connect().await?;
        Ok(Self {
            options: options.create_if_missing(false),
            connection,
            opened: None,
        })
    }

    /// Acknowledges nothing from now on unless the file still stands under its name.
    pub(super) fn watch(&mut self, opened: OpenedFile) {
        self.opened = Some(opened);
    }

    fn check_name(&self) -> Result<(), StorageError> {
        let checked = self.opened.as_ref().map_or(Ok(()), OpenedFile::check);
        checked.map_err(|lost| StorageError::Failed(lost.to_string()))
    }

    async fn checkpoint(&mut self) -> Result<(), StorageError> {
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await?;
        if busy != 0 {
            return Err(StorageError::Failed(
                "a reader holds the write-ahead log".to_owned(),
            ));
        }
        Ok(())
    }

    /// The connection, for the one who opens the log.
    pub(super) const fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Storage for SqliteStorage {
    async fn insert(&mut self, rows: &[Row]) -> Result<(), StorageError> {
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO record (position, boundary, previous, bytes) ");
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(row.record.position.0.cast_signed())
                .push_bind(row.record.boundary.subject())
                .push_bind(row.previous.0.cast_signed())
                .push_bind(row.record.bytes.as_ref());
        });
        let often = rows.len() <= 128;
        query
            .build()
            .persistent(often)
            .execute(&mut self.connection)
            .await?;
        self.check_name()
    }

    async fn tail(&mut self) -> Result<Position, StorageError> {
        let position: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM record")
            .fetch_one(&mut self.connection)
            .await?;
        Ok(Position(position.cast_unsigned()))
    }

    async fn boundary_tail(&mut self, boundary: Boundary) -> Result<Position, StorageError> {
        let position: Option<i64> = sqlx::query_scalar(
            "SELECT position FROM record WHERE boundary = $1 ORDER BY previous DESC LIMIT 1",
        )
        .bind(boundary.subject())
        .fetch_optional(&mut self.connection)
        .await?;
        Ok(Position(position.unwrap_or(0).cast_unsigned()))
    }

    /// After a failed fsync the operating system may have dropped what it holds as written. A checkpoint writes
    /// every page into the file again and syncs that, so what is read afterwards is durable.
    async fn reopen(&mut self) -> Result<(), StorageError> {
        self.check_name()?;
        let fresh = self.options.connect().await?;
        let broken = std::mem::replace(&mut self.connection, fresh);
        drop(broken.close_hard().await);
        self.checkpoint().await
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        self.check_name()?;
        self.checkpoint().await
    }
}
