//! What leads from one configuration to another.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Entity, EntityChange};

/// The entities whose bodies aren't the same in two configurations, by kind and id.
pub fn difference<'entities>(
    from: impl Iterator<Item = &'entities Arc<Entity>>,
    to: impl Iterator<Item = &'entities Arc<Entity>>,
) -> Vec<EntityChange> {
    let mut pairs: BTreeMap<_, (Option<_>, Option<_>)> = BTreeMap::new();
    for entity in from {
        pairs.entry((entity.kind, entity.id)).or_default().0 = Some(Arc::clone(entity));
    }
    for entity in to {
        pairs.entry((entity.kind, entity.id)).or_default().1 = Some(Arc::clone(entity));
    }
    let change = |((kind, id), (before, after))| EntityChange {
        kind,
        id,
        before,
        after,
    };
    pairs.into_iter().map(change).filter(differs).collect()
}

/// Whether it came, went, or isn't what it was.
pub fn differs(change: &EntityChange) -> bool {
    let body = |entity: &Option<Arc<Entity>>| entity.as_ref().map(|entity| Arc::clone(&entity.body));
    body(&change.before) != body(&change.after)
}
