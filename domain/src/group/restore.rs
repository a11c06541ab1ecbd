//! Rollback: the configuration of an earlier version as a new change, byte for byte, so that its digest returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Draft;
use super::entity::Entity;
use super::{DeletionCause, GroupError, GroupEvent, operations};

/// Makes the configuration equal to `entities`; what is erased or expired by now is left out and listed.
pub fn restore(draft: &mut Draft<'_>, entities: &[Arc<Entity>]) -> Result<(), GroupError> {
    let mut wanted = BTreeMap::new();
    for entity in entities {
        let expired = entity.expires_at.is_some_and(|expiry| expiry <= draft.context.at);
        if entity.erased || expired {
            draft.outcome.left_out.push((entity.kind, entity.id));
        } else {
            wanted.insert((entity.kind, entity.id), entity);
        }
    }
    let current: Vec<_> = draft.scratch.entities().cloned().collect();
    // Deletions first, so that a unique key that moved from one entity to another is free for its old holder.
    for entity in current
        .iter()
        .rev()
        .filter(|entity| !wanted.contains_key(&(entity.kind, entity.id)))
    {
        draft.record(GroupEvent::EntityDeleted {
            kind: entity.kind,
            id: entity.id,
            cause: DeletionCause::Requested,
        })?;
    }
    for entity in wanted.into_values() {
        let created = draft.scratch.entity(entity.kind, entity.id).is_none();
        let event = match draft.scratch.entity(entity.kind, entity.id) {
            Some(now) if now.body == entity.body => continue,
            Some(now) => {
                let changed = operations::changed_fields(&now.map(), &entity.map());
                GroupEvent::EntityUpdated {
                    entity: Arc::clone(entity),
                    changed,
                }
            }
            None => GroupEvent::EntityCreated {
                entity: Arc::clone(entity),
            },
        };
        draft.record(event)?;
        draft.report(entity.kind, entity.id, created);
    }
    Ok(())
}
