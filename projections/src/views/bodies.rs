//! Many entities at versions of their own with few statements: what the history shows of its changes.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use domain::group::Entity;
use domain::{EntityId, GroupId, Kind, Version};

use super::Views;
use super::entity_row::EntityRow;
use crate::error::ViewError;
use crate::write::bulk::Bulk;

/// The row of each wanted entity that began last, at its version or before.
static NEWEST: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "SELECT entity.entity_id, entity.from_version, entity.to_version, entity.expires_at, entity.body, entity.sealed,
            entity.kind, wanted.column5
         FROM (VALUES",
        5,
        ") AS wanted CROSS JOIN entity
         WHERE entity.generation = wanted.column1 AND entity.group_id = wanted.column2 AND entity.kind = wanted.column3
         AND entity.entity_id = wanted.column4 AND entity.from_version = (
            SELECT past.from_version FROM entity AS past WHERE past.generation = wanted.column1
            AND past.group_id = wanted.column2 AND past.kind = wanted.column3 AND past.entity_id = wanted.column4
            AND past.from_version <= wanted.column5 ORDER BY past.from_version DESC LIMIT 1)",
    )
});

#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    NEWEST.statements()
}

/// An entity at a version.
pub(super) type EntityAt = (Kind, EntityId, Version);

/// An entity before and after a change.
pub(super) type Bodies = (Option<Arc<Entity>>, Option<Arc<Entity>>);

impl Views {
    /// The rows that began last at a version or before, of those wanted entities that had begun; some have ended by then.
    pub(super) async fn newest_rows(
        &self,
        generation: i64,
        group: GroupId,
        wanted: &[EntityAt],
    ) -> Result<HashMap<EntityAt, EntityRow>, ViewError> {
        let mut found = HashMap::new();
        for (statement, wanted) in NEWEST.pieces(self.database().engine(), wanted) {
            let arguments = wanted.iter().flat_map(|(kind, id, version)| {
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    kind.name().into(),
                    id.0.as_bytes().into(),
                    version.cast_signed().into(),
                ]
            });
            for row in self.database().fetch_all(statement, arguments).await? {
                let name: &str = row.get(6)?;
                let unknown = || ViewError::damaged(format!("entity kind `{name}` is unknown"));
                let kind = Kind::named(name).ok_or_else(unknown)?;
                let version = row.get::<i64>(7)?.cast_unsigned();
                let row = EntityRow::read(&row)?;
                found.insert((kind, row.id, version), row);
            }
        }
        Ok(found)
    }

    /// Entities before and after changes that touched them.
    pub(super) async fn around(
        &self,
        generation: i64,
        group: GroupId,
        touched: &[EntityAt],
    ) -> Result<HashMap<EntityAt, Bodies>, ViewError> {
        let touched: HashSet<_> = touched.iter().copied().collect();
        let wanted: Vec<_> = touched
            .iter()
            .flat_map(|(kind, id, version)| [(*kind, *id, *version), (*kind, *id, version.saturating_sub(1))])
            .collect();
        let mut rows = self.newest_rows(generation, group, &wanted).await?;
        let mut around = HashMap::new();
        for (kind, id, version) in touched {
            let after = rows.remove(&(kind, id, version));
            let after = after.filter(|row| row.from == version);
            let before = rows.remove(&(kind, id, version.saturating_sub(1)));
            let before = before.filter(|row| row.to == Some(version));
            let bodies = (
                self.open_maybe(group, kind, before).await?,
                self.open_maybe(group, kind, after).await?,
            );
            around.insert((kind, id, version), bodies);
        }
        Ok(around)
    }

    async fn open_maybe(
        &self,
        group: GroupId,
        kind: Kind,
        row: Option<EntityRow>,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        match row {
            Some(row) => Ok(Some(self.open(group, kind, row).await?)),
            None => Ok(None),
        }
    }
}
