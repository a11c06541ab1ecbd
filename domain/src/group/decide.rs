//! A command to a group, refused or turned into events. Empty events mean "already so": a success without a change.

use std::sync::Arc;

use super::entity::Entity;
use super::{DeletionCause, Group, GroupCommand, GroupError, GroupEvent, evolve, operations, touched};
use crate::{Context, EntityId, Kind, Version};

/// The largest canonical entity, in bytes (DESIGN §5).
pub const ENTITY_LIMIT: usize = 256 * 1024;
/// The largest change before compression, in bytes (DESIGN §5).
pub const CHANGE_LIMIT: usize = 256 * 1024 * 1024;

/// What a command does to the group.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The events of the one change; empty for "already so".
    pub events: Vec<GroupEvent>,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// What the caller is told beside the version.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// One per operation or declared entity, in order.
    pub results: Vec<OperationResult>,
    /// Entities that couldn't come back.
    pub left_out: Vec<LeftOut>,
    /// What the change did to each entity it touched, cascades included, in order of first touch.
    pub changes: Vec<EntityChange>,
}

/// An entity that can't come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: EntityId,
    /// Why it can't.
    pub reason: LeftOutReason,
}

/// Why an entity can't come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOutReason {
    /// What it was is erased for ever.
    Erased,
    /// Its time to live has ended.
    Expired,
    /// What it belongs to or refers to can't come back.
    RefersToLeftOut,
}

impl LeftOutReason {
    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Expired => "expired",
            Self::RefersToLeftOut => "refers_to_left_out",
        }
    }
}

/// What a change did to one entity.
#[derive(Clone, Debug)]
pub struct EntityChange {
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's id.
    pub id: EntityId,
    /// The entity as it was; none if it is new.
    pub before: Option<Arc<Entity>>,
    /// The entity as it now is; none if it is gone.
    pub after: Option<Arc<Entity>>,
}

/// What one operation left behind.
#[derive(Clone, Debug)]
pub struct OperationResult {
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's id.
    pub id: EntityId,
    /// Whether it is new.
    pub created: bool,
    /// The entity as it now is; none if it is gone.
    pub entity: Option<Arc<Entity>>,
}

/// Decides a command. Where functions of uploaded schemas must judge values first, the decision is [`GroupError::Unjudged`], whatever
/// else there is to say.
pub fn decide(state: &Group, command: &GroupCommand, context: &mut Context) -> Result<Decision, GroupError> {
    let mut made = Draft::new(state, context);
    let drafted = draft(&mut made, command);
    all_judged(made.context)?;
    drafted?;
    Ok(made.finish())
}

/// Refuses a decision that took an answer for granted.
pub fn all_judged(context: &mut Context) -> Result<(), GroupError> {
    let open = context.open_questions();
    match open.is_empty() {
        true => Ok(()),
        false => Err(GroupError::Unjudged(open)),
    }
}

/// Drafts what a command does.
pub(super) fn draft(draft: &mut Draft<'_>, command: &GroupCommand) -> Result<(), GroupError> {
    match command {
        GroupCommand::Seal => draft.seal(),
        GroupCommand::Unseal => draft.unseal(),
        _ if draft.origin.sealed => return Err(GroupError::Sealed),
        GroupCommand::Operate {
            operations,
            expected_version,
        } => {
            draft.expect_version(*expected_version)?;
            operations::operate(draft, operations)?;
        }
        GroupCommand::Declare {
            declaration,
            prune,
            expected_version,
        } => {
            draft.expect_version(*expected_version)?;
            super::declare::declare(draft, declaration, *prune)?;
        }
        GroupCommand::RollBack {
            entities,
            expected_version,
            ..
        } => {
            draft.expect_version(*expected_version)?;
            super::rollback::roll_back(draft, entities)?;
        }
        GroupCommand::Revert {
            changes,
            expected_version,
            ..
        } => {
            draft.expect_version(*expected_version)?;
            super::revert::revert(draft, changes)?;
        }
        GroupCommand::RestoreEntity {
            entity,
            belongings,
            replace,
            expected_version,
        } => {
            draft.expect_version(*expected_version)?;
            super::restore_entity::restore(draft, entity, belongings, *replace)?;
        }
        GroupCommand::EraseConsumer { consumer, condition } => {
            super::erasure::erase(draft, *consumer, condition)?;
        }
        GroupCommand::Expire { entities } => draft.expire(entities)?,
        GroupCommand::CountAnew { entities } => draft.count_anew(entities)?,
    }
    Ok(())
}

