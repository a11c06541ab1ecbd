//! A runtime group.

use std::sync::Arc;

use domain::codec::DecodeError;
use domain::commit::Changes;
use domain::gateway::CommandError;
use domain::group::decide::OperationResult;
use domain::group::{Action, Entity, Group, GroupCommand, GroupEvent, Outcome, decide, stored};
use domain::schema::Judgements;
use domain::{Actor, Boundary, Change, Context, DataKeys, EntityId, Kind, Position, Timestamp, Version};

use serde_json::Value;

use super::{Aggregate, Decided, Recalled};
use crate::reactors::{Watched, Watchlist};

/// How many values the bodies of a light command have at most; a long text counts for several.
const LIGHT_VALUES: usize = 512;
/// How much of a text counts as one value, in bytes.
const LIGHT_TEXT: usize = 64;

fn spend(values: usize, budget: &mut usize) -> bool {
    *budget = budget.saturating_sub(values);
    *budget > 0
}

/// Whether a value is within the budget, looking at no more of it.
fn fits(value: &Value, budget: &mut usize) -> bool {
    match value {
        Value::Array(elements) => spend(1, budget) && elements.iter().all(|element| fits(element, budget)),
        Value::Object(members) => spend(1, budget) && members.values().all(|member| fits(member, budget)),
        Value::String(text) => spend(1 + text.len() / LIGHT_TEXT, budget),
        _ => spend(1, budget),
    }
}

/// As how many things one of so many bytes counts: deciding and storing a large one takes as long as many small ones.
const fn of_bytes(bytes: usize) -> usize {
    1 + bytes / 1024
}

/// How many bytes of text a value has.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(text_bytes).sum(),
        Value::Object(members) => members.values().map(text_bytes).sum(),
        Value::String(text) => text.len(),
        _ => 0,
    }
}

/// A command with what functions of uploaded schemas have said about the values that it writes. However often it is tried, its ids and
/// strings are the same.
pub(crate) struct JudgedCommand {
    /// What is asked.
    pub(crate) command: Arc<GroupCommand>,
    /// What has been said.
    pub(crate) judgements: Judgements,
    /// What its ids and strings are made of.
    pub(crate) seed: [u8; 32],
}

impl Aggregate for Group {
    type Command = JudgedCommand;
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

    fn decide(&self, asked: &JudgedCommand, context: &mut Context) -> Result<Decided<Self>, CommandError> {
        let mut context = Context::new(context.at, asked.seed).knowing(asked.judgements.clone());
        let decision = decide(self, &asked.command, &mut context)?;
        Ok(Decided {
            events: decision.events,
            told: decision.outcome,
        })
    }

    fn is_heavy(asked: &JudgedCommand) -> bool {
        match &*asked.command {
            GroupCommand::Operate { operations, .. } => {
                let mut budget = LIGHT_VALUES;
                !operations.iter().all(|operation| match &operation.action {
                    Action::Create(body) | Action::Put(body) | Action::Patch(body) => {
                        body.values().all(|value| fits(value, &mut budget))
                    }
                    _ => spend(1, &mut budget),
                })
            }
            GroupCommand::Expire { entities } => entities.len() > LIGHT_VALUES,
            GroupCommand::Declare { .. }
            | GroupCommand::RollBack { .. }
            | GroupCommand::Revert { .. }
            | GroupCommand::RestoreEntity { .. }
            | GroupCommand::EraseConsumer { .. }
            | GroupCommand::CountAnew { .. } => true,
            GroupCommand::Seal | GroupCommand::Unseal => false,
        }
    }

    fn extent(asked: &JudgedCommand) -> usize {
        let of_entity = |entity: &Arc<Entity>| of_bytes(entity.body.len());
        match &*asked.command {
            GroupCommand::Operate { operations, .. } => operations
                .iter()
                .map(|operation| match &operation.action {
                    Action::Create(body) | Action::Put(body) | Action::Patch(body) => {
                        of_bytes(body.values().map(text_bytes).sum())
                    }
                    _ => 1,
                })
                .sum(),
            GroupCommand::Declare { declaration, .. } => {
                let entities = declaration.entities.iter();
                entities.map(|entity| of_bytes(entity.body.len())).sum()
            }
            GroupCommand::RollBack { entities, .. } => entities.iter().map(of_entity).sum(),
            GroupCommand::Revert { changes, .. } => {
                let known = changes.iter().flat_map(|change| [&change.before, &change.after]);
                changes.len() + known.flatten().map(of_entity).sum::<usize>()
            }
            GroupCommand::RestoreEntity {
                entity, belongings, ..
            } => of_entity(entity) + belongings.iter().map(of_entity).sum::<usize>(),
            GroupCommand::Expire { entities } | GroupCommand::CountAnew { entities } => entities.len(),
            GroupCommand::EraseConsumer { .. } | GroupCommand::Seal | GroupCommand::Unseal => 1,
        }
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
