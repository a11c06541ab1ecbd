//! The rows of a batch and the statements that write them.

use std::sync::LazyLock;

use domain::{EntityId, GroupId, Kind, Version};

use super::STILL_VALID;
use super::bulk::Bulk;
use crate::batch::{Batch, EntityKey};
use crate::database::{Connection, Query};
use crate::error::ProjectionError;

static END_ENTITIES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE entity SET to_version = ended.column5 FROM (VALUES",
        5,
        ") AS ended WHERE entity.generation = ended.column1 AND entity.group_id = ended.column2 AND entity.kind = ended.column3
         AND entity.entity_id = ended.column4 AND entity.to_version = 9223372036854775807",
    )
});
static END_KEYS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "UPDATE entity_key SET to_version = ended.column5 FROM (VALUES",
        5,
        ") AS ended WHERE entity_key.generation = ended.column1 AND entity_key.group_id = ended.column2
         AND entity_key.kind = ended.column3 AND entity_key.entity_id = ended.column4
         AND entity_key.to_version = 9223372036854775807",
    )
});
static INSERT_ENTITIES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO entity (generation, group_id, kind, entity_id, from_version, to_version, expires_at, body, sealed) VALUES",
        9,
        "",
    )
});
static INSERT_KEYS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO entity_key (generation, group_id, search_key, kind, to_version, entity_id, from_version) VALUES",
        7,
        "",
    )
});
static ADD_COUNTS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO entity_count (generation, group_id, kind, entities) VALUES",
        4,
        "ON CONFLICT (generation, group_id, kind) DO UPDATE SET entities = entity_count.entities + excluded.entities",
    )
});
static INSERT_CHANGES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO change (generation, boundary, version, at, position, actor, reason, request_id, source, events, what) VALUES",
        11,
        "",
    )
});
static PUT_BOUNDARIES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO boundary (generation, boundary, position, digest, version, at) VALUES",
        6,
        "ON CONFLICT (generation, boundary) DO UPDATE SET position = excluded.position, digest = excluded.digest,
         version = CASE WHEN excluded.version = 0 THEN boundary.version ELSE excluded.version END,
         at = CASE WHEN excluded.version = 0 THEN boundary.at ELSE excluded.at END",
    )
});
static PUT_ORGANIZATIONS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO organization (generation, organization_id, name) VALUES",
        3,
        "ON CONFLICT (generation, organization_id) DO UPDATE SET name = excluded.name",
    )
});
static PUT_GROUPS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO runtime_group (generation, organization_id, group_id, name, created_at, deleted, record) VALUES",
        7,
        "ON CONFLICT (generation, organization_id, group_id) DO UPDATE SET name = excluded.name,
         created_at = excluded.created_at, deleted = excluded.deleted, record = excluded.record",
    )
});
static PUT_TOKENS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO token (generation, organization_id, token_id, hash, record) VALUES",
        5,
        "ON CONFLICT (generation, organization_id, token_id) DO UPDATE SET hash = excluded.hash, record = excluded.record",
    )
});

#[cfg(test)]
pub(super) fn bulks() -> [&'static Bulk; 10] {
    [
        &END_ENTITIES,
        &END_KEYS,
        &INSERT_ENTITIES,
        &INSERT_KEYS,
        &ADD_COUNTS,
        &INSERT_CHANGES,
        &PUT_BOUNDARIES,
        &PUT_ORGANIZATIONS,
        &PUT_GROUPS,
        &PUT_TOKENS,
    ]
}

/// Writes all rows of a batch. What ended goes first: only one row of an entity is valid now.
pub(super) async fn write_rows(
    connection: &mut Connection,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    write_entities(connection, generation, batch).await?;
    write_changes(connection, generation, batch).await?;
    write_registry(connection, generation, batch).await
}

