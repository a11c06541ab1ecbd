//! Where views stand, for those who only look: nothing is made, changed or projected.

use domain::{Digest, EventLog, Position};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use crate::database::schemas::Schemas;
use crate::error::ProjectionError;
use crate::location::Location;
use crate::shared::verify_checkpoint;
use crate::write::VIEWS_VERSION;

const LIVE: &str =
    "SELECT position, digest FROM projection JOIN generation ON generation = live WHERE views_version = $1";

/// How far views are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There are none of this version of the program: a start makes them.
    NotMade,
    /// They hold everything up to here, and the log still is the one they were made from.
    At(Position),
}

/// Looks at views and compares them with the log.
pub async fn standing(location: &Location, log: &dyn EventLog) -> Result<Standing, ProjectionError> {
    let live = match location {
        Location::Sqlite(path) => sqlite(path).await?,
        Location::Postgres(url) => postgres(url.expose()).await?,
    };
    let Some((position, digest)) = live else {
        return Ok(Standing::NotMade);
    };
    let digest: [u8; 32] = digest
        .try_into()
        .map_err(|_| ProjectionError::Database("a digest has another length".to_owned()))?;
    let position = Position(position.cast_unsigned());
    verify_checkpoint(log, position, Digest(digest)).await?;
    Ok(Standing::At(position))
}

type Live = Option<(i64, Vec<u8>)>;

async fn sqlite(path: &str) -> Result<Live, ProjectionError> {
    if !std::path::Path::new(path).exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = options.disable_statement_logging().connect().await?;
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('projection', 'generation')";
    let made: i64 = sqlx::query_scalar(tables).fetch_one(&mut connection).await?;
    let live = match made {
        2 => {
            sqlx::query(LIVE)
                .bind(VIEWS_VERSION)
                .fetch_optional(&mut connection)
                .await?
        }
        _ => None,
    };
    connection.close().await?;
    Ok(live.map(|row| (row.get(0), row.get(1))))
}

async fn postgres(url: &str) -> Result<Live, ProjectionError> {
    let options: PgConnectOptions = url.parse()?;
    let options = options
        .options([("default_transaction_read_only", "on")])
        .disable_statement_logging();
    let mut connection = options.connect().await?;
    let live = match Schemas::find(&mut connection, VIEWS_VERSION).await? {
        Some(schemas) => {
            schemas.enter(&mut connection).await?;
            sqlx::query(LIVE)
                .bind(VIEWS_VERSION)
                .fetch_optional(&mut connection)
                .await?
        }
        None => None,
    };
    connection.close().await?;
    Ok(live.map(|row| (row.get(0), row.get(1))))
}
