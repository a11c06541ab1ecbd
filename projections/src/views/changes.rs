//! The history: the changes of every boundary, and what each did to a group's entities.

use std::collections::HashMap;
use std::sync::Arc;

use domain::group::Entity;
use domain::{Actor, Boundary, EntityId, GroupId, Kind, Position, Timestamp, Version};
use uuid::Uuid;

use super::entity_row::EntityRow;
use super::{Views, limit};
use crate::database::Row;
use crate::error::ViewError;
use crate::summary::{EventSummary, entity_name};
use crate::write::STILL_VALID;

const PAGE: &str = "SELECT version, at, position, actor, reason, request_id, source, events, what FROM change
    WHERE generation = $1 AND boundary = $2 AND version < $3 ORDER BY version DESC LIMIT $4";
const ONE: &str = "SELECT version, at, position, actor, reason, request_id, source, events, what FROM change
    WHERE generation = $1 AND boundary = $2 AND version = $3";
const BODIES: &str = "SELECT entity_id, from_version, to_version, expires_at, body, sealed FROM entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id = $4 AND from_version < $5
    ORDER BY from_version DESC LIMIT $6";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PAGE, ONE, BODIES];

/// How many of a change's events a list shows.
const LISTED_EVENTS: usize = 20;

/// A change as the history lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    /// Its number within the boundary.
    pub version: Version,
    /// When.
    pub at: Timestamp,
    /// The commit that holds it.
    pub position: Position,
    /// Who.
    pub actor: Actor,
    /// Why, if somebody said.
    pub reason: Option<String>,
    /// The request that asked for it.
    pub request_id: Option<Uuid>,
    /// The address it came from.
    pub source: Option<String>,
    /// How many events it has.
    pub event_count: usize,
    /// Its events; a list has the first 20 only.
    pub events: Vec<EventSummary>,
}

/// A change with what each event did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeDetail {
    /// The change, with all its events.
    pub change: ChangeRow,
    /// One per event, in order.
    pub events: Vec<EventDetail>,
}

/// An event and the entity it is about, before and after the whole change: where several events of one change touch
/// the same entity, each shows what they did together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDetail {
    /// What happened.
    pub summary: EventSummary,
    /// The entity before the change; none if it is new or the event isn't about an entity.
    pub before: Option<Arc<Entity>>,
    /// The entity after the change; none if it is gone or the event isn't about an entity.
    pub after: Option<Arc<Entity>>,
}

/// What one change did to one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// The change.
    pub change: ChangeRow,
    /// The entity before it; none if the change created it.
    pub before: Option<Arc<Entity>>,
    /// The entity after it; none if the change deleted it.
    pub after: Option<Arc<Entity>>,
}

type Bodies = (Option<Arc<Entity>>, Option<Arc<Entity>>);

