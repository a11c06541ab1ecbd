//! Reading: which connections a query uses.
//!
//! A query holds its connection until its last row was taken. Who computes takes rows when it is its turn, and that may be late, so
//! it has connections of its own and keeps none from those who are served at once.

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::{Executor as _, PgPool, SqlitePool};

use super::connection::Engine;
use super::row::Row;
use super::sqlite::Sqlite;
use super::value::{Value, postgres_arguments, sqlite_arguments};

/// For whom a query is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Those who take its rows at once.
    Serving,
    /// Those whose steps wait for their turn on the threads for computing.
    Computing,
}

impl Lane {
    /// How many queries of a lane run beside each other.
    pub(super) const fn connections(self) -> u32 {
        match self {
            Self::Serving => 8,
            Self::Computing => 4,
        }
    }
}

/// A pool for each lane.
pub(crate) struct Lanes<Pool> {
    pub(super) serving: Pool,
    pub(super) computing: Pool,
}

impl<Pool> Lanes<Pool> {
    /// The pool of a lane.
    pub(super) const fn of(&self, lane: Lane) -> &Pool {
        match lane {
            Lane::Serving => &self.serving,
            Lane::Computing => &self.computing,
        }
    }
}

/// Queries over the connections of one lane.
#[derive(Clone, Copy)]
pub(crate) enum Reading<'d> {
    Sqlite(&'d Sqlite, &'d SqlitePool),
    Postgres(&'d PgPool),
}

impl<'d> Reading<'d> {
    /// What the statements run on.
    pub(crate) const fn engine(self) -> Engine {
        match self {
            Self::Sqlite(..) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// The rows of an answer, one after the other. A statement sees one consistent state.
    pub(crate) fn fetch(
        self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> BoxStream<'d, Result<Row, sqlx::Error>> {
        match self {
            Self::Sqlite(sqlite, pool) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let rows = pool.fetch(query).map_ok(Row::Sqlite);
                rows.map_err(|error| sqlite.hear(error)).boxed()
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                pool.fetch(query).map_ok(Row::Postgres).boxed()
            }
        }
    }

    /// All rows of an answer.
    pub(crate) async fn fetch_all(
        self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(sqlite, pool) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let rows = query.fetch_all(pool).await;
                let rows = rows.map_err(|error| sqlite.hear(error))?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                let rows = query.fetch_all(pool).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of an answer, if it has one.
    pub(crate) async fn fetch_optional(
        self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(sqlite, pool) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let row = query.fetch_optional(pool).await;
                Ok(row.map_err(|error| sqlite.hear(error))?.map(Row::Sqlite))
            }
            Self::Postgres(pool) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                Ok(query.fetch_optional(pool).await?.map(Row::Postgres))
            }
        }
    }
}
