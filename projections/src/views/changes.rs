//! The history: the changes of every boundary, and what each did to a group's entities.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use domain::group::Entity;
use domain::{Actor, Boundary, EntityId, GroupId, Kind, Position, Timestamp, Version};
use uuid::Uuid;

use super::bodies::EntityAt;
use super::change_search::{ChangeFilter, Found};
use super::{Views, limit};
use crate::database::Row;
use crate::error::ViewError;
use crate::recorded::Recorded;
use crate::summary::{EventSummary, entity_name};
use crate::write::bulk::Bulk;

const PAGE: &str = "SELECT version, at, position, actor, reason, request_id, source, events, what FROM change
    WHERE generation = $1 AND boundary = $2 AND version < $3 AND version >= $4 ORDER BY version DESC LIMIT $5";
static ONES: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(
        "SELECT version, at, position, actor, reason, request_id, source, events, what
         FROM (VALUES",
        3,
        ") AS wanted CROSS JOIN change
         WHERE generation = wanted.column1 AND boundary = wanted.column2 AND version = wanted.column3",
    )
});
/// The row of events that an event stands in.
const EVENTS_AROUND: &str = "SELECT first_event, what FROM change_events
    WHERE generation = $1 AND boundary = $2 AND version = $3 AND first_event <= $4 ORDER BY first_event DESC LIMIT 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PAGE, EVENTS_AROUND];

#[cfg(test)]
pub(super) fn statements() -> Vec<String> {
    ONES.statements()
}

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

/// Some changes, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    /// The newest first.
    pub changes: Vec<ChangeRow>,
    /// Older ones than this version may follow; none if there are no more. A page may be short and have a next one: a search
    /// reads no more than so many rows.
    pub next: Option<Version>,
}

/// A change with what each event did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeDetail {
    /// The change, with these events.
    pub change: ChangeRow,
    /// One per event, in order.
    pub events: Vec<EventDetail>,
    /// The event with which to go on; none if these are the last.
    pub next: Option<usize>,
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
    /// What an organization had recorded of the thing before; the summary has what the event recorded.
    pub earlier: Option<Recorded>,
}

