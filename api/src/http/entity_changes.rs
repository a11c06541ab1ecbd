//! What happened to entities, each with its body before and after and every field that changed: the `changes` of a
//! version, a difference, `/apply`, `/rollback`.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::operations::changed_fields;
use domain::group::{Entity, EntityChange};
use domain::{EntityId, Kind};
use projections::ChangeDetail;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::field_changes::{ChangedPaths, FieldChange};
use super::presentation;
use super::stored_fields::StoredFields;

/// Bodies before and after, by entity.
type Bodies = (Option<Arc<Entity>>, Option<Arc<Entity>>);

/// What happened to entities, in order of kind and id.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntityChanges(BTreeMap<(Kind, EntityId), Bodies>);

/// What happened to one entity, as answers carry it.
#[derive(Debug, Serialize)]
pub(crate) struct ShownChange {
    what: &'static str,
    kind: Kind,
    id: EntityId,
    name: Option<String>,
    /// The fields at the top of the body that changed.
    changed: Vec<String>,
    /// Every field that changed, at any depth.
    fields: Vec<FieldChange>,
    before: Option<ShownBody>,
    after: Option<ShownBody>,
}

/// A body as a reader sees it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum ShownBody {
    /// As it is stored.
    Stored(Box<RawValue>),
    /// With secrets blotted out, or with more fields than are stored.
    Written(Map<String, Value>),
}

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

    /// As answers carry it, one after another: each is forgotten when it is written. A secret that changed is named among the
    /// changed fields even where it isn't shown; bodies that are shown as they are stored are copies of bytes.
    pub(crate) fn shown(self, with_secrets: bool) -> impl Iterator<Item = ShownChange> + Send {
        let one = move |((kind, id), (before, after)): ((Kind, EntityId), Bodies)| {
            let what = match (&before, &after) {
                (None, None) => return None,
                (Some(before), Some(after)) if before.body == after.body => return None,
                (Some(_), Some(_)) => "updated",
                (None, Some(_)) => "created",
                (Some(_), None) => "deleted",
            };
            let shown = ShownChange {
                what,
                kind,
                id,
                name: None,
                changed: Vec::new(),
                fields: Vec::new(),
                before: None,
                after: None,
            };
            let (before, after) = (before.as_deref(), after.as_deref());
            Some(match presentation::is_shown_as_stored(kind, with_secrets) {
                true => shown.with_stored(before, after),
                false => shown.with_written(before, after, with_secrets),
            })
        };
        self.0.into_iter().filter_map(one)
    }
}

impl ShownChange {
    /// With bodies that every reader sees as they are stored: only what differs in them is parsed.
    fn with_stored(mut self, before: Option<&Entity>, after: Option<&Entity>) -> Self {
        let was = before.map(|entity| StoredFields::of(&entity.body));
        let is = after.map(|entity| StoredFields::of(&entity.body));
        let field = presentation::name_field(self.kind);
        let name = field.and_then(|field| is.as_ref().or(was.as_ref())?.parsed(field));
        self.name = name.and_then(|name: Value| name.as_str().map(str::to_owned));
        if let (Some(was), Some(is)) = (&was, &is) {
            let (was, is) = was.differing(is);
            self = self.with_fields([&was, &is], [&was, &is]);
        }
        let body = |entity: &Entity| RawValue::from_string(entity.body.as_ref().to_owned());
        // A canonical body is JSON.
        self.before = before.and_then(|entity| body(entity).ok().map(ShownBody::Stored));
        self.after = after.and_then(|entity| body(entity).ok().map(ShownBody::Stored));
        self
    }

    /// With bodies in which secrets are blotted out, or moved fields shown in both places.
    fn with_written(mut self, before: Option<&Entity>, after: Option<&Entity>, with_secrets: bool) -> Self {
        let kind = self.kind;
        let (was, is) = (before.map(Entity::map), after.map(Entity::map));
        let body = |map: &Map<String, Value>| presentation::body_of(kind, map.clone(), with_secrets);
        let (before, after) = (was.as_ref().map(body), is.as_ref().map(body));
        let named = after.as_ref().or(before.as_ref());
        let name = named.and_then(|body| body.get(presentation::name_field(kind)?)?.as_str());
        self.name = name.map(str::to_owned);
        if let (Some(was), Some(is), Some(before), Some(after)) = (&was, &is, &before, &after) {
            self = self.with_fields([was, is], [before, after]);
        }
        self.before = before.map(ShownBody::Written);
        self.after = after.map(ShownBody::Written);
        self
    }

    /// With the fields in which two bodies differ, as a reader sees them before and after.
    fn with_fields(
        mut self,
        [was, is]: [&Map<String, Value>; 2],
        [before, after]: [&Map<String, Value>; 2],
    ) -> Self {
        self.changed = changed_fields(was, is);
        self.fields = ChangedPaths::below(&self.changed, was, is).shown(before, after);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
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
        let shown: Vec<_> = changes.clone().shown(false).map(|change| json!(change)).collect();
        let said: Vec<_> = shown
            .iter()
            .map(|change| change["what"].as_str().unwrap())
            .collect();
        assert_eq!(said, ["updated", "deleted", "created"]);
        assert_eq!(shown[0]["changed"], json!(["key"]));
        let blotted = presentation::REDACTED;
        let fields = json!([{"path": "key", "before": blotted, "after": blotted}]);
        assert_eq!(shown[0]["fields"], fields);
        assert_eq!(shown[0]["after"]["key"], presentation::REDACTED);
        let with_secrets = json!(changes.shown(true).next());
        assert_eq!(with_secrets["after"]["key"], "two");
    }

    #[test]
    fn bodies_without_secrets_are_shown_as_they_are_stored() {
        let service = |body: Value| {
            let kind = Kind::named("services").unwrap();
            Arc::new(Entity::from_map(
                kind,
                EntityId(Uuid::nil()),
                body.as_object().unwrap(),
            ))
        };
        let before = service(json!({"name": "orders", "port": 80, "host": "a"}));
        let after = service(json!({"name": "orders", "port": 81, "host": "a"}));
        let changes = EntityChanges::decided(&[EntityChange {
            kind: before.kind,
            id: before.id,
            before: Some(Arc::clone(&before)),
            after: Some(Arc::clone(&after)),
        }]);
        let written = serde_json::to_string(&changes.clone().shown(false).next()).unwrap();
        assert!(written.contains(before.body.as_ref()) && written.contains(after.body.as_ref()));
        let shown = json!(changes.shown(false).next());
        assert_eq!(
            (&shown["name"], &shown["changed"]),
            (&json!("orders"), &json!(["port"]))
        );
        let fields = json!([{"path": "port", "before": 80, "after": 81}]);
        assert_eq!(shown["fields"], fields);
    }
}
