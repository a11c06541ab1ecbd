//! A runtime group.

use domain::codec::DecodeError;
use domain::commit::Changes;
use domain::gateway::CommandError;
use domain::group::decide::OperationResult;
use domain::group::{Group, GroupCommand, GroupEvent, Outcome, decide, stored};
use domain::{Actor, Boundary, Change, Context, DataKeys, EntityId, Kind, Position, Timestamp, Version};

use super::{Aggregate, Decided, Recalled};
use crate::reactors::{Watched, Watchlist};

impl Aggregate for Group {
    type Command = GroupCommand;
    type Event = GroupEvent;
    type Told = Outcome;
    type Outcome = Outcome;

    const NAME: &'static str = "group";
    const WRITER: &'static str = "group writer";
    const STATE_VERSION: Option<u32> = Some(stored::STATE_VERSION);

    fn version(&self) -> Version {
        self.version
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn decide(&self, command: &GroupCommand, context: &mut Context) -> Result<Decided<Self>, CommandError> {
        let decision = decide(self, command, context)?;
        Ok(Decided {
            events: decision.events,
            told: decision.outcome,
        })
    }

    fn outcome(&self, told: Outcome) -> Outcome {
        told
    }

    fn apply(&mut self, change: &Change<GroupEvent>) {
        Self::apply(self, change);
    }

    fn recall(&self, actor: &Actor, key: &str) -> Option<Recalled<Self>> {
        let remembered = self.idempotency.recall(actor, key)?;
        let result = |(kind, id): &(Kind, EntityId)| OperationResult {
            kind: *kind,
            id: *id,
            created: false,
            // A body that was touched since isn't the one that the change left behind.
            entity: self
                .entity(*kind, *id)
                .filter(|entity| entity.touched == remembered.version)
                .cloned(),
        };
        Some(Recalled {
            request: remembered.request,
            version: remembered.version,
            at: remembered.at,
            outcome: Outcome {
                results: remembered.touched.iter().map(result).collect(),
                ..Outcome::default()
            },
        })
    }

    fn changes(changes: Changes) -> Option<Vec<Change<GroupEvent>>> {
        match changes {
            Changes::Group(_, changes) => Some(changes),
            _ => None,
        }
    }

    fn size(event: &GroupEvent) -> usize {
        match event {
            GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => {
                entity.body.len()
            }
            _ => 0,
        }
    }

    fn restore(bytes: &[u8], boundary: Boundary, keys: &dyn DataKeys) -> Result<Self, DecodeError> {
        stored::decode(bytes, boundary, keys)
    }

    fn watch(&self, boundary: Boundary, tail: Position, watchlist: &Watchlist) {
        if let Boundary::Group(group) = boundary {
            watchlist.note(group, Watched::of(self, tail));
        }
    }
}
