//! What has to be written again although it didn't change itself.

use std::collections::BTreeSet;

use super::switched_off::CONCERNED;
use crate::group::{Group, custom_plugins};
use crate::{EntityId, Kind};

/// What else has to be written again when this entity was created, changed or deleted: a service that is switched off
/// takes its routes, their plugins and filter chains with it, and an uploaded schema says what a null of its plugins means.
/// `group` is as it is after the change.
pub fn affected(group: &Group, kind: Kind, id: EntityId) -> Vec<(Kind, EntityId)> {
    let mut found: Vec<(Kind, EntityId)> = described(group, kind, id);
    let mut seen = BTreeSet::from([(kind, id)]);
    let mut waiting = vec![(kind, id)];
    while let Some((kind, id)) = waiting.pop() {
        if !CONCERNED.contains(&kind) {
            continue;
        }
        for (below, _) in group.referring(kind, id) {
            let key = (below.kind, below.id);
            if seen.insert(key) {
                found.push(key);
                waiting.push(key);
            }
        }
    }
    found
}

/// The plugins that an uploaded schema describes.
fn described(group: &Group, kind: Kind, id: EntityId) -> Vec<(Kind, EntityId)> {
    let schema = group.entity(kind, id);
    let plugins = schema.map(|schema| custom_plugins::users(group, schema));
    plugins
        .into_iter()
        .flatten()
        .map(|plugin| (plugin.kind, plugin.id))
        .collect()
}
