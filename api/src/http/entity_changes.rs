//! What happened to entities, each with its body before and after: the `changes` of a version, a difference, `/apply`,
//! `/rollback`.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::operations::changed_fields;
use domain::group::{Entity, EntityChange};
use domain::{EntityId, Kind};
use projections::ChangeDetail;
use serde_json::{Value, json};

use super::presentation;

/// Bodies before and after, by entity.
type Bodies = (Option<Arc<Entity>>, Option<Arc<Entity>>);

/// What happened to entities, in order of kind and id.
#[derive(Debug, Default)]
pub(crate) struct EntityChanges(BTreeMap<(Kind, EntityId), Bodies>);

impl EntityChanges {
    /// What a recorded change did.
    pub(crate) fn recorded(detail: &ChangeDetail) -> Self {
        let mut changes = Self::default();
        // What an event repeats is shown with the first one about it.
        for event in detail.events.iter().filter(|event| !event.summary.repeated) {
            let kind = event.summary.kind.as_deref().and_then(Kind::named);
            if let (Some(kind), Some(id)) = (kind, event.summary.id) {
                let bodies = (event.before.clone(), event.after.clone());
                changes.0.insert((kind, EntityId(id)), bodies);
            }
        }
        changes
    }

    /// What a decision does, or leads from one state to another.
    pub(crate) fn decided(decided: &[EntityChange]) -> Self {
        let one = |change: &EntityChange| {
            let bodies = (change.before.clone(), change.after.clone());
            ((change.kind, change.id), bodies)
        };
        Self(decided.iter().map(one).collect())
    }

    /// As answers carry it. A secret that changed is named among the changed fields even where it isn't shown.
    pub(crate) fn shown(&self, with_secrets: bool) -> Vec<Value> {
        let one = |(key, bodies): (&(Kind, EntityId), &Bodies)| shown(*key, bodies, with_secrets);
        self.0.iter().filter_map(one).collect()
    }
}

/// None for what is as it was.
fn shown((kind, id): (Kind, EntityId), (before, after): &Bodies, with_secrets: bool) -> Option<Value> {
    let (what, changed) = match (before, after) {
        (None, None) => return None,
        (Some(before), Some(after)) if before.body == after.body => return None,
        (Some(before), Some(after)) => ("updated", changed_fields(&before.map(), &after.map())),
        (None, Some(_)) => ("created", Vec::new()),
        (Some(_), None) => ("deleted", Vec::new()),
    };
    let body = |entity: &Option<Arc<Entity>>| {
        let entity = entity.as_ref()?;
        Some(presentation::body(entity, with_secrets))
    };
    let (before, after) = (body(before), body(after));
    let named = after.as_ref().or(before.as_ref());
    let name = named.and_then(|body| body.get(presentation::name_field(kind)?));
    Some(json!({
        "what": what,
        "kind": kind,
        "id": id,
        "name": name.filter(|name| name.is_string()),
        "changed": changed,
        "before": before,
        "after": after,
    }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn entity(number: u128, body: Value) -> Arc<Entity> {
        let id = EntityId(Uuid::from_u128(number));
        let kind = Kind::named("certificates").unwrap();
        Arc::new(Entity::from_map(kind, id, body.as_object().unwrap()))
    }

    #[test]
    fn what_came_changed_and_went_is_said_and_what_stayed_is_not() {
        let same = entity(1, json!({"cert": "a", "key": "k"}));
        let change = |before: Option<&Arc<Entity>>, after: Option<&Arc<Entity>>| {
            let entity = before.or(after).unwrap();
            EntityChange {
                kind: entity.kind,
                id: entity.id,
                before: before.cloned(),
                after: after.cloned(),
            }
        };
        let (old, new) = (
            entity(2, json!({"cert": "b", "key": "one"})),
            entity(2, json!({"cert": "b", "key": "two"})),
        );
        let (gone, fresh) = (entity(3, json!({"cert": "c"})), entity(4, json!({"cert": "d"})));
        let changes = EntityChanges::decided(&[
            change(Some(&same), Some(&same)),
            change(Some(&old), Some(&new)),
            change(Some(&gone), None),
            change(None, Some(&fresh)),
        ]);
        let shown = changes.shown(false);
        let said: Vec<_> = shown
            .iter()
            .map(|change| change["what"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["updated", "deleted", "created"]);
        assert_eq!(shown[0]["changed"], json!(["key"]));
        assert_eq!(shown[0]["after"]["key"], presentation::REDACTED);
        assert_eq!(changes.shown(true)[0]["after"]["key"], "two");
    }
}
