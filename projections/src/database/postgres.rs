//! The views in PostgreSQL, for many processes.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;

use super::announcement::{ANNOUNCE, Announcement};
use super::reading::{Lane, Lanes};
use super::row::Row;
use super::schemas::Schemas;
use super::value::{Value, postgres_arguments};

/// The writer, the lease's holder, and those who don't project: observed nodes and stored states.
const WRITERS: u32 = 4;

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(5);

/// After so many milliseconds without a statement the server ends a transaction: a process that was frozen within one
/// would hold its locks for ever.
const IDLE_IN_TRANSACTION: &str = "5000";

/// Connections to one PostgreSQL database. Each is checked before it is used, so a server that was started again costs
/// a reconnection.
pub(crate) struct Postgres {
    pub(super) reads: Lanes<PgPool>,
    pub(crate) writes: PgPool,
    /// Writers of one process take turns, as they do on SQLite.
    pub(super) turn: Mutex<()>,
    /// Where this version's views are, and what all versions share.
    pub(crate) schemas: Schemas,
}

impl Postgres {
    /// Connects and makes what isn't there; processes that start together take turns.
    pub(super) async fn open(url: &str, views_version: i64) -> Result<Self, sqlx::Error> {
        let options = options(url)?;
        let mut preparing = options.connect().await?;
        let schemas = Schemas::prepare(&mut preparing, views_version).await?;
        preparing.close().await?;
        let options = options.options([("search_path", schemas.search_path())]);
        let writes = PgPoolOptions::new()
            .max_connections(WRITERS)
            .acquire_timeout(ACQUIRE)
            .connect_with(
                options
                    .clone()
                    .options([("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION)]),
            )
            .await?;
        migrations::views::postgres().run(&writes).await?;
        // Every query is a walk along an index; joining by hashing whole tables is right only for statistics that are
        // out of date, as they are after a rebuild.
        let walks = [
            ("default_transaction_read_only", "on"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
        ];
        let readers = options.options(walks);
        let pool = async |lane: Lane| {
            let pool = PgPoolOptions::new().max_connections(lane.connections());
            pool.acquire_timeout(ACQUIRE).connect_with(readers.clone()).await
        };
        let reads = Lanes {
            serving: pool(Lane::Serving).await?,
            computing: pool(Lane::Computing).await?,
        };
        Ok(Self {
            reads,
            writes,
            turn: Mutex::new(()),
            schemas,
        })
    }

    /// Runs a statement that only PostgreSQL knows; answers how many rows it touched.
    pub(crate) async fn execute(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<u64, sqlx::Error> {
        let query = sqlx::query_with(sql, postgres_arguments(arguments));
        Ok(query.execute(&self.writes).await?.rows_affected())
    }

    /// As [`Self::execute`]; answers the first row.
    pub(crate) async fn fetch_optional(
        &self,
        sql: &'static str,
        arguments: impl IntoIterator<Item = Value>,
    ) -> Result<Option<Row>, sqlx::Error> {
        let query = sqlx::query_with(sql, postgres_arguments(arguments));
        Ok(query.fetch_optional(&self.writes).await?.map(Row::Postgres))
    }

    /// Tells other processes that nobody holds the projector's lease any more.
    pub(crate) async fn announce_vacancy(&self) -> Result<(), sqlx::Error> {
        let said = Announcement::Vacant.to_string();
        self.execute(ANNOUNCE, [said.into()]).await?;
        Ok(())
    }

    /// Hears what the others of this version say on a connection of its own.
    pub(crate) async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.writes).await?;
        listener.listen(&self.schemas.own).await?;
        Ok(listener)
    }
}

fn options(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    Ok(PgConnectOptions::from_str(url)?
        .application_name("runtime-manager")
        .statement_cache_capacity(256)
        .disable_statement_logging())
}
