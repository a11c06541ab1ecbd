//! Generations of the derived rows: which one is read, how far each has come, and deleting those that are retired.

use domain::{Boundary, Digest, Position};
use sqlx::{Connection as _, Row as _};

use super::VIEWS_VERSION;
use crate::database::{Connection, Row};
use crate::error::ProjectionError;

const LIVE: &str = "SELECT live, views_version FROM projection JOIN generation ON generation = live";
const FILLING: &str = "SELECT generation FROM generation
    WHERE retired = 0 AND views_version = $1 AND generation <> (SELECT live FROM projection) ORDER BY generation LIMIT 1";
const NEW: &str = "INSERT INTO generation (generation, views_version, position, digest, retired)
    SELECT coalesce(max(generation), 0) + 1, $1, 0, $2, 0 FROM generation RETURNING generation";
const SET_LIVE: &str =
    "INSERT INTO projection (one, live) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET live = excluded.live";
const RETIRE_OTHERS: &str = "UPDATE generation SET retired = 1 WHERE generation <> $1";
const RETIRED: &str = "SELECT generation FROM generation WHERE retired = 1 ORDER BY generation";
const FORGET: &str = "DELETE FROM generation WHERE generation = $1 AND retired = 1";
const CHECKPOINT: &str = "SELECT position, digest FROM generation WHERE generation = $1";
const BOUNDARIES: &str = "SELECT boundary, position, digest FROM boundary WHERE generation = $1";

/// Each deletes some rows of a retired generation; bounded, so that writers don't wait long.
const DELETE_SOME: [&str; 8] = [
    "DELETE FROM entity WHERE (generation, group_id, kind, entity_id, from_version) IN
        (SELECT generation, group_id, kind, entity_id, from_version FROM entity WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM entity_key WHERE (generation, group_id, search_key, kind, to_version, entity_id) IN
        (SELECT generation, group_id, search_key, kind, to_version, entity_id FROM entity_key WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM change WHERE (generation, boundary, version) IN
        (SELECT generation, boundary, version FROM change WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM entity_count WHERE (generation, group_id, kind) IN
        (SELECT generation, group_id, kind FROM entity_count WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM boundary WHERE (generation, boundary) IN
        (SELECT generation, boundary FROM boundary WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM organization WHERE (generation, organization_id) IN
        (SELECT generation, organization_id FROM organization WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM runtime_group WHERE (generation, organization_id, group_id) IN
        (SELECT generation, organization_id, group_id FROM runtime_group WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM token WHERE (generation, organization_id, token_id) IN
        (SELECT generation, organization_id, token_id FROM token WHERE generation = $1 LIMIT 2000)",
];

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 17] = [
    LIVE,
    FILLING,
    NEW,
    SET_LIVE,
    RETIRE_OTHERS,
    RETIRED,
    FORGET,
    CHECKPOINT,
    BOUNDARIES,
    DELETE_SOME[0],
    DELETE_SOME[1],
    DELETE_SOME[2],
    DELETE_SOME[3],
    DELETE_SOME[4],
    DELETE_SOME[5],
    DELETE_SOME[6],
    DELETE_SOME[7],
];

/// The generation that is read. If there is none, or another version of the code filled it, an empty one takes its
/// place and is filled from the start of the log.
pub(crate) async fn live(connection: &mut Connection) -> Result<i64, ProjectionError> {
    let live = sqlx::query(LIVE).fetch_optional(&mut *connection).await?;
    if let Some(row) = live
        && row.try_get::<i64, _>(1)? == VIEWS_VERSION
    {
        return Ok(row.try_get(0)?);
    }
    let mut transaction = connection.begin().await?;
    let generation = new(&mut transaction).await?;
    make_live(&mut transaction, generation).await?;
    transaction.commit().await?;
    Ok(generation)
}

/// The generation that a rebuild fills: one that an earlier rebuild began, or a new one.
pub(crate) async fn filling(connection: &mut Connection) -> Result<i64, ProjectionError> {
    let begun: Option<i64> = sqlx::query_scalar(FILLING)
        .bind(VIEWS_VERSION)
        .fetch_optional(&mut *connection)
        .await?;
    match begun {
        Some(generation) => Ok(generation),
        None => new(connection).await,
    }
}

async fn new(connection: &mut Connection) -> Result<i64, ProjectionError> {
    let generation = sqlx::query_scalar(NEW)
        .bind(VIEWS_VERSION)
        .bind(Digest::ZERO.0.as_slice())
        .fetch_one(connection)
        .await?;
    Ok(generation)
}

/// Flips to a generation and retires every other, in one transaction.
pub(crate) async fn flip(connection: &mut Connection, generation: i64) -> Result<(), ProjectionError> {
    let mut transaction = connection.begin().await?;
    make_live(&mut transaction, generation).await?;
    transaction.commit().await?;
    Ok(())
}

async fn make_live(connection: &mut Connection, generation: i64) -> Result<(), ProjectionError> {
    sqlx::query(SET_LIVE)
        .bind(generation)
        .execute(&mut *connection)
        .await?;
    sqlx::query(RETIRE_OTHERS)
        .bind(generation)
        .execute(connection)
        .await?;
    Ok(())
}

/// How far a generation has come, and the digest of the last record it holds.
pub(crate) async fn checkpoint(
    connection: &mut Connection,
    generation: i64,
) -> Result<(Position, Digest), ProjectionError> {
    let row = sqlx::query(CHECKPOINT)
        .bind(generation)
        .fetch_one(connection)
        .await?;
    Ok((position(&row, 0)?, digest(&row, 1)?))
}

/// The ends of the boundaries' chains that a generation holds.
pub(crate) async fn boundary_ends(
    connection: &mut Connection,
    generation: i64,
) -> Result<Vec<(Boundary, Position, Digest)>, ProjectionError> {
    let rows = sqlx::query(BOUNDARIES)
        .bind(generation)
        .fetch_all(connection)
        .await?;
    let end = |row: &Row| {
        let boundary = row
            .try_get::<&str, _>(0)?
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok((boundary, position(row, 1)?, digest(row, 2)?))
    };
    rows.iter().map(end).collect()
}

/// Deletes some rows of a retired generation; says whether there may be more.
pub(crate) async fn delete_some_retired(connection: &mut Connection) -> Result<bool, ProjectionError> {
    let retired: Option<i64> = sqlx::query_scalar(RETIRED)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(generation) = retired else {
        return Ok(false);
    };
    for statement in DELETE_SOME {
        let deleted = sqlx::query(statement)
            .bind(generation)
            .execute(&mut *connection)
            .await?;
        if deleted.rows_affected() > 0 {
            return Ok(true);
        }
    }
    sqlx::query(FORGET).bind(generation).execute(connection).await?;
    Ok(true)
}

fn position(row: &Row, column: usize) -> Result<Position, sqlx::Error> {
    Ok(Position(row.try_get::<i64, _>(column)?.cast_unsigned()))
}

fn digest(row: &Row, column: usize) -> Result<Digest, sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    let bytes = bytes
        .try_into()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Digest(bytes))
}
