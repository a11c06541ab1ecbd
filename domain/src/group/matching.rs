//! Another group's configuration as if it were this one's: ids don't count, what is the same thing by decK's natural keys
//! gets the id that it has here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Entity, Group};
use crate::{EntityId, Kind};

/// The namespace of ids for what is new here under an id that something else has.
const OTHER_IDS: Uuid = Uuid::from_u128(0x6a1e_93d7_52c4_5b0e_8f27_c0d1_9e44_b35a);
/// The fields that don't say what an entity does.
const CIRCUMSTANCES: [&str; 3] = ["id", "created_at", "updated_at"];

/// The entities of another configuration as they would stand in this one. Of each kind an entity is, in this order, the
/// one here with the same unique key, with the same id, with the same content; or else it is new. References follow.
pub fn as_if_here(here: &Group, others: &[Arc<Entity>]) -> Vec<Arc<Entity>> {
    let mut by_kind: BTreeMap<(bool, Kind), Vec<&Arc<Entity>>> = BTreeMap::new();
    for other in others {
        // What is listed by id, without a foreign key, comes before what lists it.
        let is_listed = LISTED.contains(&other.kind);
        by_kind.entry((!is_listed, other.kind)).or_default().push(other);
    }
    let mut matching = Matching {
        here,
        ids: HashMap::new(),
    };
    let mut found = Vec::with_capacity(others.len());
    for ((_, kind), others) in by_kind {
        found.extend(matching.of_kind(kind, &others));
    }
    found.sort_by_key(|entity| (entity.kind, entity.id));
    found
}

static LISTED: LazyLock<BTreeSet<Kind>> = LazyLock::new(|| {
    let fields = Kind::all().flat_map(|kind| kind.schema().fields());
    fields.filter_map(|field| field.lists).collect()
});

/// Looks for what an entity with this body is here.
type Find<'find> = dyn Fn(&Entity, &Map<String, Value>) -> Option<EntityId> + 'find;

struct Matching<'here> {
    here: &'here Group,
    /// What the ids of the other configuration are here.
    ids: HashMap<(Kind, EntityId), EntityId>,
}

impl Matching<'_> {
    fn of_kind(&mut self, kind: Kind, others: &[&Arc<Entity>]) -> Vec<Arc<Entity>> {
        let bodies: Vec<_> = others.iter().map(|other| self.referring_here(other)).collect();
        let mut matched: Vec<Option<EntityId>> = vec![None; others.len()];
        let mut taken = BTreeSet::new();
        let mut matches = |find: &Find<'_>| {
            for (place, (other, body)) in others.iter().zip(&bodies).enumerate() {
                if matched[place].is_none() {
                    matched[place] = find(other, body).filter(|id| taken.insert(*id));
                }
            }
        };
        matches(&|other, body| {
            let keys = Entity::from_map(kind, other.id, body).unique;
            keys.into_iter().find_map(|key| self.here.holder(key))
        });
        matches(&|other, _| self.here.entity(kind, other.id).map(|same| same.id));
        let alike = self.by_content(kind);
        matches(&|_, body| alike.get(&content(body)).copied());
        let mut found = Vec::with_capacity(others.len());
        for ((other, body), id) in others.iter().zip(bodies).zip(matched) {
            let id = id.unwrap_or_else(|| self.unused(other));
            self.ids.insert((kind, other.id), id);
            found.push(self.under(kind, id, body));
        }
        found
    }

    /// The body with references to what is the same thing here.
    fn referring_here(&self, other: &Entity) -> Map<String, Value> {
        let mut body = other.map();
        for reference in &other.references {
            let field = other.kind.schema().foreign_keys[reference.foreign_key].field;
            if let Some(id) = self.ids.get(&(reference.kind, reference.id)) {
                body.insert(field.to_owned(), json!({ "id": id }));
            }
        }
        for field in other.kind.schema().fields() {
            let (Some(kind), Some(Value::Array(listed))) = (field.lists, body.get_mut(field.name)) else {
                continue;
            };
            for value in listed {
                let id = value.as_str().and_then(|id| id.parse().ok());
                if let Some(id) = id.and_then(|id| self.ids.get(&(kind, id))) {
                    *value = json!(id);
                }
            }
        }
        body
    }

    fn by_content(&self, kind: Kind) -> HashMap<String, EntityId> {
        let here = self.here.of_kind(kind);
        here.map(|entity| (content(&entity.map()), entity.id)).collect()
    }

    /// An id that nothing here has: its own, or one made from it.
    fn unused(&self, other: &Entity) -> EntityId {
        match self.here.entity(other.kind, other.id) {
            None => other.id,
            Some(_) => EntityId(Uuid::new_v5(&OTHER_IDS, other.id.0.as_bytes())),
        }
    }

    /// The entity under its id here; when it was made and changed is no difference.
    fn under(&self, kind: Kind, id: EntityId, mut body: Map<String, Value>) -> Arc<Entity> {
        body.insert("id".to_owned(), json!(id));
        if let Some(here) = self.here.entity(kind, id).map(|here| here.map()) {
            for field in ["created_at", "updated_at"] {
                if let Some(value) = here.get(field) {
                    body.insert(field.to_owned(), value.clone());
                }
            }
        }
        Arc::new(Entity::from_map(kind, id, &body))
    }
}

