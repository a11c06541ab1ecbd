//! The views in a file of their own, for one process.

use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::sync::Mutex;

/// How many queries run beside each other.
const READERS: u32 = 8;

/// Connections to `views.db`: many that read, one that writes, so that writers take turns in memory instead of
/// waiting for each other's locks.
pub(crate) struct Sqlite {
    pub(super) reads: SqlitePool,
    pub(super) write: Mutex<SqliteConnection>,
}

impl Sqlite {
    /// Opens or creates the file and brings it to the newest schema.
    pub(super) async fn open(path: &str) -> Result<Self, sqlx::Error> {
        let options = options(path);
        let mut write = options.connect().await?;
        migrations::views::sqlite().run(&mut write).await?;
        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        let write = Mutex::new(write);
        Ok(Self { reads, write })
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
        // What is deleted is overwritten where that costs no further page.
        .pragma("secure_delete", "FAST")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}
