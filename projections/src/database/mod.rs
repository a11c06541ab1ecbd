//! The views' database: SQLite or PostgreSQL. Every statement is written once, with `$n` parameters of the three types
//! that both know ([`Value`]); what is an engine's own is in [`sqlite`] and [`postgres`].
//!
//! - [`Database::fetch_all`] and its like read; [`Database::write`] hands out the [`Writer`].
//! - [`error`]: which failures pass by themselves. [`schemas`]: each version's own place in PostgreSQL.

mod announcement;
mod connection;
mod error;
mod postgres;
mod row;
pub(crate) mod schemas;
mod sqlite;
mod value;

use domain::Timestamp;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::Executor as _;

pub(crate) use announcement::Announcement;
pub(crate) use connection::{Connection, Engine, Writer};
pub(crate) use error::passes;
pub(crate) use postgres::Postgres;
pub(crate) use row::Row;
pub(crate) use value::Value;

use crate::location::Location;
use crate::write::VIEWS_VERSION;
pub(crate) use sqlite::Sqlite;
use value::{postgres_arguments, sqlite_arguments};

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

    /// What the statements run on.
    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
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

    /// The rows of an answer, one after the other. A statement sees one consistent state.
    pub(crate) fn fetch(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> BoxStream<'_, Result<Row, sqlx::Error>> {
        match self {
            Self::Sqlite(sqlite) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let rows = sqlite.reads.fetch(query);
                rows.map_ok(Row::Sqlite)
                    .map_err(|error| sqlite.hear(error))
                    .boxed()
            }
            Self::Postgres(postgres) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                postgres.reads.fetch(query).map_ok(Row::Postgres).boxed()
            }
        }
    }

    /// All rows of an answer.
    pub(crate) async fn fetch_all(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(sqlite) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let rows = query.fetch_all(&sqlite.reads).await;
                let rows = rows.map_err(|error| sqlite.hear(error))?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(postgres) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                let rows = query.fetch_all(&postgres.reads).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of an answer, if it has one.
    pub(crate) async fn fetch_optional(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(sqlite) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let row = query.fetch_optional(&sqlite.reads).await;
                Ok(row.map_err(|error| sqlite.hear(error))?.map(Row::Sqlite))
            }
            Self::Postgres(postgres) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                Ok(query.fetch_optional(&postgres.reads).await?.map(Row::Postgres))
            }
        }
    }
}
