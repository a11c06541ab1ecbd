//! References between entities: resolved by name, checked, and followed when something is deleted.

use serde_json::{Map, Value, json};

use super::decide::Draft;
use super::entity::{Entity, UniqueKey};
use super::{DeletionCause, Group, GroupError, GroupEvent, Selector, children};
use crate::schema::{ForeignReference, OnDelete, UniqueRule, foreign_reference};
use crate::{EntityId, Kind};

/// Replaces every by-name reference of a body with the id it names.
pub fn resolve(state: &Group, kind: Kind, body: &mut Map<String, Value>) -> Result<(), GroupError> {
    for key in &kind.schema().foreign_keys {
        let (Some(value), Some(referenced)) = (body.get(key.field), key.kind) else {
            continue;
        };
        // A malformed reference is the schema's to refuse, in its words.
        let Ok(Some(reference)) = foreign_reference(value) else {
            continue;
        };
        let id = match reference {
            ForeignReference::Id(id) => EntityId(id),
            ForeignReference::Unique { field, value } => holder_of(state, referenced, &field, &value)
                .ok_or_else(|| GroupError::ForeignUnresolved {
                    field: key.field,
                    kind: referenced.name(),
                    by: field,
                    value,
                })?,
        };
        body.insert(key.field.to_owned(), json!({ "id": id }));
    }
    Ok(())
}

/// The entity whose single unique field has this value.
pub fn holder_of(state: &Group, kind: Kind, field: &str, value: &str) -> Option<EntityId> {
    state.holder(unique_key(kind, field, value)?)
}

/// The unique key of a value of a field that is unique by itself.
pub fn unique_key(kind: Kind, field: &str, value: &str) -> Option<UniqueKey> {
    let rule = kind
        .schema()
        .unique
        .iter()
        .position(|rule| !rule.composite && rule.fields == [field])?;
    Some(UniqueKey::of(kind, rule, [stored(kind, field, value).as_str()]))
}

/// The unique key of what a URL calls `key` below a parent: of the field that is unique together with the parent alone
/// (a target's `target`, an ACL's `group`).
pub fn unique_key_below(kind: Kind, key: &str, parent: (Kind, EntityId)) -> Option<UniqueKey> {
    let (rule, field) = named_below(kind, parent.0)?;
    let value = |name: &&'static str| {
        if *name == field {
            stored(kind, field, key)
        } else {
            json!({ "id": parent.1 }).to_string()
        }
    };
    let values: Vec<_> = kind.schema().unique[rule].fields.iter().map(value).collect();
    Some(UniqueKey::of(kind, rule, values.iter().map(String::as_str)))
}

/// A text as JSON in the form in which a field stores it.
fn stored(kind: Kind, field: &str, text: &str) -> String {
    let field = kind.schema().record.field(field);
    let text = field.map_or_else(|| text.to_owned(), |field| field.stored_text(text));
    Value::from(text).to_string()
}

/// The rule by which one field is unique below a parent, and that field.
fn named_below(kind: Kind, parent: Kind) -> Option<(usize, &'static str)> {
    let schema = kind.schema();
    let towards = field_towards(kind, parent)?;
    let rules = schema.unique.iter().enumerate();
    let mut named = rules.filter_map(|(number, rule)| match rule.fields[..] {
        [one, other] if rule.composite && one == towards => Some((number, other)),
        [one, other] if rule.composite && other == towards => Some((number, one)),
        _ => None,
    });
    named.find(|(_, field)| schema.endpoint_key.is_none_or(|key| key == *field))
}

/// The field that a URL's segment stands for: the endpoint key, or what is unique below the parent alone.
pub fn url_field(kind: Kind, parent: Option<Kind>) -> Option<&'static str> {
    let below = || named_below(kind, parent?).map(|(_, field)| field);
    kind.schema().endpoint_key.or_else(below)
}

