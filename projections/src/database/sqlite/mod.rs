//! The views in a file of their own, for one process.
//!
//! - [`pages`]: the proof that the file holds what was written into it; [`page_digests`]: the digests it rests on, in files beside
//!   it; [`write_ahead_log`]: what a checkpoint is about to write.
//! - [`set_aside`]: what becomes of a file that is damaged.

mod page_digests;
mod pages;
mod set_aside;
mod write_ahead_log;

#[cfg(test)]
mod crashes;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Held, PoisonError};
use std::time::Duration;

use domain::Timestamp;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tracing::warn;

use self::page_digests::beside;
use self::pages::{Found, Pages};
pub(crate) use self::set_aside::SetAside;
use super::reading::{Lane, Lanes};

/// By how much the write-ahead log may grow until what was added is read for the next checkpoint, in bytes: nobody writes while
/// that is made, and it is over sooner if most is known before …
const UNREAD: u64 = 2 * 1024 * 1024;
/// … before a checkpoint is tried, and tried again. A page that was written often since the last one is moved once …
const LONG: u64 = 16 * 1024 * 1024;
/// … and how long it may become before that waits for everybody who reads.
const TOO_LONG: u64 = 64 * 1024 * 1024;

/// How many pages are compared with their digests at once.
const SOME_PAGES: u32 = 1024;

/// SQLite's primary codes for a database that isn't in order.
const MALFORMED: [i64; 2] = [11, 26];

/// Connections that are closed only after the last checkpoint: the connection to a file that is closed last makes one by
/// itself, which nobody would have noted.
static HELD_OPEN: Held<Vec<(PathBuf, SqliteConnection)>> = Held::new(Vec::new());

/// Connections to `views.db`: many that read, one that writes, so that writers take turns in memory instead of
/// waiting for each other's locks.
pub(crate) struct Sqlite {
    pub(super) reads: Lanes<SqlitePool>,
    pub(super) write: Mutex<Writing>,
    path: PathBuf,
    pages: Arc<Pages>,
    set_aside: Option<SetAside>,
    /// Whether SQLite itself has said that the database isn't in order.
    suspected: AtomicBool,
}

/// The connection that writes, and the file it writes into.
pub(crate) struct Writing {
    pub(super) connection: SqliteConnection,
    pages: Arc<Pages>,
    /// How long the write-ahead log was when a checkpoint of all of it was tried in vain …
    tried_at: u64,
    /// … and when it was read.
    read_at: u64,
}

/// How long a checkpoint waits for those who are reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// About as long as a query takes, 10 ms. What others hold for longer is left for the next one.
    Little,
    /// Up to 5 s.
    Much,
}

impl Sqlite {
    /// Opens or creates the file and brings it to the newest schema. One that isn't what was written is set aside first.
    pub(super) async fn open(path: &str, now: Timestamp) -> Result<Self, sqlx::Error> {
        let path = PathBuf::from(path);
        let opened = path.clone();
        let (pages, set_aside) = blocking(move || open_pages(&opened, now)).await?;
        let pages = Arc::new(pages);
        let options = options(&path);
        let mut write = Writing {
            connection: options.connect().await?,
            pages,
            tried_at: 0,
            read_at: 0,
        };
        match migrations::views::sqlite().run(&mut write.connection).await {
            Err(MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_)) => {
                warn!(
                    "a newer version of this program has changed the views; they are set aside and made again"
                );
                write = set_newer_aside(&path, &options, write).await?;
            }
            migrated => migrated?,
        }
        let readers = options.read_only(true);
        let mut held = readers.clone().connect().await?;
        sqlx::query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut held)
            .await?;
        held_open().push((path.clone(), held));
        write.checkpoint(Patience::Much).await?;
        let pool = async |lane: Lane| {
            let pool = SqlitePoolOptions::new().max_connections(lane.connections());
            pool.connect_with(readers.clone()).await
        };
        let reads = Lanes {
            serving: pool(Lane::Serving).await?,
            computing: pool(Lane::Computing).await?,
        };
        Ok(Self {
            reads,
            pages: Arc::clone(&write.pages),
            write: Mutex::new(write),
            path,
            set_aside,
            suspected: AtomicBool::new(false),
        })
    }

    /// What was set aside when it was opened.
    pub(crate) const fn set_aside(&self) -> Option<&SetAside> {
        self.set_aside.as_ref()
    }

    /// The databases that were set aside at any time and are still there.
    pub(crate) fn kept(&self) -> io::Result<Vec<PathBuf>> {
        set_aside::kept(&self.path)
    }

    /// Makes a checkpoint if there is much to write, and compares the next pages with their digests; all of them if
    /// SQLite has complained. Says what is damaged.
    pub(crate) async fn look_after(&self) -> Result<Option<String>, sqlx::Error> {
        let mut write = self.write.lock().await;
        write.checkpoint_if_long().await?;
        let pages = Arc::clone(&self.pages);
        let all = self.suspected.swap(false, Ordering::Relaxed);
        let found = blocking(move || {
            if pages.is_lost()? {
                return Ok(Some("their file was removed or replaced".to_owned()));
            }
            match all {
                true => pages.compare_again()?,
                false => pages.compare_some(SOME_PAGES)?,
            }
            Ok(pages.damage())
        });
        found.await
    }

    /// Hears of an error: SQLite may have found that the database isn't in order.
    pub(super) fn hear(&self, error: sqlx::Error) -> sqlx::Error {
        let code = error.as_database_error().and_then(|error| error.code());
        let primary = code
            .and_then(|code| code.parse::<i64>().ok())
            .map(|code| code & 0xff);
        if primary.is_some_and(|code| MALFORMED.contains(&code)) {
            self.suspected.store(true, Ordering::Relaxed);
        }
        error
    }

    /// Writes everything into the database's own file. Nobody may write afterwards.
    pub(crate) async fn close(&self) -> Result<(), sqlx::Error> {
        let mut write = self.write.lock().await;
        self.reads.serving.close().await;
        self.reads.computing.close().await;
        write.checkpoint(Patience::Much).await?;
        held_open().retain(|(path, _)| *path != self.path);
        Ok(())
    }
}

