//! The rows of entities. They are sealed a few at a time as they are written, so that what a change of a hundred thousand entities
//! sealed never stands in memory as a whole.

use std::sync::{Arc, LazyLock};

use domain::group::event::seal_body;
use domain::keyring::KeyNotLoaded;
use domain::{Boundary, DataKeys, GroupId, Keyring, Version};
use uuid::Uuid;

use super::STILL_VALID;
use super::bulk::Bulk;
use crate::batch::{Batch, EntityKey, EntityRow, KeyRows};
use crate::change_terms::Postings;
use crate::database::Connection;
use crate::error::ProjectionError;
use crate::search_key;

/// How many entities are sealed at once.
const AT_ONCE: usize = 512;

pub(super) static END_ENTITIES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE entity SET to_version = ended.column5 FROM (VALUES",
        5,
        ") AS ended WHERE entity.generation = ended.column1 AND entity.group_id = ended.column2 AND entity.kind = ended.column3
         AND entity.entity_id = ended.column4 AND entity.to_version = 9223372036854775807",
    )
});
pub(super) static END_KEYS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE entity_key SET to_version = ended.column5 FROM (VALUES",
        5,
        ") AS ended WHERE entity_key.generation = ended.column1 AND entity_key.group_id = ended.column2
         AND entity_key.kind = ended.column3 AND entity_key.entity_id = ended.column4
         AND entity_key.to_version = 9223372036854775807
         RETURNING entity_key.group_id, entity_key.search_key, entity_key.to_version",
    )
});
pub(super) static INSERT_ENTITIES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO entity (generation, group_id, kind, entity_id, from_version, to_version, expires_at, body, sealed) VALUES",
        9,
        "",
    )
});
pub(super) static INSERT_KEYS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO entity_key (generation, group_id, search_key, kind, to_version, entity_id, from_version) VALUES",
        7,
        "",
    )
});
/// Writes what the batch's entities were and are. Answers which changes took a tag from an entity, or an entity with one.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
    keyring: &dyn Keyring,
) -> Result<Postings, ProjectionError> {
    let ended_tags = end(connection, generation, batch).await?;
    let mut rows = batch.valid_entities();
    while let Some(some) = next_some(&mut rows) {
        let sealed: Vec<_> =
            loaded(keyring, || some.iter().map(|row| sealed(row, keyring)).collect()).await?;
        INSERT_ENTITIES
            .execute(connection, &sealed, |(row, body, sealed)| {
                let EntityRow { group, entity, .. } = row;
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    entity.kind.name().into(),
                    entity.id.0.as_bytes().into(),
                    row.from.cast_signed().into(),
                    end_of(row.to).into(),
                    entity.expires_at.map(|at| at.0).into(),
                    (&**body).into(),
                    sealed.clone().into(),
                ]
            })
            .await?;
    }
    let mut rows = batch.valid_keys();
    while let Some(some) = next_some(&mut rows) {
        let found_by: Vec<_> = loaded(keyring, || {
            some.iter().map(|rows| found_by(rows, keyring)).collect()
        })
        .await?;
        INSERT_KEYS
            .execute(connection, &found_by.concat(), |(rows, search_key)| {
                let KeyRows { group, entity, .. } = rows;
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    search_key.clone().into(),
                    entity.kind.name().into(),
                    end_of(rows.to).into(),
                    entity.id.0.as_bytes().into(),
                    rows.from.cast_signed().into(),
                ]
            })
            .await?;
    }
    Ok(ended_tags)
}

/// Ends rows of earlier batches; answers which tags went with them.
async fn end(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
) -> Result<Postings, ProjectionError> {
    let end = |((group, kind, id), at): &(EntityKey, Version)| {
        [
            generation.into(),
            group.0.as_bytes().into(),
            kind.name().into(),
            id.0.as_bytes().into(),
            at.cast_signed().into(),
        ]
    };
    END_ENTITIES
        .execute(connection, &batch.ended_entities, end)
        .await?;
    let mut ended_tags = Postings::default();
    for (statement, rows) in END_KEYS.pieces(connection.engine(), &batch.ended_keys) {
        for row in connection.fetch_all(statement, rows.iter().flat_map(end)).await? {
            let group =
                Uuid::from_slice(row.get(0)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            let version: i64 = row.get(2)?;
            ended_tags.add_tag(GroupId(group), row.get(1)?, version.cast_unsigned());
        }
    }
    Ok(ended_tags)
}

/// The next rows that are sealed at once; none after the last.
fn next_some<Row>(rows: &mut impl Iterator<Item = Row>) -> Option<Vec<Row>> {
    let some: Vec<_> = rows.take(AT_ONCE).collect();
    (!some.is_empty()).then_some(some)
}

/// What work comes to when the keys it needs are loaded.
async fn loaded<Out>(
    keyring: &dyn Keyring,
    mut work: impl FnMut() -> Result<Out, KeyNotLoaded>,
) -> Result<Out, ProjectionError> {
    loop {
        match work() {
            Ok(out) => return Ok(out),
            Err(missing) => keyring.load(&[missing.0].into()).await?,
        }
    }
}

/// The body as it rests, and its sealed fields if it has some.
type Sealed<'row> = (&'row EntityRow, Arc<str>, Option<Vec<u8>>);

fn sealed<'row>(row: &'row EntityRow, keys: &dyn DataKeys) -> Result<Sealed<'row>, KeyNotLoaded> {
    let (body, sealed) = seal_body(&row.entity, Boundary::Group(row.group), keys)?;
    let sealed = (!sealed.is_empty()).then(|| {
        rmp_serde::to_vec_named(&sealed).expect("sealed fields hold nothing that MessagePack can't express")
    });
    Ok((row, body, sealed))
}

/// Each of an entity's search keys.
fn found_by<'rows>(
    rows: &'rows KeyRows,
    keys: &dyn DataKeys,
) -> Result<Vec<(&'rows KeyRows, Vec<u8>)>, KeyNotLoaded> {
    let all = search_key::all_of(&rows.entity, rows.group, keys)?;
    Ok(all.into_iter().map(|search_key| (rows, search_key)).collect())
}

fn end_of(to: Option<Version>) -> i64 {
    to.map_or(STILL_VALID, Version::cast_signed)
}