/// The entity a URL names: by id, by the kind's endpoint key, or by what is unique within the parent.
pub fn find(
    state: &Group,
    kind: Kind,
    selector: &Selector,
    parent: Option<(Kind, EntityId)>,
) -> Option<EntityId> {
    let key = match selector {
        Selector::Id(id) => return state.entity(kind, *id).map(|entity| entity.id),
        Selector::Key(key) => key,
    };
    let alone = || holder_of(state, kind, kind.schema().endpoint_key?, key);
    let below = || state.holder(unique_key_below(kind, key, parent?)?);
    alone()
        .or_else(below)
        .or_else(|| children::holder(state, kind, key))
}

/// The foreign key field by which a kind refers to a parent kind.
pub fn field_towards(kind: Kind, parent: Kind) -> Option<&'static str> {
    kind.schema()
        .foreign_keys
        .iter()
        .find(|key| key.kind == Some(parent))
        .map(|key| key.field)
}

/// Checks that everything an entity refers to exists.
pub fn check(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    for reference in &entity.references {
        if state.entity(reference.kind, reference.id).is_none() {
            let field = entity.kind.schema().foreign_keys[reference.foreign_key].field;
            return Err(GroupError::ForeignMissing {
                field,
                kind: reference.kind.name(),
                id: reference.id,
            });
        }
    }
    Ok(())
}

/// Checks that nobody else holds one of an entity's unique keys.
pub fn check_unique(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    let other = |key: &&UniqueKey| state.holder(**key).is_some_and(|holder| holder != entity.id);
    entity
        .unique
        .iter()
        .find(other)
        .map_or(Ok(()), |key| Err(taken(entity, *key)))
}

/// The refusal of an entity one of whose unique keys another holds.
pub fn taken(entity: &Entity, key: UniqueKey) -> GroupError {
    GroupError::Unique {
        fields: fields_of(entity, key),
    }
}

/// The fields of a unique key of an entity, with their values.
pub fn fields_of(entity: &Entity, key: UniqueKey) -> Map<String, Value> {
    let body = entity.map();
    let values = |rule: &UniqueRule| -> Map<String, Value> {
        let value = |field: &&str| {
            (
                (*field).to_owned(),
                body.get(*field).cloned().unwrap_or(Value::Null),
            )
        };
        rule.fields.iter().map(value).collect()
    };
    let rules = entity.kind.schema().unique.iter().enumerate();
    let violated = rules
        .map(|(number, rule)| (number, values(rule)))
        .find(|(number, fields)| {
            let texts: Vec<_> = fields.values().map(Value::to_string).collect();
            UniqueKey::of(entity.kind, *number, texts.iter().map(String::as_str)) == key
        });
    let mut fields = violated.map(|(_, fields)| fields).unwrap_or_default();
    let record = entity.kind.schema().record_for(&body);
    fields.retain(|field, value| {
        let omitted = record.field(field).is_some_and(|field| field.omitted_when_unset);
        !(omitted && value.is_null())
    });
    fields
}

/// Checks that nobody lists an entity that goes.
pub fn check_unlisted(state: &Group, kind: Kind, id: EntityId) -> Result<(), GroupError> {
    state.listing(kind, id).next().map_or(Ok(()), |(by, by_id)| {
        Err(GroupError::Listed {
            kind: kind.name(),
            id,
            by: by.name(),
            by_id,
        })
    })
}

/// Deletes an entity and, before it, whatever belongs to it; refuses while something it may not take along refers
/// to it.
pub fn delete(
    draft: &mut Draft<'_>,
    kind: Kind,
    id: EntityId,
    cause: DeletionCause,
) -> Result<(), GroupError> {
    check_unlisted(&draft.scratch, kind, id)?;
    let referring: Vec<_> = draft
        .scratch
        .referring(kind, id)
        .map(|(entity, key)| (entity.kind, entity.id, key))
        .collect();
    for (by, _, key) in &referring {
        let restricts = by.schema().foreign_keys[*key].on_delete == OnDelete::Restrict;
        if restricts {
            return Err(GroupError::Referenced {
                kind: kind.name(),
                by: by.name(),
            });
        }
    }
    for (by, child, _) in referring {
        // A child that refers twice is gone at the second look.
        if draft.scratch.entity(by, child).is_some() {
            delete(draft, by, child, DeletionCause::Cascade)?;
        }
    }
    draft.record(GroupEvent::EntityDeleted { kind, id, cause })
}
