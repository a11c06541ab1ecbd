//! Erasure of a consumer (DESIGN §10): it is deleted with all that belongs to it, its data key is destroyed once that is
//! durable, and nothing of it comes back. The history says that and when it was erased, and by whom.

use super::decide::Draft;
use super::entity::Entity;
use super::{Condition, DeletionCause, Group, GroupError, GroupEvent, operations, references};
use crate::{EntityId, Kind, Version};

const CONSUMERS: &str = "consumers";

/// Erases a consumer, whether it still exists or was deleted before.
pub(super) fn erase(
    draft: &mut Draft<'_>,
    consumer: EntityId,
    condition: &Condition,
) -> Result<(), GroupError> {
    let consumers = consumers()?;
    let current = draft.scratch.entity(consumers, consumer).cloned();
    operations::check_condition(condition, current.as_deref())?;
    if draft.scratch.erased.contains_key(&consumer) {
        return Ok(());
    }
    if current.is_some() {
        references::delete(draft, consumers, consumer, DeletionCause::Requested)?;
    }
    draft.record(GroupEvent::ConsumerErased { id: consumer })
}

/// Refuses what belongs to an erased consumer.
pub(super) fn check(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    match erased_with(state, entity) {
        Some((consumer, version)) => Err(GroupError::Erased { consumer, version }),
        None => Ok(()),
    }
}

/// Whether a part of an entity is erased, or will be when the key of its consumer is destroyed.
pub fn is_erased(state: &Group, entity: &Entity) -> bool {
    entity.erased || erased_with(state, entity).is_some()
}

/// The erased consumer that an entity is or belongs to, and the change that erased it.
fn erased_with(state: &Group, entity: &Entity) -> Option<(EntityId, Version)> {
    if state.erased.is_empty() {
        return None;
    }
    let referred_to = entity
        .references
        .iter()
        .map(|reference| (reference.kind, reference.id));
    let mut consumers = [(entity.kind, entity.id)]
        .into_iter()
        .chain(referred_to)
        .filter(|(kind, _)| kind.name() == CONSUMERS);
    consumers.find_map(|(_, id)| Some((id, *state.erased.get(&id)?)))
}

fn consumers() -> Result<Kind, GroupError> {
    Kind::named(CONSUMERS)
        .ok_or_else(|| GroupError::Malformed("the catalogue has no kind consumers".to_owned()))
}
