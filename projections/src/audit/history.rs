//! A group's changes from its first event on, each with what its events did to entities, from the log alone.

use std::sync::Arc;

use domain::commit::Changes;
use domain::group::{Entity, Group, GroupEvent, evolve, touched};
use domain::{Boundary, Change, Digest, EventLog, GroupId, Keyring, Position};

use super::commits::Commits;
use crate::error::ProjectionError;
use crate::summary::{EventSummary, of_group};

/// Reads a group's changes one after another; holds the group's state and one commit.
pub struct GroupHistory {
    commits: Commits,
    state: Group,
    /// What is left of the commit read last.
    waiting: std::vec::IntoIter<Change<GroupEvent>>,
    position: Position,
    record: Digest,
}

/// A change as the log holds it.
#[derive(Clone, Debug)]
pub struct AuditedChange {
    /// The change.
    pub change: Change<GroupEvent>,
    /// Where its commit stands in the log.
    pub position: Position,
    /// The digest of the record there, BLAKE3.
    pub record: Digest,
    /// What each of its events did, in order.
    pub events: Vec<AuditedEvent>,
}

/// An event and its entity before and after it.
#[derive(Clone, Debug)]
pub struct AuditedEvent {
    /// What happened.
    pub summary: EventSummary,
    /// The entity before; none if it is new or the event isn't about an entity.
    pub before: Option<Arc<Entity>>,
    /// The entity after; none if it is gone or the event isn't about an entity.
    pub after: Option<Arc<Entity>>,
}

impl GroupHistory {
    /// The changes of this group that are durable now.
    pub fn of(log: &dyn EventLog, keyring: Arc<dyn Keyring>, group: GroupId) -> Self {
        Self {
            commits: Commits::of(log, keyring, Boundary::Group(group)),
            state: Group::default(),
            waiting: Vec::new().into_iter(),
            position: Position::START,
            record: Digest::ZERO,
        }
    }

    /// The next change; none after the last.
    pub async fn next(&mut self) -> Result<Option<AuditedChange>, ProjectionError> {
        loop {
            if let Some(change) = self.waiting.next() {
                return Ok(Some(self.fold(change)));
            }
            let Some(commit) = self.commits.next().await? else {
                return Ok(None);
            };
            (self.position, self.record) = (commit.position, commit.digest);
            if let Changes::Group(_, changes) = commit.changes {
                self.waiting = changes.into_iter();
            }
        }
    }

    fn fold(&mut self, change: Change<GroupEvent>) -> AuditedChange {
        self.state.version = change.version;
        let events = change.events.iter().map(|event| {
            let before = self.entity_of(event);
            evolve(&mut self.state, event);
            AuditedEvent {
                summary: of_group(event),
                before,
                after: self.entity_of(event),
            }
        });
        AuditedChange {
            events: events.collect(),
            position: self.position,
            record: self.record,
            change,
        }
    }

    fn entity_of(&self, event: &GroupEvent) -> Option<Arc<Entity>> {
        let (kind, id) = *touched(std::slice::from_ref(event)).first()?;
        self.state.entity(kind, id).cloned()
    }
}