impl Writing {
    /// Makes a checkpoint if the write-ahead log is long.
    pub(super) async fn checkpoint_if_long(&mut self) -> Result<(), sqlx::Error> {
        let length = self.pages.log_length();
        if length < self.tried_at.saturating_add(LONG) {
            if length >= self.read_at.saturating_add(UNREAD) {
                let pages = Arc::clone(&self.pages);
                blocking(move || pages.read_ahead()).await?;
                self.read_at = length;
            }
            return Ok(());
        }
        let patience = match length >= TOO_LONG {
            true => Patience::Much,
            false => Patience::Little,
        };
        self.checkpoint(patience).await.map(drop)
    }

    /// Empties the write-ahead log; says whether no reader was in the way.
    pub(super) async fn empty_write_ahead_log(&mut self) -> Result<bool, sqlx::Error> {
        self.checkpoint(Patience::Much).await
    }

    /// Moves what stands in the write-ahead log into the database's own file, and notes the digests of what is written
    /// there. Says whether all of it could be moved.
    async fn checkpoint(&mut self, patience: Patience) -> Result<bool, sqlx::Error> {
        let pages = Arc::clone(&self.pages);
        if !blocking(move || pages.prepare()).await? {
            (self.tried_at, self.read_at) = (0, 0);
            return Ok(true);
        }
        let timeout = match patience {
            Patience::Little => "PRAGMA busy_timeout = 10",
            Patience::Much => "PRAGMA busy_timeout = 5000",
        };
        sqlx::query(timeout).execute(&mut self.connection).await?;
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut self.connection)
            .await?;
        let pages = Arc::clone(&self.pages);
        let whole = busy == 0;
        blocking(move || pages.settle(whole)).await?;
        self.tried_at = if whole { 0 } else { self.pages.log_length() };
        self.read_at = self.tried_at;
        Ok(whole)
    }
}

/// What is wrong with a database that nobody has opened, if it isn't what was written.
pub(super) async fn inspect(path: &str) -> Result<Option<String>, sqlx::Error> {
    let path = PathBuf::from(path);
    blocking(move || match pages::examine(&path)? {
        Found::Nothing | Found::Sound(_) => Ok(None),
        Found::Damaged(damage) => Ok(Some(damage)),
    })
    .await
}

/// Sets a file aside that a newer version of the program has changed, and begins another with what isn't derived from the
/// log.
async fn set_newer_aside(
    path: &Path,
    options: &SqliteConnectOptions,
    newer: Writing,
) -> Result<Writing, sqlx::Error> {
    newer.connection.close().await?;
    let (moved, aside) = (path.to_owned(), beside(path, ".newer"));
    let aside_path = aside.clone();
    let pages = blocking(move || {
        set_aside::rename(&moved, &aside_path)?;
        pages::begin(&moved)
    });
    let pages = Arc::new(pages.await?);
    let mut write = Writing {
        connection: options.connect().await?,
        pages,
        tried_at: 0,
        read_at: 0,
    };
    migrations::views::sqlite().run(&mut write.connection).await?;
    if let Err(error) = take_observed_nodes(&mut write.connection, &aside).await {
        warn!(%error, "what was observed of instances can't be taken over; it fills again as they speak");
    }
    Ok(write)
}

/// Copies what isn't derived from the log.
async fn take_observed_nodes(connection: &mut SqliteConnection, from: &Path) -> Result<(), sqlx::Error> {
    sqlx::query("ATTACH DATABASE $1 AS newer")
        .bind(from.display().to_string())
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

fn open_pages(path: &Path, now: Timestamp) -> io::Result<(Pages, Option<SetAside>)> {
    match pages::examine(path)? {
        Found::Sound(pages) => {
            pages.make_private()?;
            Ok((pages, None))
        }
        Found::Nothing => Ok((pages::begin(path)?, None)),
        Found::Damaged(damage) => {
            let set_aside = set_aside::set_aside(path, damage, now)?;
            Ok((pages::begin(path)?, Some(set_aside)))
        }
    }
}

fn held_open() -> std::sync::MutexGuard<'static, Vec<(PathBuf, SqliteConnection)>> {
    HELD_OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads and writes files on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, sqlx::Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(io::Error::other).flatten().map_err(sqlx::Error::Io)
}

