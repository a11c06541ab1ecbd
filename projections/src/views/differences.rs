//! What differs between two versions of a group: the cost is that of the difference, or of one configuration's index
//! where much happened in between.

use std::collections::BTreeSet;

use domain::group::difference::differs;
use domain::group::{EntityChange, difference};
use domain::{Boundary, EntityId, GroupId, Kind, Version};

use super::changes::subject;
use super::{Views, limit};
use crate::error::ViewError;
use crate::summary::EventSummary;
use crate::write::LISTED_EVENTS;

/// Only changes whose events all stand in their own row.
const TOUCHED: &str = "SELECT what FROM change
    WHERE generation = $1 AND boundary = $2 AND version > $3 AND version <= $4 AND events <= $5";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[TOUCHED];

/// How many changes may lie between two versions whose difference is looked up entity by entity.
const NEAR: u64 = 64;
/// How many entities those changes may have touched.
const FEW: usize = 128;

impl Views {
    /// What leads from one version of a group's configuration to another, earlier or later: the entities whose bodies
    /// aren't the same, by kind and id.
    pub async fn difference(
        &self,
        group: GroupId,
        from: Version,
        to: Version,
    ) -> Result<Vec<EntityChange>, ViewError> {
        let generation = self.generation().await?;
        let (earlier, later) = (from.min(to), from.max(to));
        let mut changes = match self.touched_between(generation, group, earlier, later).await? {
            Some(touched) => {
                self.around_each(generation, group, touched, earlier, later)
                    .await?
            }
            None => {
                let at = |version| self.moment(Some(version)).version;
                let (gone, come) = self
                    .gone_and_come(generation, group, at(earlier), at(later))
                    .await?;
                difference(gone.iter(), come.iter())
            }
        };
        if from > to {
            for change in &mut changes {
                std::mem::swap(&mut change.before, &mut change.after);
            }
        }
        Ok(changes)
    }

    /// The entities that the changes after one version and up to another touched; none if they are too many to be
    /// looked up one by one.
    async fn touched_between(
        &self,
        generation: i64,
        group: GroupId,
        earlier: Version,
        later: Version,
    ) -> Result<Option<BTreeSet<(Kind, EntityId)>>, ViewError> {
        let between = later - earlier;
        if between > NEAR {
            return Ok(None);
        }
        let arguments = [
            generation.into(),
            Boundary::Group(group).subject().into(),
            earlier.cast_signed().into(),
            later.cast_signed().into(),
            limit(LISTED_EVENTS).into(),
        ];
        let rows = self.database().fetch_all(TOUCHED, arguments).await?;
        if (rows.len() as u64) < between {
            return Ok(None);
        }
        let mut touched = BTreeSet::new();
        for row in &rows {
            let events: Vec<EventSummary> = rmp_serde::from_slice(row.get(0)?).map_err(ViewError::damaged)?;
            touched.extend(events.iter().filter_map(subject));
        }
        Ok(Some(touched).filter(|touched| touched.len() <= FEW))
    }

    async fn around_each(
        &self,
        generation: i64,
        group: GroupId,
        touched: BTreeSet<(Kind, EntityId)>,
        earlier: Version,
        later: Version,
    ) -> Result<Vec<EntityChange>, ViewError> {
        let mut changes = Vec::with_capacity(touched.len());
        for (kind, id) in touched {
            let at = |version| self.entity_at(generation, group, kind, id, self.moment(Some(version)));
            let (before, after) = (at(earlier).await?, at(later).await?);
            changes.push(EntityChange {
                kind,
                id,
                before,
                after,
            });
        }
        changes.retain(differs);
        Ok(changes)
    }
}