impl Views {
    /// A boundary's changes before a version (from the newest on if none), the newest first.
    pub async fn changes(
        &self,
        boundary: Boundary,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<ChangeRow>, ViewError> {
        let generation = *self.generation().await;
        let rows = self
            .database()
            .fetch_all(
                PAGE,
                [
                    generation.into(),
                    boundary.subject().into(),
                    bound(before).into(),
                    limit(size).into(),
                ],
            )
            .await?;
        let mut changes = rows.iter().map(change).collect::<Result<Vec<_>, _>>()?;
        for change in &mut changes {
            change.events.truncate(LISTED_EVENTS);
            if let Boundary::Group(group) = boundary {
                self.name_events(generation, group, change).await?;
            }
        }
        Ok(changes)
    }

    /// Fills in names that the history doesn't hold in plain text, or that a deletion doesn't repeat.
    async fn name_events(
        &self,
        generation: i64,
        group: GroupId,
        change: &mut ChangeRow,
    ) -> Result<(), ViewError> {
        for event in change.events.iter_mut().filter(|event| event.name.is_none()) {
            let Some((kind, id)) = subject(event) else {
                continue;
            };
            let rows = self
                .bodies(generation, group, kind, id, Some(change.version + 1), 1)
                .await?;
            if let Some(row) = rows.into_iter().next() {
                event.name = entity_name(&*self.open(group, kind, row).await?);
            }
        }
        Ok(())
    }

    /// A change with all its events and what they did; none if the boundary has no such version.
    pub async fn change(
        &self,
        boundary: Boundary,
        version: Version,
    ) -> Result<Option<ChangeDetail>, ViewError> {
        let generation = *self.generation().await;
        let Some(mut change) = self.change_row(generation, boundary, version).await? else {
            return Ok(None);
        };
        let mut events = Vec::with_capacity(change.events.len());
        let mut known = HashMap::new();
        for summary in &mut change.events {
            let (before, after) = match (boundary, subject(summary)) {
                (Boundary::Group(group), Some((kind, id))) => match known.get(&(kind, id)) {
                    Some(bodies) => Bodies::clone(bodies),
                    None => {
                        let bodies = self.around(generation, group, kind, id, version).await?;
                        known.insert((kind, id), bodies.clone());
                        bodies
                    }
                },
                _ => (None, None),
            };
            if summary.name.is_none() {
                summary.name = after
                    .as_ref()
                    .or(before.as_ref())
                    .and_then(|entity| entity_name(entity));
            }
            events.push(EventDetail {
                summary: summary.clone(),
                before,
                after,
            });
        }
        Ok(Some(ChangeDetail { change, events }))
    }

    async fn change_row(
        &self,
        generation: i64,
        boundary: Boundary,
        version: Version,
    ) -> Result<Option<ChangeRow>, ViewError> {
        let row = self
            .database()
            .fetch_optional(
                ONE,
                [
                    generation.into(),
                    boundary.subject().into(),
                    bound(Some(version)).into(),
                ],
            )
            .await?;
        row.as_ref().map(change).transpose()
    }

    /// An entity before and after a change.
    async fn around(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        version: Version,
    ) -> Result<Bodies, ViewError> {
        let (mut before, mut after) = (None, None);
        for row in self
            .bodies(generation, group, kind, id, Some(version + 1), 2)
            .await?
        {
            if row.from == version {
                after = Some(self.open(group, kind, row).await?);
            } else if row.to == Some(version) {
                before = Some(self.open(group, kind, row).await?);
            }
        }
        Ok((before, after))
    }

    /// The changes that touched an entity before a version (from the newest on if none), the newest first.
    pub async fn entity_history(
        &self,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<EntityChange>, ViewError> {
        let generation = *self.generation().await;
        let rows = self
            .bodies(generation, group, kind, id, before, size.saturating_add(1))
            .await?;
        let versions = touching(&rows, before.unwrap_or(Version::MAX));
        let mut changes = Vec::new();
        for version in versions.into_iter().take(size) {
            let (before, after) = self.around(generation, group, kind, id, version).await?;
            let missing = || ViewError::damaged(format!("{group} has no change {version}"));
            let row = self
                .change_row(generation, Boundary::Group(group), version)
                .await?;
            let mut change = row.ok_or_else(missing)?;
            change.events.retain(|event| subject(event) == Some((kind, id)));
            changes.push(EntityChange {
                change,
                before,
                after,
            });
        }
        Ok(changes)
    }

    /// An entity's rows that began before a version, the newest first.
    async fn bodies(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<EntityRow>, ViewError> {
        let rows = self
            .database()
            .fetch_all(
                BODIES,
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    kind.name().into(),
                    id.0.as_bytes().into(),
                    bound(before).into(),
                    limit(size).into(),
                ],
            )
            .await?;
        rows.iter().map(EntityRow::read).collect()
    }
}

/// The versions before `limit` in which an entity's rows begin, or end without a next one: newest first.
fn touching(rows: &[EntityRow], limit: Version) -> Vec<Version> {
    let mut versions = Vec::new();
    let mut later = None;
    for row in rows {
        if let Some(end) = row.to.filter(|end| *end < limit && Some(*end) != later) {
            versions.push(end);
        }
        versions.push(row.from);
        later = Some(row.from);
    }
    versions
}

/// The entity an event is about.
pub(super) fn subject(event: &EventSummary) -> Option<(Kind, EntityId)> {
    Some((Kind::named(event.kind.as_deref()?)?, EntityId(event.id?)))
}

fn bound(version: Option<Version>) -> i64 {
    version.map_or(STILL_VALID, |version| {
        i64::try_from(version).unwrap_or(STILL_VALID)
    })
}

fn change(row: &Row) -> Result<ChangeRow, ViewError> {
    let request_id: Option<&[u8]> = row.get(5)?;
    let request_id = request_id.map(Uuid::from_slice).transpose();
    Ok(ChangeRow {
        version: row.get::<i64>(0)?.cast_unsigned(),
        at: Timestamp(row.get(1)?),
        position: Position(row.get::<i64>(2)?.cast_unsigned()),
        actor: serde_json::from_str(row.get(3)?).map_err(ViewError::damaged)?,
        reason: row.get(4)?,
        request_id: request_id.map_err(ViewError::damaged)?,
        source: row.get(6)?,
        event_count: usize::try_from(row.get::<i64>(7)?).map_err(ViewError::damaged)?,
        events: rmp_serde::from_slice(row.get(8)?).map_err(ViewError::damaged)?,
    })
}
