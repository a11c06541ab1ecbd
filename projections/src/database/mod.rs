//! The views' database: SQLite or PostgreSQL. Every statement is written once, with `$n` parameters of the three types
//! that both know ([`Value`]); what is an engine's own is in [`sqlite`] and [`postgres`].
//!
//! - [`Database::fetch_all`] and its like read, over the connections of a [`Lane`]; [`Database::write`] hands out the [`Writer`].
//! - [`error`]: which failures pass by themselves. [`schemas`]: each version's own place in PostgreSQL.

mod announcement;
mod connection;
mod error;
mod postgres;
mod reading;
mod row;
pub(crate) mod schemas;
mod sqlite;
mod value;

use domain::Timestamp;

pub(crate) use announcement::Announcement;
pub(crate) use connection::{Connection, Engine, Writer};
pub(crate) use error::passes;
pub(crate) use postgres::Postgres;
pub use reading::Lane;
pub(crate) use reading::Reading;
pub(crate) use row::Row;
pub(crate) use value::Value;

use crate::location::Location;
use crate::write::VIEWS_VERSION;
pub(crate) use sqlite::Sqlite;

/// Connections to the views.
pub(crate) enum Database {
    /// A file, for one process.
    Sqlite(Sqlite),
    /// A server, for many processes.
    Postgres(Postgres),
}

impl Database {
    /// Opens or creates the views of this version.
    pub(crate) async fn open(location: &Location, now: Timestamp) -> Result<Self, sqlx::Error> {
        Ok(match location {
            Location::Sqlite(path) => Self::Sqlite(Sqlite::open(path, now).await?),
            Location::Postgres(url) => Self::Postgres(Postgres::open(url.expose(), VIEWS_VERSION).await?),
        })
    }

    /// What is wrong with a file that nobody has opened, if it isn't what was written. Changes nothing.
    pub(crate) async fn inspect(location: &Location) -> Result<Option<String>, sqlx::Error> {
        match location {
            Location::Sqlite(path) => sqlite::inspect(path).await,
            Location::Postgres(_) => Ok(None),
        }
    }

    /// The file, if the views are in one.
    pub(crate) const fn sqlite(&self) -> Option<&Sqlite> {
        match self {
            Self::Sqlite(sqlite) => Some(sqlite),
            Self::Postgres(_) => None,
        }
    }

    /// The server, if the views are in one.
    pub(crate) const fn postgres(&self) -> Option<&Postgres> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(postgres) => Some(postgres),
        }
    }

    /// Who writes, in the order in which it was asked for: of one process only one at a time.
    pub(crate) async fn write(&self) -> Result<Writer<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(sqlite) => Writer::Sqlite(sqlite.write.lock().await),
            Self::Postgres(postgres) => {
                let turn = postgres.turn.lock().await;
                Writer::Postgres {
                    connection: postgres.writes.acquire().await?,
                    beginning: false,
                    _turn: turn,
                }
            }
        })
    }

    /// All rows of an answer.
    pub(crate) async fn fetch_all(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.reading(Lane::Serving).fetch_all(sql, arguments).await
    }

    /// The first row of an answer, if it has one.
    pub(crate) async fn fetch_optional(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        self.reading(Lane::Serving).fetch_optional(sql, arguments).await
    }

    /// Reads over the connections of a lane.
    pub(crate) const fn reading(&self, lane: Lane) -> Reading<'_> {
        match self {
            Self::Sqlite(sqlite) => Reading::Sqlite(sqlite, sqlite.reads.of(lane)),
            Self::Postgres(postgres) => Reading::Postgres(postgres.reads.of(lane)),
        }
    }
}
