//! A declarative file as one change: every entity matched, written, and the whole checked at the end, so that names
//! may change hands within the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::decide::Draft;
use super::entity::{Entity, UniqueKey};
use super::operations::{self, Written};
use super::{DeletionCause, GroupError, GroupEvent, references};
use crate::declarative::{Declaration, DeclaredEntity};
use crate::schema::OnDelete;
use crate::{EntityId, Kind};

/// The namespace of ids made from content (UUIDv5).
const CONTENT_IDS: Uuid = Uuid::from_u128(0x1c0f_5a6e_3f0b_5d8a_9c55_7b4e_21d3_a9f0);

/// Makes the configuration what the file says; with `prune`, also deletes what it doesn't have.
pub fn declare(draft: &mut Draft<'_>, declaration: &Declaration, prune: bool) -> Result<(), GroupError> {
    let mut targets: Vec<EntityId> = Vec::with_capacity(declaration.entities.len());
    let mut bodies = Vec::with_capacity(declaration.entities.len());
    for entity in &declaration.entities {
        let body = placed(draft, entity, &targets, declaration).map_err(|error| located(entity, error))?;
        let id = target(draft, entity, &body, &targets);
        if targets.iter().zip(&declaration.entities).any(|(other, before)| *other == id && before.kind == entity.kind) {
            return Err(located(entity, GroupError::PrimaryKey { id }));
        }
        targets.push(id);
        bodies.push(body);
    }
    let wanted: BTreeSet<_> = declaration.entities.iter().map(|entity| entity.kind).zip(targets.iter().copied()).collect();
    let pruned = if prune { prune_others(draft, &wanted, &declaration.select_tags)? } else { Vec::new() };
    let mut written = Vec::new();
    for ((entity, body), id) in declaration.entities.iter().zip(bodies).zip(&targets) {
        let change = write(draft, entity, body, *id).map_err(|error| located(entity, error))?;
        written.extend(change.map(|created| (entity, *id, created)));
    }
    check_whole(draft, &written)?;
    settle_deletions(draft, &pruned)?;
    for (entity, id, created) in written {
        draft.report(entity.kind, id, created);
    }
    for (kind, id) in pruned {
        draft.report(kind, id, false);
    }
    Ok(())
}

fn located(entity: &DeclaredEntity, error: GroupError) -> GroupError {
    GroupError::InDeclaration { path: entity.path.clone(), error: Box::new(error) }
}

/// The body with its parent's id, resolved references and the file's select tags.
fn placed(
    draft: &Draft<'_>,
    entity: &DeclaredEntity,
    targets: &[EntityId],
    declaration: &Declaration,
) -> Result<Map<String, Value>, GroupError> {
    let mut body = entity.body.clone();
    if let Some(parent) = entity.parent {
        let kind = declaration.entities[parent].kind;
        let field = references::field_towards(entity.kind, kind).ok_or_else(|| {
            GroupError::Malformed(format!("{} can't be nested under {}", entity.kind.name(), kind.name()))
        })?;
        body.insert(field.to_owned(), json!({ "id": targets[parent] }));
    }
    resolve_within(entity.kind, &mut body, declaration, targets);
    references::resolve(&draft.scratch, entity.kind, &mut body)?;
    if !declaration.select_tags.is_empty() && entity.kind.schema().tagged {
        let tags = body.entry("tags").or_insert(Value::Null);
        let mut all = tags.as_array().cloned().unwrap_or_default();
        all.extend(declaration.select_tags.iter().map(|tag| json!(tag)).filter(|tag| !all.contains(tag)).collect::<Vec<_>>());
        *tags = Value::Array(all);
    }
    Ok(body)
}

/// References by name to entities of the same file come before those the group has.
fn resolve_within(kind: Kind, body: &mut Map<String, Value>, declaration: &Declaration, targets: &[EntityId]) {
    for key in &kind.schema().foreign_keys {
        let Some(named) = body.get(key.field).and_then(Value::as_object).filter(|value| !value.contains_key("id")) else {
            continue;
        };
        let fits = |(entity, _): &(&DeclaredEntity, &EntityId)| {
            Some(entity.kind) == key.kind && named.iter().all(|(field, value)| entity.body.get(field) == Some(value))
        };
        let found = declaration.entities.iter().zip(targets).find(fits).map(|(_, id)| *id);
        if let Some(id) = found {
            body.insert(key.field.to_owned(), json!({ "id": id }));
        }
    }
}

/// Which entity is meant: by id, else by decK's natural key, else by content.
fn target(draft: &Draft<'_>, entity: &DeclaredEntity, body: &Map<String, Value>, targets: &[EntityId]) -> EntityId {
    let given = body.get("id").and_then(Value::as_str).and_then(|id| id.parse().ok());
    given.or_else(|| natural_holder(draft, entity.kind, body)).unwrap_or_else(|| {
        let parent = entity.parent.map(|parent| targets[parent].to_string()).unwrap_or_default();
        let natural = natural_key(entity.kind, body);
        let content = natural.unwrap_or_else(|| Value::Object(body.clone()).to_string());
        EntityId(Uuid::new_v5(&CONTENT_IDS, format!("{}/{parent}/{content}", entity.kind.name()).as_bytes()))
    })
}