/// A decision in the making: a scratch copy of the state that sees each event at once.
pub struct Draft<'context> {
    /// The state with the events so far.
    pub scratch: Group,
    /// Time, ids and generated strings.
    pub context: &'context mut Context,
    /// What the caller will be told.
    pub outcome: Outcome,
    origin: &'context Group,
    events: Vec<GroupEvent>,
    size: usize,
}

/// A moment in the making of a decision.
pub(super) struct Mark {
    scratch: Group,
    events: usize,
    results: usize,
    size: usize,
}

impl<'context> Draft<'context> {
    pub(super) fn new(state: &'context Group, context: &'context mut Context) -> Self {
        let scratch = Group {
            version: state.version + 1,
            at: context.at.max(state.at),
            clock: context.at,
            ..state.clone()
        };
        Self {
            scratch,
            context,
            outcome: Outcome::default(),
            origin: state,
            events: Vec::new(),
            size: 0,
        }
    }

    /// Records an event; everything after sees it.
    pub fn record(&mut self, event: GroupEvent) -> Result<(), GroupError> {
        if let GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } = &event {
            super::erasure::check(&self.scratch, entity)?;
            let (kind, size) = (entity.kind.name(), entity.body.len());
            if size > ENTITY_LIMIT {
                return Err(GroupError::EntityTooLarge {
                    kind,
                    size,
                    limit: ENTITY_LIMIT,
                });
            }
            self.size += size;
        }
        if self.size > CHANGE_LIMIT {
            return Err(GroupError::ChangeTooLarge {
                size: self.size,
                limit: CHANGE_LIMIT,
            });
        }
        evolve(&mut self.scratch, &event);
        self.events.push(event);
        Ok(())
    }

    /// How far the draft is.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            scratch: self.scratch.clone(),
            events: self.events.len(),
            results: self.outcome.results.len(),
            size: self.size,
        }
    }

    /// Takes back everything after a mark.
    pub(super) fn return_to(&mut self, mark: Mark) {
        self.scratch = mark.scratch;
        self.events.truncate(mark.events);
        self.outcome.results.truncate(mark.results);
        self.size = mark.size;
    }

    /// Tells the caller about an entity as it now is.
    pub fn report(&mut self, kind: Kind, id: EntityId, created: bool) {
        let entity = self.scratch.entity(kind, id).cloned();
        self.outcome.results.push(OperationResult {
            kind,
            id,
            created,
            entity,
        });
    }

    pub(super) fn expect_version(&self, expected: Option<Version>) -> Result<(), GroupError> {
        match expected {
            Some(expected) if expected != self.origin.version => Err(GroupError::Version {
                expected,
                actual: self.origin.version,
            }),
            _ => Ok(()),
        }
    }

    fn seal(&mut self) {
        if !self.scratch.sealed {
            self.scratch.sealed = true;
            self.events.push(GroupEvent::GroupSealed);
        }
    }

    fn unseal(&mut self) {
        if self.scratch.sealed {
            self.scratch.sealed = false;
            self.events.push(GroupEvent::GroupUnsealed);
        }
    }

    fn expire(&mut self, entities: &[(Kind, EntityId)]) -> Result<(), GroupError> {
        for (kind, id) in entities {
            let expiry = self
                .scratch
                .entity(*kind, *id)
                .and_then(|entity| entity.expires_at);
            if expiry.is_some_and(|expiry| expiry <= self.context.at) {
                super::references::delete(self, *kind, *id, DeletionCause::Expired)?;
            }
        }
        Ok(())
    }

    /// Nothing lives longer than its time to live from now on.
    fn count_anew(&mut self, entities: &[(Kind, EntityId)]) -> Result<(), GroupError> {
        for (kind, id) in entities {
            let born = self.scratch.entity(*kind, *id).cloned();
            let Some(entity) = born.filter(|entity| entity.born().is_some_and(|at| at > self.context.at))
            else {
                continue;
            };
            let expires_at = entity.ttl.map(|ttl| self.context.at.plus_seconds(ttl));
            self.record(GroupEvent::EntityUpdated {
                entity: Arc::new(Entity {
                    expires_at,
                    ..entity.as_ref().clone()
                }),
                changed: vec!["ttl".to_owned()],
            })?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Decision {
        self.outcome.left_out.sort_unstable();
        let change = |(kind, id)| EntityChange {
            kind,
            id,
            before: self.origin.entity(kind, id).cloned(),
            after: self.scratch.entity(kind, id).cloned(),
        };
        self.outcome.changes = touched(&self.events).into_iter().map(change).collect();
        Decision {
            events: self.events,
            outcome: self.outcome,
        }
    }
}
