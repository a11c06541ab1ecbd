//! The rows of a batch and the statements that write them.

use std::sync::LazyLock;

use domain::{Boundary, Keyring};

use super::bulk::Bulk;
use super::{LISTED_EVENTS, entities};
use crate::batch::{Batch, NewChange};
use crate::change_terms::Postings;
use crate::database::Connection;
use crate::error::ProjectionError;
use crate::summary::EventSummary;

/// How many events stand in one row of `change_events`.
const EVENTS_OF_A_ROW: usize = 1_000;

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
static INSERT_EVENTS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO change_events (generation, boundary, version, first_event, what) VALUES",
        5,
        "",
    )
});
static ADD_TERMS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO change_term (generation, boundary, term, block, versions) VALUES",
        5,
        "ON CONFLICT (generation, boundary, term, block) DO UPDATE SET versions = change_term.versions || excluded.versions",
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

static PUT_CLAIMS: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO certificate_claim (generation, fingerprint, organization_id, group_id, held) VALUES",
        5,
        "ON CONFLICT (generation, fingerprint) DO UPDATE SET organization_id = excluded.organization_id,
         group_id = excluded.group_id, held = excluded.held",
    )
});
static ADD_CERTIFICATES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "INSERT INTO node_certificate (generation, organization_id, group_id, certificate_id, fingerprint, is_ca, not_after, removed, record) VALUES",
        9,
        "",
    )
});
const REMOVE_CERTIFICATE: &str = "UPDATE node_certificate SET removed = 1
    WHERE generation = $1 AND organization_id = $2 AND group_id = $3 AND certificate_id = $4";

/// An index of times holds few rows that are later than a clock which is right.
const SET_BACK: &str = "UPDATE change SET at = $3 WHERE generation = $1 AND boundary = $2 AND at > $3";

const FORGET_STATE: &str = "DELETE FROM stored_state WHERE boundary = $1";
const FORGET_NODES: &str = "DELETE FROM observed_node WHERE group_id = $1";

#[cfg(test)]
pub(super) const STATEMENTS: [&str; 4] = [REMOVE_CERTIFICATE, SET_BACK, FORGET_STATE, FORGET_NODES];

#[cfg(test)]
pub(super) fn bulks() -> [&'static Bulk; 14] {
    [
        &entities::END_ENTITIES,
        &entities::END_KEYS,
        &entities::INSERT_ENTITIES,
        &entities::INSERT_KEYS,
        &ADD_COUNTS,
        &INSERT_CHANGES,
        &INSERT_EVENTS,
        &ADD_TERMS,
        &PUT_BOUNDARIES,
        &PUT_ORGANIZATIONS,
        &PUT_GROUPS,
        &PUT_TOKENS,
        &PUT_CLAIMS,
        &ADD_CERTIFICATES,
    ]
}

/// Writes all rows of a batch. What ended goes first: only one row of an entity is valid now.
pub(super) async fn write_rows(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
    keyring: &dyn Keyring,
) -> Result<(), ProjectionError> {
    let ended_tags = entities::write(connection, generation, batch, keyring).await?;
    write_counts(connection, generation, batch).await?;
    write_changes(connection, generation, batch).await?;
    write_terms(connection, generation, &batch.terms).await?;
    write_terms(connection, generation, &ended_tags).await?;
    write_registry(connection, generation, batch).await?;
    write_certificates(connection, generation, batch).await?;
    forget_purged(connection, batch).await
}

/// What isn't derived from the log, or is a copy of what was in it, goes with a purged group.
async fn forget_purged(connection: &mut Connection<'_>, batch: &Batch) -> Result<(), ProjectionError> {
    for group in batch.purged_groups() {
        let subject = Boundary::Group(group).subject();
        connection.execute(FORGET_STATE, [subject.into()]).await?;
        connection
            .execute(FORGET_NODES, [group.0.as_bytes().into()])
            .await?;
    }
    Ok(())
}

async fn write_counts(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let counts: Vec<_> = batch.counts.iter().collect();
    ADD_COUNTS
        .execute(connection, &counts, |((group, kind), count)| {
            [
                generation.into(),
                group.0.as_bytes().into(),
                kind.name().into(),
                (**count).into(),
            ]
        })
        .await?;
    Ok(())
}

async fn write_terms(
    connection: &mut Connection<'_>,
    generation: i64,
    terms: &Postings,
) -> Result<(), ProjectionError> {
    ADD_TERMS
        .execute(connection, &terms.rows(), |(boundary, term, number, block)| {
            [
                generation.into(),
                boundary.subject().into(),
                (&term.0).into(),
                (*number).into(),
                block.text().into(),
            ]
        })
        .await?;
    Ok(())
}

