//! Who is in which consumer group, as decK writes it: `groups` below a consumer, `consumers` below a consumer group; each lists the
//! names of the other side.

use serde_json::{Map, Value, json};

use crate::Kind;
use crate::group::Entity;

/// The kind of a membership.
const MEMBERSHIP: &str = "consumer_group_consumers";

/// Where a list of memberships stands, and what its items name.
const PLACES: [(&str, &str, &str); 2] = [
    ("consumers", "groups", "consumer_group"),
    ("consumer_groups", "consumers", "consumer"),
];

/// The kind that a field's items are, if they are memberships, and the field that each fills.
pub(super) fn listed_in(kind: Kind, field: &str) -> Option<(Kind, &'static str)> {
    let place = PLACES
        .iter()
        .find(|(parent, list, _)| *parent == kind.name() && *list == field)?;
    Some((Kind::named(MEMBERSHIP)?, place.2))
}

/// A membership's fields out of an item, `gold`, `{name: gold}` or `{id: …}`.
pub(super) fn item(far: &str, item: &Value) -> Option<Value> {
    match item {
        Value::String(_) => Some(json!({ far: item })),
        Value::Object(members) => {
            let naming = ["id", "name", "username"];
            let named = members
                .iter()
                .filter(|(field, _)| naming.contains(&field.as_str()));
            let named: Map<String, Value> = named
                .map(|(field, value)| (field.clone(), value.clone()))
                .collect();
            (!named.is_empty()).then(|| json!({ far: first_of(named, &naming) }))
        }
        _ => None,
    }
}

/// The id where there is one, else the name.
fn first_of(named: Map<String, Value>, naming: &[&str]) -> Value {
    let found = naming
        .iter()
        .find_map(|field| Some((*field, named.get(*field)?.clone())));
    found.map_or(Value::Null, |(field, value)| json!({ field: value }))
}

/// Whether an entity is a membership.
pub(super) fn is_one(entity: &Entity) -> bool {
    entity.kind.name() == MEMBERSHIP
}

/// The consumer's field that lists its groups.
pub(super) const GROUPS: &str = PLACES[0].1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_stand_below_either_side_and_name_the_other() {
        let (kind, far) = listed_in(Kind::named("consumers").unwrap(), "groups").unwrap();
        assert_eq!((kind.name(), far), (MEMBERSHIP, "consumer_group"));
        assert!(listed_in(Kind::named("services").unwrap(), "groups").is_none());
        assert_eq!(item(far, &json!("gold")), Some(json!({"consumer_group": "gold"})));
        assert_eq!(
            item(far, &json!({"name": "gold", "tags": ["x"]})),
            Some(json!({"consumer_group": {"name": "gold"}}))
        );
        assert_eq!(item(far, &json!({"tags": []})), None);
    }
}
