//! Writing: the one writer of a process, its transactions, and the connection that both work on.

use domain::Position;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, PgConnection, Postgres, Sqlite};
use tokio::sync::MutexGuard;

use super::announcement::{ANNOUNCE, Announcement};
use super::row::Row;
use super::sqlite::Writing;
use super::value::{Value, postgres_arguments, sqlite_arguments};

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Processes that do this wait for each other until the transaction ends.
const TAKE_TURNS: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(7231900478812061553)) AS lock";

/// Who writes; the next waits until this is dropped.
pub(crate) enum Writer<'d> {
    Sqlite(MutexGuard<'d, Writing>),
    Postgres {
        connection: PoolConnection<Postgres>,
        /// Set while a transaction begins. Whoever drops that future leaves a transaction that sqlx doesn't know of.
        beginning: bool,
        _turn: MutexGuard<'d, ()>,
    },
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Self::Postgres {
            connection,
            beginning: true,
            ..
        } = self
        {
            connection.close_on_drop();
        }
    }
}

/// All or nothing; nothing unless it is committed.
pub(crate) enum Transaction<'w> {
    Sqlite(sqlx::Transaction<'w, Sqlite>),
    Postgres(sqlx::Transaction<'w, Postgres>),
}

/// Which database understands a statement.
#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// What statements run on.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Writer<'_> {
    /// A statement here is a transaction of its own.
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(writing) => Connection::Sqlite(&mut writing.connection),
            Self::Postgres { connection, .. } => Connection::Postgres(connection),
        }
    }

    /// Empties the write-ahead log, where deleted rows may still stand; PostgreSQL keeps its own as it is told to. Says
    /// whether no reader was in the way.
    pub(crate) async fn empty_write_ahead_log(&mut self) -> Result<bool, sqlx::Error> {
        match self {
            Self::Sqlite(writing) => writing.empty_write_ahead_log().await,
            Self::Postgres { .. } => Ok(true),
        }
    }

    /// Keeps the write-ahead log from becoming long; PostgreSQL looks after its own.
    pub(crate) async fn shorten_write_ahead_log(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(writing) => writing.checkpoint_if_long().await,
            Self::Postgres { .. } => Ok(()),
        }
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(writing) => Transaction::Sqlite(writing.connection.begin().await?),
            Self::Postgres {
                connection,
                beginning,
                ..
            } => {
                *beginning = true;
                let transaction = connection.begin().await?;
                *beginning = false;
                Transaction::Postgres(transaction)
            }
        })
    }

    /// Begins a transaction whose statements all see the same state.
    pub(crate) async fn begin_snapshot(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(writing) => Transaction::Sqlite(writing.connection.begin().await?),
            Self::Postgres {
                connection,
                beginning,
                ..
            } => {
                *beginning = true;
                let transaction = connection.begin_with(SNAPSHOT).await?;
                *beginning = false;
                Transaction::Postgres(transaction)
            }
        })
    }
}

impl Transaction<'_> {
    /// A statement here is part of the transaction.
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(transaction) => Connection::Sqlite(transaction),
            Self::Postgres(transaction) => Connection::Postgres(transaction),
        }
    }

    /// Waits for other processes that are here too; on SQLite there are none.
    pub(crate) async fn take_turns(&mut self) -> Result<(), sqlx::Error> {
        if let Self::Postgres(_) = self {
            self.connection().execute(TAKE_TURNS, []).await?;
        }
        Ok(())
    }

    /// Tells other processes, once it is committed, how far a generation has come; on SQLite there are none.
    pub(crate) async fn announce(&mut self, generation: i64, position: Position) -> Result<(), sqlx::Error> {
        if let Self::Postgres(_) = self {
            let said = Announcement::Projected { generation, position }.to_string();
            self.connection().execute(ANNOUNCE, [said.into()]).await?;
        }
        Ok(())
    }

    /// Makes it last.
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}

impl Connection<'_> {
    /// What the statements run on.
    pub(crate) const fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs a statement; answers how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                Ok(query.execute(&mut **connection).await?.rows_affected())
            }
        }
    }

    /// All rows of an answer.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                let rows = query.fetch_all(&mut **connection).await?;
                Ok(rows.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The first row of an answer, if it has one.
    pub(crate) async fn fetch_optional(
        &mut self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite_arguments(arguments));
                Ok(query.fetch_optional(&mut **connection).await?.map(Row::Sqlite))
            }
            Self::Postgres(connection) => {
                let query = sqlx::query_with(sql, postgres_arguments(arguments));
                Ok(query.fetch_optional(&mut **connection).await?.map(Row::Postgres))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use domain::{Secret, Timestamp};
    use futures::future::try_join_all;
    use futures::poll;
    use sqlx::PgConnection;

    use crate::database::Database;
    use crate::location::Location;
    use crate::postgres_server::PostgresServer;

    async fn current_transaction(connection: &mut PgConnection) -> String {
        let current = sqlx::query_scalar("SELECT pg_current_xact_id()::text");
        current.fetch_one(connection).await.expect("a transaction's id")
    }

    #[tokio::test]
    async fn a_transaction_that_is_cut_off_while_it_begins_is_left_open_nowhere() {
        let url = PostgresServer::shared().fresh_database().await;
        let database = Database::open(&Location::Postgres(Secret::new(url)), Timestamp(0)).await;
        let database = database.expect("a database");
        let mut cut_off = false;
        while !cut_off {
            let mut writer = database.write().await.expect("a connection");
            // Now and then the server answers at once.
            cut_off = poll!(pin!(writer.begin())).is_pending();
        }
        let writes = &database.postgres().expect("it is PostgreSQL").writes;
        let all = (0..writes.options().get_max_connections()).map(|_| writes.acquire());
        for mut connection in try_join_all(all).await.expect("every connection") {
            let first = current_transaction(&mut connection).await;
            let second = current_transaction(&mut connection).await;
            assert_ne!(first, second, "each statement is a transaction of its own");
        }
    }
}
