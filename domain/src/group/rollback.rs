//! Rollback: the configuration of an earlier version as a new change, byte for byte, so that its digest returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::Draft;
use super::entity::Entity;
use super::{DeletionCause, GroupError, GroupEvent, operations, undo};

/// Makes the configuration equal to `entities`; what is erased or expired by now is left out and listed.
pub fn roll_back(draft: &mut Draft<'_>, entities: &[Arc<Entity>]) -> Result<(), GroupError> {
    let key = |entity: &Arc<Entity>| (entity.kind, entity.id);
    let mut wanted: BTreeMap<_, _> = entities.iter().map(|entity| (key(entity), entity)).collect();
    for left_out in undo::lost_for_ever(&draft.scratch, entities.iter(), draft.context.at) {
        wanted.remove(&(left_out.kind, left_out.id));
        draft.outcome.left_out.push(left_out);
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