async fn write_entities(
    connection: &mut Connection,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let end = |query: Query<'static>, (key, at): &(EntityKey, Version)| {
        bind_key(query.bind(generation), key).bind(at.cast_signed())
    };
    END_ENTITIES
        .execute(connection, &batch.ended_entities, end)
        .await?;
    END_KEYS.execute(connection, &batch.ended_keys, end).await?;
    INSERT_ENTITIES
        .execute(connection, &batch.valid_entities(), |query, row| {
            bind_key(query.bind(generation), &row.key)
                .bind(row.from.cast_signed())
                .bind(end_of(row.to))
                .bind(row.expires_at.map(|at| at.0))
                .bind(row.body.clone())
                .bind(row.sealed.clone())
        })
        .await?;
    INSERT_KEYS
        .execute(connection, &batch.valid_keys(), |query, row| {
            let (group, kind, id) = row.key;
            query
                .bind(generation)
                .bind(group_bytes(group))
                .bind(row.search_key.clone())
                .bind(kind.name())
                .bind(end_of(row.to))
                .bind(entity_bytes(id))
                .bind(row.from.cast_signed())
        })
        .await?;
    let counts: Vec<_> = batch.counts.iter().collect();
    ADD_COUNTS
        .execute(connection, &counts, |query, ((group, kind), count)| {
            query
                .bind(generation)
                .bind(group_bytes(*group))
                .bind(kind.name())
                .bind(**count)
        })
        .await?;
    Ok(())
}

async fn write_changes(
    connection: &mut Connection,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    INSERT_CHANGES
        .execute(connection, &batch.changes, |query, row| {
            let what = rmp_serde::to_vec_named(&row.events)
                .expect("summaries hold nothing that MessagePack can't express");
            query
                .bind(generation)
                .bind(row.boundary.subject())
                .bind(row.version.cast_signed())
                .bind(row.at.0)
                .bind(row.position.0.cast_signed())
                .bind(row.actor.clone())
                .bind(row.reason.clone())
                .bind(row.request_id.map(|id| id.as_bytes().to_vec()))
                .bind(row.source.clone())
                .bind(row.events.len() as i64)
                .bind(what)
        })
        .await?;
    let boundaries: Vec<_> = batch.boundaries.iter().collect();
    PUT_BOUNDARIES
        .execute(connection, &boundaries, |query, (boundary, end)| {
            let (version, at) = end.newest.unwrap_or_default();
            query
                .bind(generation)
                .bind(boundary.subject())
                .bind(end.position.0.cast_signed())
                .bind(end.digest.0.to_vec())
                .bind(version.cast_signed())
                .bind(at.0)
        })
        .await?;
    Ok(())
}

async fn write_registry(
    connection: &mut Connection,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let organizations: Vec<_> = batch.organizations.iter().collect();
    PUT_ORGANIZATIONS
        .execute(connection, &organizations, |query, (id, name)| {
            query
                .bind(generation)
                .bind(id.0.as_bytes().to_vec())
                .bind((*name).clone())
        })
        .await?;
    let groups: Vec<_> = batch.groups.values().collect();
    PUT_GROUPS
        .execute(connection, &groups, |query, (organization, group)| {
            query
                .bind(generation)
                .bind(organization.0.as_bytes().to_vec())
                .bind(group_bytes(group.id))
                .bind(group.name.clone())
                .bind(group.created_at.0)
                .bind(i64::from(group.deleted_at.is_some()))
                .bind(serde_json::to_string(group).expect("a group's record serializes"))
        })
        .await?;
    let tokens: Vec<_> = batch.tokens.values().collect();
    PUT_TOKENS
        .execute(connection, &tokens, |query, (organization, token)| {
            let record = rmp_serde::to_vec_named(token).expect("a token's record serializes");
            query
                .bind(generation)
                .bind(organization.0.as_bytes().to_vec())
                .bind(token.id.0.as_bytes().to_vec())
                .bind(token.hash.0.to_vec())
                .bind(record)
        })
        .await?;
    Ok(())
}

fn bind_key(query: Query<'static>, (group, kind, id): &EntityKey) -> Query<'static> {
    bind_entity(query, *group, *kind, *id)
}

fn bind_entity(query: Query<'static>, group: GroupId, kind: Kind, id: EntityId) -> Query<'static> {
    query
        .bind(group_bytes(group))
        .bind(kind.name())
        .bind(entity_bytes(id))
}

fn group_bytes(group: GroupId) -> Vec<u8> {
    group.0.as_bytes().to_vec()
}

fn entity_bytes(id: EntityId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}

fn end_of(to: Option<Version>) -> i64 {
    to.map_or(STILL_VALID, Version::cast_signed)
}
