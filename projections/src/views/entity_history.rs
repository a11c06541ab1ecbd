//! The history of one entity: the changes that touched it, and whose a name was last.

use std::sync::Arc;

use domain::group::{Entity, Selector};
use domain::{Boundary, EntityId, GroupId, Kind, Version};
use uuid::Uuid;

use super::changes::ChangeRow;
use super::entities::url_keys;
use super::entity_row::EntityRow;
use super::{Views, limit};
use crate::change_terms::Term;
use crate::database::Row;
use crate::error::ViewError;
use crate::write::STILL_VALID;

const BODIES: &str = "SELECT entity_id, from_version, to_version, expires_at, body, sealed FROM entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id = $4 AND from_version < $5
    ORDER BY from_version DESC LIMIT $6";
const VALIDITIES: &str = "SELECT from_version, to_version FROM entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id = $4 AND from_version < $5
    ORDER BY from_version DESC LIMIT $6";
const LAST_HOLDER: &str = "SELECT entity_id, from_version FROM entity_key
    WHERE generation = $1 AND group_id = $2 AND search_key = $3 AND kind = $4 ORDER BY to_version DESC LIMIT 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BODIES, VALIDITIES, LAST_HOLDER];

/// What one change did to one entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityChange {
    /// The change, without its events.
    pub change: ChangeRow,
    /// The entity before it; none if the change created it.
    pub before: Option<Arc<Entity>>,
    /// The entity after it; none if the change deleted it.
    pub after: Option<Arc<Entity>>,
}

/// The versions in which a row was valid: from one up to but without another; no end if it still is.
pub(super) type Validity = (Version, Option<Version>);

impl Views {
    /// The changes that touched an entity before a version (from the newest on if none), the newest first.
    pub async fn entity_history(
        &self,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<EntityChange>, ViewError> {
        let generation = self.generation().await?;
        let end = before.unwrap_or(Version::MAX);
        // A row that ends brings two of these versions, so as many rows are enough; the last one's predecessor stands
        // before it.
        let rows = self
            .bodies(generation, group, kind, id, end, size.saturating_add(1))
            .await?;
        let validities: Vec<_> = rows.iter().map(|row| (row.from, row.to)).collect();
        let mut versions = touching(&validities, end);
        versions.truncate(size);
        let boundary = Boundary::Group(group);
        let mut changes = self.changes_of(generation, boundary, &versions).await?;
        let mut bodies = Vec::with_capacity(rows.len());
        for row in rows {
            bodies.push(self.open(group, kind, row).await?);
        }
        let missing = |version| ViewError::damaged(format!("{group} has no change {version}"));
        let one = |version: Version| {
            let change = changes.remove(&version).ok_or_else(|| missing(version))?;
            let body = |found: &dyn Fn(&Validity) -> bool| {
                let row = validities.iter().position(found)?;
                bodies.get(row).cloned()
            };
            Ok(EntityChange {
                change: ChangeRow {
                    events: Vec::new(),
                    ..change
                },
                before: body(&|(_, to)| *to == Some(version)),
                after: body(&|(from, _)| *from == version),
            })
        };
        versions.into_iter().map(one).collect()
    }

    /// Whom a URL's segment names in a history: an id names itself; a name its holder of today, or else who held it last.
    pub async fn last_holder(
        &self,
        group: GroupId,
        kind: Kind,
        selector: &Selector,
    ) -> Result<Option<EntityId>, ViewError> {
        let name = match selector {
            Selector::Id(id) => return Ok(Some(*id)),
            Selector::Key(name) => name,
        };
        let generation = self.generation().await?;
        for unique in url_keys(kind, name, None) {
            let Some(search_key) = self.search_key(group, unique).await? else {
                continue;
            };
            let arguments = [
                generation.into(),
                group.0.as_bytes().into(),
                search_key.into(),
                kind.name().into(),
            ];
            let Some(row) = self.database().fetch_optional(LAST_HOLDER, arguments).await? else {
                continue;
            };
            let id = EntityId(Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?);
            let held = self.moment(Some(row.get::<i64>(1)?.cast_unsigned()));
            let holder = self.entity_at(generation, group, kind, id, held).await?;
            // An erased name finds nobody any more.
            if holder.is_some_and(|holder| holder.unique.contains(&unique)) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// What was called by a name last in a boundary whose things have no rows in time: the newest change of something with
    /// this name is its holder's of today, or else its last holder's.
    pub async fn last_named(
        &self,
        boundary: Boundary,
        kind: &str,
        name: &str,
    ) -> Result<Option<Uuid>, ViewError> {
        let generation = self.generation().await?;
        let newest = self
            .newest_with(generation, boundary, Term::name(kind, name), Version::MAX)
            .await?;
        let Some(newest) = newest else {
            return Ok(None);
        };
        let mut events = self.all_events(generation, boundary, newest).await?.into_iter();
        let called =
            events.rfind(|event| event.kind.as_deref() == Some(kind) && event.name.as_deref() == Some(name));
        Ok(called.and_then(|event| event.id))
    }

    /// An entity's rows that began before a version, the newest first.
    async fn bodies(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        end: Version,
        size: usize,
    ) -> Result<Vec<EntityRow>, ViewError> {
        let arguments = [
            generation.into(),
            group.0.as_bytes().into(),
            kind.name().into(),
            id.0.as_bytes().into(),
            i64::try_from(end).unwrap_or(STILL_VALID).into(),
            limit(size).into(),
        ];
        let rows = self.database().fetch_all(BODIES, arguments).await?;
        rows.iter().map(EntityRow::read).collect()
    }

    /// When an entity's rows that began before a version were valid, the newest first.
    pub(super) async fn validities(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        end: Version,
        size: usize,
    ) -> Result<Vec<Validity>, ViewError> {
        let arguments = [
            generation.into(),
            group.0.as_bytes().into(),
            kind.name().into(),
            id.0.as_bytes().into(),
            i64::try_from(end).unwrap_or(STILL_VALID).into(),
            limit(size).into(),
        ];
        let rows = self.database().fetch_all(VALIDITIES, arguments).await?;
        let validity = |row: &Row| {
            let (from, to): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok((
                from.cast_unsigned(),
                (to != STILL_VALID).then_some(to.cast_unsigned()),
            ))
        };
        rows.iter().map(validity).collect()
    }
}

/// The versions before `end` in which an entity's rows, the newest first, begin or end without a next one.
pub(super) fn touching(rows: &[Validity], end: Version) -> Vec<Version> {
    let mut versions = Vec::new();
    let mut later = None;
    for (from, to) in rows {
        if let Some(ended) = to.filter(|ended| *ended < end && Some(*ended) != later) {
            versions.push(ended);
        }
        versions.push(*from);
        later = Some(*from);
    }
    versions
}
