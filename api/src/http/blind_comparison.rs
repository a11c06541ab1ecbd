//! Comparing for those who may not read secrets. What they bring may hold guesses, so nothing that is compared holds a secret: a
//! difference that only a secret makes can't be told from none, by them or by anything they are answered.

use std::collections::HashMap;
use std::sync::Arc;

use domain::group::matching::content;
use domain::group::{Entity, EntityChange};

use super::presentation;

/// What stands in place of a secret that isn't compared. Unlike what readers are shown it passes for a value, where a file leaves it to
/// the stored one.
const NOT_COMPARED: &str = "{not compared}";

/// The entities without their secrets.
pub(crate) fn blinded(entities: &[Arc<Entity>]) -> Vec<Arc<Entity>> {
    let one = |entity: &Arc<Entity>| {
        let blind = presentation::instead_of_secrets(entity, NOT_COMPARED);
        blind.map_or_else(|| Arc::clone(entity), Arc::new)
    };
    entities.iter().map(one).collect()
}

fn without_secrets(entity: &Arc<Entity>) -> Arc<Entity> {
    presentation::without_secrets(entity).map_or_else(|| Arc::clone(entity), Arc::new)
}

/// What a reader who sees no secrets may hear of changes from one blinded configuration: those that differ in more than secrets and
/// the circumstances of a change. What is known by a secret only, such as an API key, is the same if everything else about it is.
pub(crate) fn telling(changes: Vec<EntityChange>) -> Vec<EntityChange> {
    let blind = |entity: Option<Arc<Entity>>| entity.map(|entity| without_secrets(&entity));
    let changes = changes.into_iter().map(|change| EntityChange {
        before: blind(change.before),
        after: blind(change.after),
        ..change
    });
    let mut changes: Vec<_> = changes.filter(differs).collect();
    let mut gone: HashMap<_, usize> = HashMap::new();
    for change in &changes {
        if let (Some(before), None) = (&change.before, &change.after) {
            *gone.entry((change.kind, content(&before.map()))).or_default() += 1;
        }
    }
    let mut back: HashMap<_, usize> = HashMap::new();
    changes.retain(|change| match (&change.before, &change.after) {
        (None, Some(after)) => {
            let key = (change.kind, content(&after.map()));
            let Some(left) = gone.get_mut(&key).filter(|left| **left > 0) else {
                return true;
            };
            *left -= 1;
            *back.entry(key).or_default() += 1;
            false
        }
        _ => true,
    });
    changes.retain(|change| match (&change.before, &change.after) {
        (Some(before), None) => {
            let left = back.get_mut(&(change.kind, content(&before.map())));
            left.filter(|left| **left > 0).map(|left| *left -= 1).is_none()
        }
        _ => true,
    });
    changes
}

fn differs(change: &EntityChange) -> bool {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => content(&before.map()) != content(&after.map()),
        (before, after) => before.is_some() != after.is_some(),
    }
}