/// `NORMAL` may lose the last transactions when power fails; each carries its checkpoint, so they are projected again.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .pragma("cache_size", "-65536")
        // Checkpoints are ours alone: what they write is noted.
        .pragma("wal_autocheckpoint", "0")
        // What is deleted is overwritten where that costs no further page.
        .pragma("secure_delete", "FAST")
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

#[cfg(test)]
mod tests {
    use super::write_ahead_log::{CommittedFrames, committed};
    use super::*;

    const FILL: &str = "INSERT INTO filler
        WITH RECURSIVE number(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM number WHERE id < 300)
        SELECT id, randomblob(3000) FROM number";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_checkpoint_that_a_reader_is_in_the_way_of_is_tried_again_when_the_log_has_grown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("views.db");
        let sqlite = Sqlite::open(path.to_str().unwrap(), Timestamp(0)).await.unwrap();
        let mut write = sqlite.write.lock().await;
        let mut fill = async |statement: &'static str| {
            let done = sqlx::query(statement).execute(&mut write.connection).await;
            done.unwrap();
            write.checkpoint_if_long().await.unwrap();
            (write.tried_at, write.pages.log_length())
        };
        fill("CREATE TABLE filler (id INTEGER, content BLOB)").await;
        let mut reading = sqlite.reads.serving.begin().await.unwrap();
        let read = sqlx::query("SELECT * FROM filler").fetch_all(&mut *reading).await;
        assert!(read.unwrap().is_empty());
        let (mut tried_at, mut length) = (0, 0);
        while tried_at == 0 {
            assert!(length <= LONG + (2 << 20), "it wasn't tried");
            (tried_at, length) = fill(FILL).await;
        }
        assert_eq!(
            fill("DELETE FROM filler WHERE id = 7").await.0,
            tried_at,
            "not for so little"
        );
        while length < tried_at + LONG {
            length = fill(FILL).await.1;
        }
        assert_eq!(
            fill("DELETE FROM filler WHERE id = 8").await.0,
            length,
            "it was tried again"
        );
        reading.rollback().await.unwrap();
        assert!(write.checkpoint(Patience::Much).await.unwrap());
        assert_eq!(write.tried_at, 0);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_write_ahead_log_that_grows_is_read_as_if_it_were_read_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("views.db");
        let sqlite = Sqlite::open(path.to_str().unwrap(), Timestamp(0)).await.unwrap();
        let log = beside(&path, "-wal");
        let mut growing = CommittedFrames::default();
        let mut write = sqlite.write.lock().await;
        let statements: [&'static str; 3] = [
            "CREATE TABLE filler (id INTEGER, content BLOB)",
            FILL,
            "UPDATE filler SET content = randomblob(3000) WHERE id < 20",
        ];
        for round in 0..3 {
            for &statement in &statements[usize::from(round > 0)..] {
                sqlx::query(statement)
                    .execute(&mut write.connection)
                    .await
                    .unwrap();
                let anew = committed(&log).unwrap();
                assert!(anew.is_some());
                assert_eq!(growing.read(&log).unwrap(), anew.as_ref());
            }
            assert!(write.checkpoint(Patience::Much).await.unwrap());
            assert_eq!(growing.read(&log).unwrap(), None, "it begins again");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_pages_that_a_reader_keeps_a_checkpoint_from_are_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("views.db");
        let sqlite = Sqlite::open(path.to_str().unwrap(), Timestamp(0)).await.unwrap();
        let write = async |statement: &'static str| {
            let mut write = sqlite.write.lock().await;
            sqlx::query(statement)
                .execute(&mut write.connection)
                .await
                .unwrap();
        };
        write("CREATE TABLE filler (id INTEGER PRIMARY KEY, content BLOB)").await;
        write(FILL).await;
        let mut reading = sqlite.reads.serving.begin().await.unwrap();
        let count = "SELECT count(*) FROM filler";
        let (read,): (i64,) = sqlx::query_as(count).fetch_one(&mut *reading).await.unwrap();
        assert_eq!(read, 300);
        // The first of the new pages change again: the checkpoint leaves them out, and writes those behind them.
        for _ in 0..2 {
            write("UPDATE filler SET content = randomblob(3000) WHERE id < 20").await;
            let whole = sqlite.write.lock().await.checkpoint(Patience::Little).await;
            assert!(!whole.unwrap(), "the reader is in the way");
            sqlite.pages.compare_again().unwrap();
            assert_eq!(sqlite.look_after().await.unwrap(), None);
        }
        reading.rollback().await.unwrap();
        assert!(
            sqlite
                .write
                .lock()
                .await
                .checkpoint(Patience::Much)
                .await
                .unwrap()
        );
        sqlite.pages.compare_again().unwrap();
        assert_eq!(sqlite.look_after().await.unwrap(), None);
        sqlite.close().await.unwrap();
    }
}