impl Views {
    /// A boundary's changes before a version (from the newest on if none), the newest first.
    pub async fn changes(
        &self,
        boundary: Boundary,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<ChangeRow>, ViewError> {
        let all = ChangeFilter::default();
        Ok(self.history(boundary, &all, before, size).await?.changes)
    }

    /// A boundary's changes that satisfy a filter, before a version (from the newest on if none), the newest first.
    pub async fn history(
        &self,
        boundary: Boundary,
        filter: &ChangeFilter,
        before: Option<Version>,
        size: usize,
    ) -> Result<ChangePage, ViewError> {
        let generation = self.generation().await?;
        let range = filter.range(before);
        if range.0 >= range.1 {
            return Ok(ChangePage::default());
        }
        let mut page = match self.search(generation, boundary, filter, range, size).await? {
            Some(Found { versions, next }) => {
                let mut found = self.changes_of(generation, boundary, &versions).await?;
                let changes = versions.iter().filter_map(|version| found.remove(version));
                ChangePage {
                    changes: changes.collect(),
                    next,
                }
            }
            None => self.changes_between(generation, boundary, range, size).await?,
        };
        match boundary {
            Boundary::Group(group) => self.name_events(generation, group, &mut page.changes).await?,
            Boundary::Organization(_) => {
                for change in &mut page.changes {
                    self.name_hosts(generation, boundary, change).await?;
                    self.open_words(change).await?;
                }
            }
            Boundary::System => {}
        }
        Ok(page)
    }

    /// All changes of a range of versions, which ends before the second.
    async fn changes_between(
        &self,
        generation: i64,
        boundary: Boundary,
        (first, end): (Version, Version),
        size: usize,
    ) -> Result<ChangePage, ViewError> {
        let arguments = [
            generation.into(),
            boundary.subject().into(),
            end.cast_signed().into(),
            first.cast_signed().into(),
            limit(size.saturating_add(1)).into(),
        ];
        let rows = self.database().fetch_all(PAGE, arguments).await?;
        let more = rows.len() > size;
        let changes = rows
            .iter()
            .take(size)
            .map(change)
            .collect::<Result<Vec<_>, _>>()?;
        let next = changes.last().map(|last| last.version).filter(|_| more);
        Ok(ChangePage { changes, next })
    }

    /// Changes by their versions, with the events that a list shows.
    pub(super) async fn changes_of(
        &self,
        generation: i64,
        boundary: Boundary,
        versions: &[Version],
    ) -> Result<HashMap<Version, ChangeRow>, ViewError> {
        let mut found = HashMap::new();
        for (statement, versions) in ONES.pieces(self.database().engine(), versions) {
            let arguments = versions.iter().flat_map(|version| {
                [
                    generation.into(),
                    boundary.subject().into(),
                    version.cast_signed().into(),
                ]
            });
            for row in &self.database().fetch_all(statement, arguments).await? {
                let change = change(row)?;
                found.insert(change.version, change);
            }
        }
        Ok(found)
    }

    /// Fills in names that the history doesn't hold in plain text, or that a deletion doesn't repeat.
    async fn name_events(
        &self,
        generation: i64,
        group: GroupId,
        changes: &mut [ChangeRow],
    ) -> Result<(), ViewError> {
        let mut unnamed: Vec<EntityAt> = Vec::new();
        for change in &*changes {
            let events = change.events.iter().filter(|event| event.name.is_none());
            let subjects = events.filter_map(subject);
            unnamed.extend(subjects.map(|(kind, id)| (kind, id, change.version)));
        }
        let mut names = HashMap::new();
        for (at, row) in self.newest_rows(generation, group, &unnamed).await? {
            names.insert(at, entity_name(&*self.open(group, at.0, row).await?));
        }
        for change in changes {
            let version = change.version;
            for event in change.events.iter_mut().filter(|event| event.name.is_none()) {
                let name = subject(event).and_then(|(kind, id)| names.get(&(kind, id, version)));
                event.name = name.cloned().flatten();
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
        self.change_from(boundary, version, 0, usize::MAX).await
    }

    /// A change with its events from one on, as many as are about so many things: what an event repeats doesn't count.
    pub async fn change_from(
        &self,
        boundary: Boundary,
        version: Version,
        first: usize,
        size: usize,
    ) -> Result<Option<ChangeDetail>, ViewError> {
        let generation = self.generation().await?;
        let mut found = self.changes_of(generation, boundary, &[version]).await?;
        let Some(mut change) = found.remove(&version) else {
            return Ok(None);
        };
        let next = self
            .cut_events(generation, boundary, &mut change, first, size)
            .await?;
        let touched: Vec<_> = change.events.iter().filter_map(subject).collect();
        let touched: Vec<_> = touched.iter().map(|(kind, id)| (*kind, *id, version)).collect();
        let around = match boundary {
            Boundary::Group(group) => self.around(generation, group, &touched).await?,
            Boundary::System | Boundary::Organization(_) => HashMap::new(),
        };
        let mut events = Vec::with_capacity(change.events.len());
        if let Boundary::Organization(_) = boundary {
            self.name_hosts(generation, boundary, &mut change).await?;
            self.open_words(&mut change).await?;
        }
        for summary in &mut change.events {
            let earlier = self
                .recorded_before(generation, boundary, version, summary)
                .await?;
            let found = subject(summary).and_then(|(kind, id)| around.get(&(kind, id, version)));
            let (before, after) = found.cloned().unwrap_or_default();
            if summary.name.is_none() {
                let named = after.as_ref().or(before.as_ref());
                summary.name = named.and_then(|entity| entity_name(entity));
            }
            events.push(EventDetail {
                summary: summary.clone(),
                before,
                after,
                earlier,
            });
        }
        Ok(Some(ChangeDetail { change, events, next }))
    }

    /// Leaves a change the events from one on that are about so many things; answers the next one.
    pub(super) async fn cut_events(
        &self,
        generation: i64,
        boundary: Boundary,
        change: &mut ChangeRow,
        first: usize,
        size: usize,
    ) -> Result<Option<usize>, ViewError> {
        let mut events = Vec::new();
        let mut things = 0;
        let mut number = first;
        let mut waiting: Vec<EventSummary> = Vec::new();
        if first < change.events.len() {
            waiting = change.events.split_off(first);
        }
        loop {
            for event in waiting.drain(..) {
                things += usize::from(!event.repeated);
                if things > size {
                    change.events = events;
                    return Ok(Some(number));
                }
                events.push(event);
                number += 1;
            }
            if number >= change.event_count {
                change.events = events;
                return Ok(None);
            }
            waiting = self
                .events_from(generation, boundary, change.version, number)
                .await?;
        }
    }

    /// Some of a change's events from one on that lists don't show.
    async fn events_from(
        &self,
        generation: i64,
        boundary: Boundary,
        version: Version,
        number: usize,
    ) -> Result<Vec<EventSummary>, ViewError> {
        let arguments = [
            generation.into(),
            boundary.subject().into(),
            version.cast_signed().into(),
            (number as i64).into(),
        ];
        let row = self.database().fetch_optional(EVENTS_AROUND, arguments).await?;
        let missing = || ViewError::damaged(format!("event {number} of change {version} is missing"));
        let row = row.ok_or_else(missing)?;
        let first = usize::try_from(row.get::<i64>(0)?).map_err(ViewError::damaged)?;
        let mut events: Vec<EventSummary> = rmp_serde::from_slice(row.get(1)?).map_err(ViewError::damaged)?;
        if number - first >= events.len() {
            return Err(missing());
        }
        Ok(events.split_off(number - first))
    }
}

/// The entity an event is about.
pub(super) fn subject(event: &EventSummary) -> Option<(Kind, EntityId)> {
    Some((Kind::named(event.kind.as_deref()?)?, EntityId(event.id?)))
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
