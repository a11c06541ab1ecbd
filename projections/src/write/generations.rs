//! Generations of the derived rows: which one is read, how far each has come, and deleting those that are retired.

use domain::{Boundary, Digest, Position};

use super::{Held, VIEWS_VERSION};
use crate::database::{Connection, Database, Row, Writer};
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
/// Leaves the row as it is, but nobody else changes it until the transaction ends.
const LOCK_LIVE: &str = "UPDATE generation SET position = position
    WHERE generation = (SELECT live FROM projection) AND retired = 0 RETURNING position, epoch";
const CLAIM: &str = "UPDATE generation SET epoch = $1
    WHERE generation = (SELECT live FROM projection) AND retired = 0 AND epoch <= $1";
const ADOPT: &str = "UPDATE generation SET epoch = $2 WHERE generation = $1 AND retired = 0";
const FORGET: &str = "DELETE FROM generation WHERE generation = $1 AND retired = 1";
const CHECKPOINT: &str = "SELECT position, digest FROM generation WHERE generation = $1";
const BOUNDARIES: &str = "SELECT boundary, position, digest FROM boundary WHERE generation = $1";

/// Each deletes some rows of a retired generation; bounded, so that writers don't wait long.
const DELETE_SOME: [&str; 12] = [
    "DELETE FROM entity WHERE (generation, group_id, kind, entity_id, from_version) IN
        (SELECT generation, group_id, kind, entity_id, from_version FROM entity WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM entity_key WHERE (generation, group_id, search_key, kind, to_version, entity_id) IN
        (SELECT generation, group_id, search_key, kind, to_version, entity_id FROM entity_key WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM change WHERE (generation, boundary, version) IN
        (SELECT generation, boundary, version FROM change WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM change_term WHERE (generation, boundary, term, block) IN
        (SELECT generation, boundary, term, block FROM change_term WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM change_events WHERE (generation, boundary, version, first_event) IN
        (SELECT generation, boundary, version, first_event FROM change_events WHERE generation = $1 LIMIT 200)",
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
    "DELETE FROM certificate_claim WHERE (generation, fingerprint) IN
        (SELECT generation, fingerprint FROM certificate_claim WHERE generation = $1 LIMIT 2000)",
    "DELETE FROM node_certificate WHERE (generation, organization_id, group_id, certificate_id) IN
        (SELECT generation, organization_id, group_id, certificate_id FROM node_certificate WHERE generation = $1 LIMIT 2000)",
];

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 24] = [
    LIVE,
    FILLING,
    NEW,
    SET_LIVE,
    RETIRE_OTHERS,
    RETIRED,
    LOCK_LIVE,
    CLAIM,
    ADOPT,
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
    DELETE_SOME[8],
    DELETE_SOME[9],
    DELETE_SOME[10],
    DELETE_SOME[11],
];

/// From where a generation's writer goes on: the last record it holds, and the ends of the boundaries' chains.
pub(crate) struct Resumption {
    pub(crate) generation: i64,
    pub(crate) position: Position,
    pub(crate) digest: Digest,
    pub(crate) ends: Vec<(Boundary, Position, Digest)>,
}

/// Makes sure that there is a generation to read. If there is none, or another version of the code filled it, an empty
/// one takes its place and is filled from the start of the log. On PostgreSQL every version has generations of its own.
pub(crate) async fn prepare(database: &Database) -> Result<(), ProjectionError> {
    let mut writer = database.write().await?;
    let mut transaction = writer.begin().await?;
    transaction.take_turns().await?;
    let live = transaction.connection().fetch_optional(LIVE, []).await?;
    if let Some(row) = live {
        let version: i64 = row.get(1)?;
        if version == VIEWS_VERSION {
            return Ok(());
        }
    }
    let generation = new(&mut transaction.connection()).await?;
    make_live(&mut transaction.connection(), generation).await?;
    transaction.announce(generation, Position::START).await?;
    transaction.commit().await?;
    Ok(())
}

/// From where the live generation goes on.
pub(crate) async fn resume_live(writer: &mut Writer<'_>) -> Result<Resumption, ProjectionError> {
    let mut snapshot = writer.begin_snapshot().await?;
    let mut connection = snapshot.connection();
    let live = connection.fetch_optional(LIVE, []).await?;
    let row = live.ok_or(sqlx::Error::RowNotFound)?;
    resumption(&mut connection, row.get(0)?).await
}

/// From where the generation goes on that a rebuild fills: one that an earlier rebuild began, or a new one.
pub(crate) async fn resume_filling(writer: &mut Writer<'_>) -> Result<Resumption, ProjectionError> {
    let mut transaction = writer.begin().await?;
    transaction.take_turns().await?;
    let mut connection = transaction.connection();
    let begun = connection.fetch_optional(FILLING, [VIEWS_VERSION.into()]).await?;
    let generation = match begun {
        Some(row) => row.get(0)?,
        None => new(&mut connection).await?,
    };
    let resumption = resumption(&mut connection, generation).await?;
    transaction.commit().await?;
    Ok(resumption)
}

async fn new(connection: &mut Connection<'_>) -> Result<i64, ProjectionError> {
    let arguments = [VIEWS_VERSION.into(), (&Digest::ZERO.0).into()];
    let row = connection.fetch_optional(NEW, arguments).await?;
    Ok(row.ok_or(sqlx::Error::RowNotFound)?.get(0)?)
}

async fn resumption(connection: &mut Connection<'_>, generation: i64) -> Result<Resumption, ProjectionError> {
    let row = connection.fetch_optional(CHECKPOINT, [generation.into()]).await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    let end = |row: &Row| {
        let boundary = row
            .get::<&str>(0)?
            .parse()
            .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok::<_, sqlx::Error>((boundary, position(row, 1)?, digest(row, 2)?))
    };
    let ends = connection.fetch_all(BOUNDARIES, [generation.into()]).await?;
    Ok(Resumption {
        generation,
        position: position(&row, 0)?,
        digest: digest(&row, 1)?,
        ends: ends.iter().map(end).collect::<Result<_, _>>()?,
    })
}

/// Makes the live generation the one that is written under this lease; not if a later lease has it already.
pub(crate) async fn claim(writer: &mut Writer<'_>, epoch: i64) -> Result<bool, ProjectionError> {
    Ok(writer.connection().execute(CLAIM, [epoch.into()]).await? > 0)
}

/// Keeps everybody else from writing into the live generation until the transaction ends; answers where it stands and
/// under which lease it is written.
pub(crate) async fn lock_live(connection: &mut Connection<'_>) -> Result<(Position, i64), ProjectionError> {
    let row = connection.fetch_optional(LOCK_LIVE, []).await?;
    let row = row.ok_or(ProjectionError::OtherRebuild)?;
    Ok((position(&row, 0)?, row.get(1)?))
}

/// Flips to a generation and retires every other. `held` tells under which lease it is written from now on.
pub(crate) async fn flip(connection: &mut Connection<'_>, held: Held) -> Result<(), ProjectionError> {
    let arguments = [held.generation.into(), held.epoch.into()];
    if connection.execute(ADOPT, arguments).await? == 0 {
        return Err(ProjectionError::OtherRebuild);
    }
    make_live(connection, held.generation).await
}

async fn make_live(connection: &mut Connection<'_>, generation: i64) -> Result<(), ProjectionError> {
    connection.execute(SET_LIVE, [generation.into()]).await?;
    connection.execute(RETIRE_OTHERS, [generation.into()]).await?;
    Ok(())
}

/// The generations that are retired and not deleted yet, the oldest first.
pub(crate) async fn retired(writer: &mut Writer<'_>) -> Result<Vec<i64>, ProjectionError> {
    let rows = writer.connection().fetch_all(RETIRED, []).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?)
}

/// Deletes some rows of a retired generation; says whether there may be more.
pub(crate) async fn delete_some(writer: &mut Writer<'_>, generation: i64) -> Result<bool, ProjectionError> {
    let mut connection = writer.connection();
    for statement in DELETE_SOME {
        if connection.execute(statement, [generation.into()]).await? > 0 {
            return Ok(true);
        }
    }
    connection.execute(FORGET, [generation.into()]).await?;
    Ok(false)
}

fn position(row: &Row, column: usize) -> Result<Position, sqlx::Error> {
    Ok(Position(row.get::<i64>(column)?.cast_unsigned()))
}

fn digest(row: &Row, column: usize) -> Result<Digest, sqlx::Error> {
    let bytes: &[u8] = row.get(column)?;
    let bytes = bytes
        .try_into()
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Digest(bytes))
}
