//! Pages in the file `keys.db`, beside `log.db`.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use domain::Boundary;
use domain::keyring::KeyringError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::Mutex;

use crate::opened_file::{OpenedFile, make_private};

use super::page_store::{PageAddress, PageStore, PutError, StoredPage};

/// A [`PageStore`] in one SQLite file; what is overwritten there is overwritten with zeros.
#[derive(Debug)]
pub struct SqlitePages {
    connection: Mutex<SqliteConnection>,
    /// Which file it is; none if it is only read.
    opened: Option<OpenedFile>,
}

fn unavailable(error: impl std::fmt::Display) -> KeyringError {
    KeyringError::Unavailable(format!("keys.db: {error}"))
}

fn damaged(reason: impl std::fmt::Display) -> KeyringError {
    KeyringError::Damaged(format!("keys.db: {reason}"))
}

impl SqlitePages {
    /// Opens or creates the file.
    pub async fn open(path: &Path) -> Result<Self, KeyringError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "ON")
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        make_private(path).map_err(unavailable)?;
        let mut connection = options.connect().await.map_err(unavailable)?;
        migrations::keys::migrator()
            .run(&mut connection)
            .await
            .map_err(unavailable)?;
        Ok(Self {
            connection: Mutex::new(connection),
            opened: Some(OpenedFile::of(path).map_err(unavailable)?),
        })
    }

    /// Opens an existing file for reading only, also while another process writes to it.
    pub async fn open_read_only(path: &Path) -> Result<Self, KeyringError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        let connection = options.connect().await.map_err(unavailable)?;
        Ok(Self {
            connection: Mutex::new(connection),
            opened: None,
        })
    }

    /// What is written into a file that nobody finds again isn't kept.
    fn check_name(&self) -> Result<(), KeyringError> {
        let checked = self.opened.as_ref().map_or(Ok(()), OpenedFile::check);
        checked.map_err(|lost| KeyringError::Unavailable(lost.to_string()))
    }

    async fn empty_write_ahead_log(&self) -> Result<(), KeyringError> {
        let (busy, _, _): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *self.connection.lock().await)
            .await
            .map_err(unavailable)?;
        if busy == 0 {
            Ok(())
        } else {
            Err(unavailable("another process holds the write-ahead log"))
        }
    }
}

#[async_trait]
impl PageStore for SqlitePages {
    async fn pages(&self, boundary: Boundary) -> Result<Vec<StoredPage>, KeyringError> {
        let rows: Vec<(i64, i64, Vec<u8>)> =
            sqlx::query_as("SELECT number, revision, sealed FROM page WHERE boundary = $1 ORDER BY number")
                .bind(boundary.subject())
                .fetch_all(&mut *self.connection.lock().await)
                .await
                .map_err(unavailable)?;
        if rows
            .iter()
            .zip(0..)
            .any(|((number, ..), expected)| *number != expected)
        {
            return Err(damaged(format!("pages of {boundary} are missing")));
        }
        let page = |(_, revision, sealed): (i64, i64, Vec<u8>)| StoredPage {
            revision: revision.cast_unsigned(),
            sealed,
        };
        Ok(rows.into_iter().map(page).collect())
    }

    async fn put(&self, address: PageAddress, replaces: u64, sealed: Vec<u8>) -> Result<u64, PutError> {
        let statement = if replaces == 0 {
            "INSERT INTO page (boundary, number, revision, sealed) VALUES ($1, $2, $3 + 1, $4) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE page SET revision = $3 + 1, sealed = $4 WHERE boundary = $1 AND number = $2 AND revision = $3"
        };
        let written = sqlx::query(statement)
            .bind(address.boundary.subject())
            .bind(address.number)
            .bind(replaces.cast_signed())
            .bind(sealed)
            .execute(&mut *self.connection.lock().await)
            .await
            .map_err(unavailable)?;
        self.check_name()?;
        if written.rows_affected() == 0 {
            Err(PutError::Conflict)
        } else {
            Ok(replaces + 1)
        }
    }

    /// `secure_delete` has overwritten the page in the file; the write-ahead log, which still holds it, is emptied.
    async fn erase_former(&self, _address: PageAddress) -> Result<(), KeyringError> {
        self.empty_write_ahead_log().await
    }

    async fn close(&self) -> Result<(), KeyringError> {
        self.empty_write_ahead_log().await
    }

    async fn addresses(&self) -> Result<Vec<PageAddress>, KeyringError> {
        let rows: Vec<(String, u32)> =
            sqlx::query_as("SELECT boundary, number FROM page ORDER BY boundary, number")
                .fetch_all(&mut *self.connection.lock().await)
                .await
                .map_err(unavailable)?;
        let address = |(boundary, number): (String, u32)| {
            Ok(PageAddress {
                boundary: boundary.parse().map_err(damaged)?,
                number,
            })
        };
        rows.into_iter().map(address).collect()
    }

    async fn check_value(&self) -> Result<Option<Vec<u8>>, KeyringError> {
        sqlx::query_scalar("SELECT sealed FROM check_value")
            .fetch_optional(&mut *self.connection.lock().await)
            .await
            .map_err(unavailable)
    }

    async fn offer_check_value(&self, sealed: Vec<u8>) -> Result<(), KeyringError> {
        sqlx::query("INSERT INTO check_value (one, sealed) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind(sealed)
            .execute(&mut *self.connection.lock().await)
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}
