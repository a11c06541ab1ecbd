//! Entities that aren't sent because they, or what they belong to, are disabled.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Kind;
use crate::group::{Entity, Group};

/// Kinds that have `enabled`, and those whose references lead to one of them.
pub(super) static CONCERNED: LazyLock<BTreeSet<Kind>> = LazyLock::new(|| {
    let mut concerned = BTreeSet::new();
    // Each kind comes after those it refers to.
    for kind in Kind::all() {
        let above = &kind.schema().foreign_keys;
        if has_switch(kind)
            || above
                .iter()
                .any(|key| key.kind.is_some_and(|kind| concerned.contains(&kind)))
        {
            concerned.insert(kind);
        }
    }
    concerned
});

/// Whether an entity with this body, or something it belongs to, is disabled.
pub(super) fn is_switched_off(group: &Group, entity: &Entity, body: &Map<String, Value>) -> bool {
    let is_disabled = || has_switch(entity.kind) && body.get("enabled") == Some(&Value::Bool(false));
    CONCERNED.contains(&entity.kind) && (is_disabled() || is_below_switched_off(group, entity))
}

fn is_below_switched_off(group: &Group, entity: &Entity) -> bool {
    let above = entity.references.iter();
    above
        .filter(|reference| CONCERNED.contains(&reference.kind))
        .filter_map(|reference| group.entity(reference.kind, reference.id))
        .any(|above| (has_switch(above.kind) && is_disabled(above)) || is_below_switched_off(group, above))
}

fn has_switch(kind: Kind) -> bool {
    kind.schema().record.field("enabled").is_some()
}

fn is_disabled(entity: &Entity) -> bool {
    #[derive(Deserialize)]
    struct Switch {
        enabled: Option<bool>,
    }
    let switch: Result<Switch, _> = serde_json::from_str(&entity.body);
    switch.is_ok_and(|switch| switch.enabled == Some(false))
}