/// What an entity does, whatever its id is and whenever it was made or changed.
pub fn content(body: &Map<String, Value>) -> String {
    let telling = body
        .iter()
        .filter(|(field, _)| !CIRCUMSTANCES.contains(&field.as_str()));
    let telling: Map<String, Value> = telling
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    Value::Object(telling).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::difference;
    use super::*;

    fn entity(collection: &str, number: u128, body: Value) -> Arc<Entity> {
        let kind = Kind::in_collection(collection).unwrap();
        let id = EntityId(Uuid::from_u128(number));
        let mut map = body.as_object().unwrap().clone();
        map.insert("id".to_owned(), json!(id));
        Arc::new(Entity::from_map(kind, id, &map))
    }

    fn service(number: u128, name: &str, port: u16, updated_at: u64) -> Arc<Entity> {
        let body = json!({"name": name, "port": port, "updated_at": updated_at});
        entity("services", number, body)
    }

    fn route(number: u128, name: Option<&str>, path: &str, service: u128) -> Arc<Entity> {
        let service = json!({ "id": EntityId(Uuid::from_u128(service)) });
        let body = json!({"name": name, "paths": [path], "service": service});
        entity("routes", number, body)
    }

    fn compared(here: Vec<Arc<Entity>>, others: &[Arc<Entity>]) -> Vec<(&'static str, EntityId)> {
        let here = Group::of(1, here);
        let changes = difference(here.entities(), as_if_here(&here, others).iter());
        let one = |change: &super::super::EntityChange| {
            let what = match (&change.before, &change.after) {
                (None, _) => "created",
                (_, None) => "deleted",
                _ => "updated",
            };
            (what, change.id)
        };
        changes.iter().map(one).collect()
    }

    fn id(number: u128) -> EntityId {
        EntityId(Uuid::from_u128(number))
    }

    #[test]
    fn the_same_configuration_under_other_ids_is_no_difference() {
        let here = vec![
            service(1, "a", 80, 5),
            route(2, Some("r"), "/r", 1),
            route(3, None, "/unnamed", 1),
        ];
        let others = [
            service(11, "a", 80, 9),
            route(12, Some("r"), "/r", 11),
            route(13, None, "/unnamed", 11),
        ];
        assert_eq!(compared(here, &others), []);
    }

    #[test]
    fn what_has_the_same_name_is_updated_and_the_rest_comes_and_goes() {
        let here = vec![service(1, "a", 80, 5), service(2, "b", 80, 5)];
        let others = [
            service(11, "a", 81, 9),
            service(2, "c", 80, 9),
            service(1, "d", 80, 9),
        ];
        // `c` has the id of `b`, `d` that of `a`, which is another one.
        let new = EntityId(Uuid::new_v5(&OTHER_IDS, id(1).0.as_bytes()));
        let mut expected = vec![("updated", id(1)), ("updated", id(2)), ("created", new)];
        expected.sort_by_key(|(_, id)| *id);
        assert_eq!(compared(here, &others), expected);
    }

    #[test]
    fn a_certificate_authority_that_a_service_lists_is_followed() {
        let listing = |number: u128, authority: u128| {
            let body = json!({"name": "s", "ca_certificates": [id(authority)]});
            entity("services", number, body)
        };
        let authority = |number| {
            entity(
                "ca_certificates",
                number,
                json!({"cert": "c", "cert_digest": "d"}),
            )
        };
        let here = vec![authority(1), listing(2, 1)];
        assert_eq!(compared(here, &[authority(11), listing(12, 11)]), []);
    }
}