/// The entity that holds one of the unique keys that the body sets.
fn natural_holder(draft: &Draft<'_>, kind: Kind, body: &Map<String, Value>) -> Option<EntityId> {
    kind.schema().unique.iter().enumerate().find_map(|(rule, unique)| {
        let values: Vec<_> = unique.fields.iter().map(|field| text_of(body.get(*field))).collect();
        let usable = if unique.composite { values.iter().any(|value| value != "null") } else { values[0] != "null" };
        usable.then(|| draft.scratch.holder(UniqueKey::of(kind, rule, values.iter().map(String::as_str))))?
    })
}

fn natural_key(kind: Kind, body: &Map<String, Value>) -> Option<String> {
    let set = |unique: &&crate::schema::UniqueRule| {
        unique.fields.iter().any(|field| body.get(*field).is_some_and(|value| !value.is_null() && !value.is_object()))
    };
    let rule = kind.schema().unique.iter().find(set)?;
    Some(rule.fields.iter().map(|field| text_of(body.get(*field))).collect::<Vec<_>>().join("/"))
}

fn text_of(value: Option<&Value>) -> String {
    value.unwrap_or(&Value::Null).to_string()
}

/// Deletes what the file doesn't have, within its select tags; what must stay refuses later, when the file is in.
fn prune_others(
    draft: &mut Draft<'_>,
    wanted: &BTreeSet<(Kind, EntityId)>,
    select_tags: &[String],
) -> Result<Vec<(Kind, EntityId)>, GroupError> {
    let unwanted = |entity: &&Arc<Entity>| {
        let selected = select_tags.iter().all(|tag| entity.tags.iter().any(|own| **own == **tag));
        entity.kind.schema().exported && selected && !wanted.contains(&(entity.kind, entity.id))
    };
    let gone: Vec<_> = draft.scratch.entities().filter(unwanted).map(|entity| (entity.kind, entity.id)).collect();
    for (kind, id) in &gone {
        draft.record(GroupEvent::EntityDeleted { kind: *kind, id: *id, cause: DeletionCause::Requested })?;
    }
    Ok(gone)
}

/// Writes one entity; answers whether it is new, or nothing where nothing changed.
fn write(
    draft: &mut Draft<'_>,
    entity: &DeclaredEntity,
    mut body: Map<String, Value>,
    id: EntityId,
) -> Result<Option<bool>, GroupError> {
    body.insert("id".to_owned(), json!(id));
    let current = draft.scratch.entity(entity.kind, id).cloned();
    if let Some(current) = &current {
        keep_generated(current, &mut body);
    }
    match operations::written(draft, entity.kind, current.as_ref(), body, true)? {
        Written::Unchanged => Ok(None),
        Written::Created(entity) => draft.record(GroupEvent::EntityCreated { entity }).map(|()| Some(true)),
        Written::Updated(entity, changed) => draft.record(GroupEvent::EntityUpdated { entity, changed }).map(|()| Some(false)),
    }
}

/// A generated field that the file omits stays what it was: applying a file twice draws no second key.
fn keep_generated(current: &Entity, body: &mut Map<String, Value>) {
    let stored = current.map();
    for field in current.kind.schema().fields().iter().filter(|field| field.is_generated()) {
        if let (false, Some(value)) = (body.contains_key(field.name), stored.get(field.name)) {
            body.insert(field.name.to_owned(), value.clone());
        }
    }
}

fn check_whole(draft: &Draft<'_>, written: &[(&DeclaredEntity, EntityId, bool)]) -> Result<(), GroupError> {
    for (declared, id, _) in written {
        let Some(entity) = draft.scratch.entity(declared.kind, *id) else { continue };
        operations::check_whole(&draft.scratch, entity).map_err(|error| located(declared, error))?;
    }
    Ok(())
}

/// What still refers to a deleted entity goes along or refuses the deletion, as its foreign key says.
fn settle_deletions(draft: &mut Draft<'_>, pruned: &[(Kind, EntityId)]) -> Result<(), GroupError> {
    for (kind, id) in pruned {
        let left: Vec<_> = draft.scratch.referring(*kind, *id).map(|(entity, key)| (entity.kind, entity.id, key)).collect();
        for (by, child, key) in left {
            if by.schema().foreign_keys[key].on_delete == OnDelete::Restrict {
                return Err(GroupError::Referenced { kind: kind.name(), by: by.name() });
            }
            if draft.scratch.entity(by, child).is_some() {
                references::delete(draft, by, child, DeletionCause::Cascade)?;
            }
        }
    }
    Ok(())
}
