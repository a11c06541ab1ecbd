//! The views' database. SQLite today: every statement already is written so that PostgreSQL takes it unchanged
//! (`$n` parameters, BIGINT/TEXT/BLOB), and everything that is SQLite's own is in this file.

use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

/// A connection to the views.
pub(crate) type Connection = sqlx::SqliteConnection;
/// A row of an answer.
pub(crate) type Row = sqlx::sqlite::SqliteRow;
/// A statement with what is bound to it.
pub(crate) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// How many queries run beside each other.
const READERS: u32 = 8;

/// Connections to `views.db`: many that read, one that writes, so that writers take turns in memory instead of
/// waiting for each other's locks.
pub(crate) struct Database {
    reads: SqlitePool,
    write: Mutex<Connection>,
}

impl Database {
    /// Opens or creates the file and brings it to the newest schema.
    pub(crate) async fn open(path: &str) -> Result<Self, sqlx::Error> {
        let options = options(path);
        let mut write = options.connect().await?;
        migrations::views::migrator().run(&mut write).await?;
        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        let write = Mutex::new(write);
        Ok(Self { reads, write })
    }

    /// Connections for queries; each sees a consistent state per statement.
    pub(crate) const fn reads(&self) -> &SqlitePool {
        &self.reads
    }

    /// The connection that writes, in the order in which it was asked for.
    pub(crate) async fn write(&self) -> MutexGuard<'_, Connection> {
        self.write.lock().await
    }
}

/// `NORMAL` may lose the last transactions when power fails; each carries its checkpoint, so they are projected again.
fn options(path: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-65536")
        .pragma("wal_autocheckpoint", "4000")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}
