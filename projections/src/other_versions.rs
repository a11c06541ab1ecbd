//! The views of other versions of the program in the same PostgreSQL database. While a process of such a version runs, it
//! projects them and nobody else touches them. Some time after the last one has gone they are removed: until then going
//! back to that version costs no more than catching up.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, Row as _, SqlSafeStr as _};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::database::Postgres;
use crate::database::schemas::{TAKE_TURNS, quoted};

/// How often they are looked at.
const ROUND: Duration = Duration::from_secs(60);

/// The first programs kept their views in the shared schema itself.
const FIRST: &str = "INSERT INTO views_of_version (schema_name)
    SELECT $1 WHERE to_regclass($2) IS NOT NULL ON CONFLICT DO NOTHING";
const OTHERS: &str =
    "SELECT schema_name FROM views_of_version WHERE schema_name <> current_schema() ORDER BY schema_name";
const IN_USE: &str = "UPDATE views_of_version SET unused_since = NULL WHERE schema_name = $1";
/// Answers whether nobody has used them for a day.
const NOT_IN_USE: &str = "UPDATE views_of_version SET unused_since = least(unused_since, clock_timestamp())
    WHERE schema_name = $1 RETURNING unused_since < clock_timestamp() - INTERVAL '24 hours'";
const STILL_UNUSED: &str = "SELECT unused_since < clock_timestamp() - INTERVAL '24 hours'
    FROM views_of_version WHERE schema_name = $1";
const FORGET: &str = "DELETE FROM views_of_version WHERE schema_name = $1";
/// What the first programs derived; their lease and the shared tables stay.
const DERIVED: &str = "SELECT tablename::TEXT FROM pg_tables WHERE schemaname = $1 AND tablename = ANY(ARRAY[
    'projection', 'generation', 'boundary', 'entity', 'entity_key', 'entity_count', 'change', 'change_term',
    'change_events', 'organization', 'runtime_group', 'token', 'certificate_claim', 'node_certificate',
    'stored_state'])";

/// Looks after them, as long as this process leads those of its version.
pub(crate) async fn look_after(postgres: &Postgres) {
    let mut said = Vec::new();
    loop {
        match round(postgres).await {
            Ok(in_use) if in_use != said => {
                info!(
                    others = in_use.join(", "),
                    "the views of other versions of this program that processes use beside these"
                );
                said = in_use;
            }
            Ok(_) => {}
            Err(error) => {
                warn!(%error, "the views of other versions can't be looked after; it is tried again");
            }
        }
        sleep(ROUND).await;
    }
}

/// Answers which are in use.
async fn round(postgres: &Postgres) -> Result<Vec<String>, sqlx::Error> {
    let mut connection = postgres.writes.acquire().await?;
    let shared = &postgres.schemas.shared;
    let first_lease = format!("{}.projector_lease", quoted(shared));
    sqlx::query(FIRST)
        .bind(shared)
        .bind(first_lease)
        .execute(&mut *connection)
        .await?;
    let others = sqlx::query(OTHERS).fetch_all(&mut *connection).await?;
    let mut in_use = Vec::new();
    for row in others {
        let name: String = row.get(0);
        if is_led(&mut connection, &name).await? {
            sqlx::query(IN_USE).bind(&name).execute(&mut *connection).await?;
            in_use.push(name);
        } else if sqlx::query_scalar(NOT_IN_USE)
            .bind(&name)
            .fetch_one(&mut *connection)
            .await?
        {
            remove(&mut connection, shared, &name).await?;
        }
    }
    Ok(in_use)
}

/// Whether a process projects the views in a schema: as long as one of their version runs, one does.
async fn is_led(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let lease = format!("{}.projector_lease", quoted(name));
    let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL");
    if !there.bind(&lease).fetch_one(&mut *connection).await? {
        return Ok(false);
    }
    let held = format!(
        "SELECT EXISTS (SELECT 1 FROM {lease}
         WHERE expires_at BETWEEN clock_timestamp() AND clock_timestamp() + INTERVAL '5 minutes')"
    );
    sqlx::query_scalar(AssertSqlSafe(held).into_sql_str())
        .fetch_one(connection)
        .await
}

/// Removes what nobody has used for a day, unless a process of that version has just started.
async fn remove(connection: &mut PgConnection, shared: &str, name: &str) -> Result<(), sqlx::Error> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query(TAKE_TURNS).execute(&mut *transaction).await?;
    let unused = sqlx::query_scalar::<_, Option<bool>>(STILL_UNUSED);
    let unused = unused.bind(name).fetch_optional(&mut *transaction).await?;
    if unused.flatten() != Some(true) {
        return Ok(());
    }
    let removal = if name == shared {
        let tables = sqlx::query_scalar::<_, String>(DERIVED);
        let tables = tables.bind(shared).fetch_all(&mut *transaction).await?;
        let tables: Vec<_> = tables
            .iter()
            .map(|table| format!("{}.{}", quoted(shared), quoted(table)))
            .collect();
        (!tables.is_empty()).then(|| format!("TRUNCATE {}", tables.join(", ")))
    } else {
        Some(format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(name)))
    };
    if let Some(removal) = removal {
        sqlx::query(AssertSqlSafe(removal).into_sql_str())
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query(FORGET).bind(name).execute(&mut *transaction).await?;
    transaction.commit().await?;
    info!(
        schema = name,
        "views of another version, unused for a day, were removed"
    );
    Ok(())
}