async fn write_changes(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    for (boundary, to) in &batch.set_back {
        let arguments = [generation.into(), boundary.subject().into(), to.0.into()];
        connection.execute(SET_BACK, arguments).await?;
    }
    INSERT_CHANGES
        .execute(connection, &batch.changes, |row| {
            let listed = row.events.len().min(LISTED_EVENTS);
            [
                generation.into(),
                row.boundary.subject().into(),
                row.version.cast_signed().into(),
                row.at.0.into(),
                row.position.0.cast_signed().into(),
                row.actor.clone().into(),
                row.reason.clone().into(),
                row.request_id.map(|id| id.as_bytes().to_vec()).into(),
                row.source.clone().into(),
                (row.events.len() as i64).into(),
                summaries(&row.events[..listed]).into(),
            ]
        })
        .await?;
    let others: Vec<_> = batch.changes.iter().flat_map(unlisted_events).collect();
    INSERT_EVENTS
        .execute(connection, &others, |(change, first, events)| {
            [
                generation.into(),
                change.boundary.subject().into(),
                change.version.cast_signed().into(),
                (*first as i64).into(),
                summaries(events).into(),
            ]
        })
        .await?;
    let boundaries: Vec<_> = batch.boundaries.iter().collect();
    PUT_BOUNDARIES
        .execute(connection, &boundaries, |(boundary, end)| {
            let (version, at) = end.newest.unwrap_or_default();
            [
                generation.into(),
                boundary.subject().into(),
                end.position.0.cast_signed().into(),
                (&end.digest.0).into(),
                version.cast_signed().into(),
                at.0.into(),
            ]
        })
        .await?;
    Ok(())
}

/// The events of a change that lists don't show, as rows take them: from which on, and some.
fn unlisted_events(change: &NewChange) -> impl Iterator<Item = (&NewChange, usize, &[EventSummary])> {
    let others = change.events.get(LISTED_EVENTS..).unwrap_or_default();
    let firsts = (LISTED_EVENTS..).step_by(EVENTS_OF_A_ROW);
    let chunks = others.chunks(EVENTS_OF_A_ROW).zip(firsts);
    chunks.map(move |(events, first)| (change, first, events))
}

fn summaries(events: &[EventSummary]) -> Vec<u8> {
    rmp_serde::to_vec_named(events).expect("summaries hold nothing that MessagePack can't express")
}

async fn write_registry(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let organizations: Vec<_> = batch.organizations.iter().collect();
    PUT_ORGANIZATIONS
        .execute(connection, &organizations, |(id, name)| {
            [generation.into(), id.0.as_bytes().into(), (*name).clone().into()]
        })
        .await?;
    let groups: Vec<_> = batch.groups.values().collect();
    PUT_GROUPS
        .execute(connection, &groups, |(organization, group)| {
            [
                generation.into(),
                organization.0.as_bytes().into(),
                group.id.0.as_bytes().into(),
                group.name.clone().into(),
                group.created_at.0.into(),
                i64::from(group.deleted_at.is_some()).into(),
                serde_json::to_string(group)
                    .expect("a group's record serializes")
                    .into(),
            ]
        })
        .await?;
    let tokens: Vec<_> = batch.tokens.values().collect();
    PUT_TOKENS
        .execute(connection, &tokens, |(organization, token)| {
            let record = rmp_serde::to_vec_named(token).expect("a token's record serializes");
            [
                generation.into(),
                organization.0.as_bytes().into(),
                token.id.0.as_bytes().into(),
                (&token.hash.0).into(),
                record.into(),
            ]
        })
        .await?;
    Ok(())
}

async fn write_certificates(
    connection: &mut Connection<'_>,
    generation: i64,
    batch: &Batch,
) -> Result<(), ProjectionError> {
    let claims: Vec<_> = batch.claims.iter().collect();
    PUT_CLAIMS
        .execute(connection, &claims, |(fingerprint, claim)| {
            [
                generation.into(),
                (&fingerprint.0).into(),
                claim.by.organization.0.as_bytes().into(),
                claim.by.group.0.as_bytes().into(),
                i64::from(claim.held).into(),
            ]
        })
        .await?;
    let rows = batch.certificates.values();
    let added: Vec<_> = rows
        .filter_map(|row| row.added.as_ref().map(|certificate| (row, certificate)))
        .collect();
    ADD_CERTIFICATES
        .execute(connection, &added, |(row, certificate)| {
            let record = rmp_serde::to_vec_named(certificate).expect("a certificate's record serializes");
            [
                generation.into(),
                row.organization.0.as_bytes().into(),
                certificate.group.0.as_bytes().into(),
                certificate.id.0.as_bytes().into(),
                (&row.fingerprint.0).into(),
                i64::from(certificate.content.is_ca).into(),
                certificate.content.not_after.0.into(),
                i64::from(row.removed).into(),
                record.into(),
            ]
        })
        .await?;
    for ((group, id), row) in &batch.certificates {
        if row.added.is_none() {
            let arguments = [
                generation.into(),
                row.organization.0.as_bytes().into(),
                group.0.as_bytes().into(),
                id.0.as_bytes().into(),
            ];
            connection.execute(REMOVE_CERTIFICATE, arguments).await?;
        }
    }
    Ok(())
}
