//! The views in a file of their own, for one process.

use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tracing::warn;

/// How many queries run beside each other.
const READERS: u32 = 8;

/// Connections to `views.db`: many that read, one that writes, so that writers take turns in memory instead of
/// waiting for each other's locks.
pub(crate) struct Sqlite {
    pub(super) reads: SqlitePool,
    pub(super) write: Mutex<SqliteConnection>,
}

impl Sqlite {
    /// Opens or creates the file and brings it to the newest schema. One that a newer version of the program has changed is
    /// set aside, and another takes its place.
    pub(super) async fn open(path: &str) -> Result<Self, sqlx::Error> {
        let options = options(path);
        let mut write = options.connect().await?;
        match migrations::views::sqlite().run(&mut write).await {
            Err(MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) => {
                warn!(
                    "a newer version of this program has changed the views; they are set aside and made again"
                );
                write.close().await?;
                set_aside(path)?;
                write = options.connect().await?;
                migrations::views::sqlite().run(&mut write).await?;
                if let Err(error) = take_observed_nodes(&mut write, &newer(path)).await {
                    warn!(%error, "what was observed of instances can't be taken over; it fills again as they speak");
                }
            }
            migrated => migrated?,
        }
        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.read_only(true))
            .await?;
        let write = Mutex::new(write);
        Ok(Self { reads, write })
    }
}

fn newer(path: &str) -> String {
    format!("{path}.newer")
}

/// Moves the file; its write-ahead log is gone, because the last connection has closed.
fn set_aside(path: &str) -> std::io::Result<()> {
    std::fs::rename(path, newer(path))
}

/// Copies what isn't derived from the log.
async fn take_observed_nodes(connection: &mut SqliteConnection, from: &str) -> Result<(), sqlx::Error> {
    sqlx::query("ATTACH DATABASE $1 AS newer")
        .bind(from)
        .execute(&mut *connection)
        .await?;
    let copied = sqlx::query(
        "INSERT INTO observed_node (group_id, node_id, last_seen, record)
         SELECT group_id, node_id, last_seen, record FROM newer.observed_node",
    );
    let copied = copied.execute(&mut *connection).await;
    sqlx::query("DETACH DATABASE newer").execute(connection).await?;
    copied.map(drop)
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
