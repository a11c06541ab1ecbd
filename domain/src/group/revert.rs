//! Revert: what one change did is taken back, field by field, and what came later stays. Where both can't be, it is refused
//! with everything that stands in the way.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::conflict::{Conflict, Obstacle};
use super::decide::{Draft, EntityChange};
use super::entity::Entity;
use super::undo::{self, Wanted};
use super::{GroupError, operations};

/// The field that says when an entity was last written: it never stands in the way.
const UPDATED_AT: &str = "updated_at";

/// Takes back what a change did.
pub fn revert(draft: &mut Draft<'_>, changes: &[EntityChange]) -> Result<(), GroupError> {
    let (mut wanted, mut conflicts) = (Wanted::default(), Vec::new());
    for change in changes {
        match (&change.before, &change.after) {
            (None, Some(made)) => unmake(draft, made, &mut wanted, &mut conflicts),
            (Some(gone), None) => bring_back(draft, gone, &mut wanted, &mut conflicts),
            (Some(before), Some(after)) => {
                change_back(draft, (before, after), &mut wanted, &mut conflicts);
            }
            (None, None) => {}
        }
    }
    undo::carry_out(draft, wanted, conflicts)
}

/// An entity that the change created goes, if it is still what the change made.
fn unmake(draft: &Draft<'_>, made: &Arc<Entity>, wanted: &mut Wanted, conflicts: &mut Vec<Conflict>) {
    let Some(now) = draft.scratch.entity(made.kind, made.id) else {
        return;
    };
    let changed = operations::changed_fields(&made.map(), &now.map());
    let changed = changed.into_iter().filter(|field| field != UPDATED_AT);
    conflicts.extend(changed.map(|field| Conflict::field(now.clone(), field, Obstacle::ChangedSince)));
    wanted.gone(now.kind, now.id);
}

/// An entity that the change deleted comes back byte for byte.
fn bring_back(draft: &Draft<'_>, gone: &Arc<Entity>, wanted: &mut Wanted, conflicts: &mut Vec<Conflict>) {
    match draft.scratch.entity(gone.kind, gone.id) {
        Some(now) if now.body == gone.body => {}
        Some(now) => conflicts.push(Conflict::whole(now.clone(), Obstacle::ExistsAgain)),
        None => wanted.exactly(gone.clone()),
    }
}

/// An entity that the change altered gets those fields back.
fn change_back(
    draft: &Draft<'_>,
    (before, after): (&Arc<Entity>, &Arc<Entity>),
    wanted: &mut Wanted,
    conflicts: &mut Vec<Conflict>,
) {
    if before.body == after.body {
        return;
    }
    let Some(now) = draft.scratch.entity(after.kind, after.id) else {
        conflicts.push(Conflict::whole(after.clone(), Obstacle::DeletedSince));
        return;
    };
    if before.erased || after.erased || now.erased {
        conflicts.push(Conflict::whole(now.clone(), Obstacle::Erased));
        return;
    }
    let (old, current) = (before.map(), now.map());
    let mut clashes = Vec::new();
    let merged = take_back("", &old, &after.map(), &current, &mut clashes);
    if !clashes.is_empty() {
        let clash = |field| Conflict::field(now.clone(), field, Obstacle::ChangedSince);
        conflicts.extend(clashes.into_iter().map(clash));
    } else if same_but_for_the_time(&merged, &current) {
        // It is so already.
    } else if same_but_for_the_time(&merged, &old) {
        wanted.exactly(before.clone());
    } else {
        let entity = Entity::from_map(now.kind, now.id, &merged);
        let expires_at = match entity.ttl == now.ttl {
            true => now.expires_at,
            false => before.expires_at,
        };
        wanted.in_essence(Arc::new(Entity { expires_at, ..entity }));
    }
}

fn same_but_for_the_time(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let changed = operations::changed_fields(one, other);
    changed.iter().all(|field| field == UPDATED_AT)
}

/// What stands `now`, with what led from `before` to `after` taken back. A record's fields are looked at one by one, anything
/// else counts as a whole; what can't be taken back is named by its path and stays.
fn take_back(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    now: &Map<String, Value>,
    clashes: &mut Vec<String>,
) -> Map<String, Value> {
    let mut taken_back = now.clone();
    let fields = before
        .keys()
        .chain(after.keys().filter(|field| !before.contains_key(*field)));
    for field in fields {
        let (old, new, current) = (before.get(field), after.get(field), now.get(field));
        let is_time = path.is_empty() && field == UPDATED_AT;
        if is_time || old == new || current == old {
            continue;
        }
        let place = match path {
            "" => field.clone(),
            path => format!("{path}.{field}"),
        };
        match (old, new, current) {
            (Some(Value::Object(old)), Some(Value::Object(new)), Some(Value::Object(current))) => {
                let inner = take_back(&place, old, new, current, clashes);
                taken_back.insert(field.clone(), Value::Object(inner));
            }
            (Some(old), new, current) if new == current => {
                taken_back.insert(field.clone(), old.clone());
            }
            (None, new, current) if new == current => {
                taken_back.shift_remove(field);
            }
            _ => clashes.push(place),
        }
    }
    taken_back
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn taken_back(before: Value, after: Value, now: Value) -> (Value, Vec<String>) {
        let mut clashes = Vec::new();
        let merged = take_back("", &map(before), &map(after), &map(now), &mut clashes);
        (Value::Object(merged), clashes)
    }

    #[test]
    fn fields_are_taken_back_one_by_one_inside_records_too() {
        let (merged, clashes) = taken_back(
            json!({"port": 80, "config": {"minute": 5, "hour": null}, "tags": ["a"]}),
            json!({"port": 81, "config": {"minute": 9, "hour": null}, "tags": ["a"]}),
            json!({"port": 81, "config": {"minute": 9, "hour": 7}, "tags": ["b"]}),
        );
        assert_eq!(
            merged,
            json!({"port": 80, "config": {"minute": 5, "hour": 7}, "tags": ["b"]})
        );
        assert!(clashes.is_empty());
    }

    #[test]
    fn a_field_that_was_changed_again_is_named_by_its_path_and_stays() {
        let (merged, clashes) = taken_back(
            json!({"config": {"minute": 5}}),
            json!({"config": {"minute": 9}}),
            json!({"config": {"minute": 11}}),
        );
        assert_eq!(merged, json!({"config": {"minute": 11}}));
        assert_eq!(clashes, ["config.minute"]);
    }

    #[test]
    fn a_field_that_is_back_already_is_no_clash() {
        let (merged, clashes) = taken_back(json!({"a": 1}), json!({"a": 2}), json!({"a": 1}));
        assert_eq!((merged, clashes), (json!({"a": 1}), Vec::new()));
    }

    #[test]
    fn entries_of_a_map_come_and_go() {
        let (merged, clashes) = taken_back(
            json!({"headers": {"x": 1, "z": 3}}),
            json!({"headers": {"x": 1, "y": 2}}),
            json!({"headers": {"x": 1, "y": 2, "w": 0}}),
        );
        assert_eq!(merged, json!({"headers": {"x": 1, "w": 0, "z": 3}}));
        assert!(clashes.is_empty());
    }
}
