//! Restore of an entity: it is again what it was, byte for byte, with what belonged to it.

use std::sync::Arc;

use super::conflict::{Conflict, Obstacle};
use super::decide::Draft;
use super::entity::Entity;
use super::undo::{self, Wanted};
use super::{GroupError, erasure};

/// Makes an entity what it was. One that exists as another becomes it only where that is to be replaced. Of what belonged
/// to it, what exists again by now stays as it is.
pub fn restore(
    draft: &mut Draft<'_>,
    entity: &Arc<Entity>,
    belongings: &[Arc<Entity>],
    replace: bool,
) -> Result<(), GroupError> {
    let lost = entity.expires_at.is_some_and(|expiry| expiry <= draft.context.at);
    let obstacle = match draft.scratch.entity(entity.kind, entity.id) {
        Some(now) if now.body != entity.body && !replace => Some((now, Obstacle::ExistsAgain)),
        _ if erasure::is_erased(&draft.scratch, entity) => Some((entity, Obstacle::Erased)),
        _ if lost => Some((entity, Obstacle::Expired)),
        _ => None,
    };
    if let Some((entity, obstacle)) = obstacle {
        let conflict = Conflict::whole(entity.clone(), obstacle);
        return Err(GroupError::Conflicts(vec![conflict]));
    }
    let mut wanted = Wanted::default();
    wanted.exactly(entity.clone());
    for belonging in belongings {
        if draft.scratch.entity(belonging.kind, belonging.id).is_none() {
            wanted.exactly(belonging.clone());
        }
    }
    undo::carry_out(draft, wanted, Vec::new())
}
