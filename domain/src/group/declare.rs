//! A declarative file as one change: every entity matched, written, and the whole checked at the end, so that names
//! may change hands within the file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::decide::Draft;
use super::entity::{Entity, UniqueKey};
use super::operations::{self, Written};
use super::{DeletionCause, Group, GroupError, GroupEvent, references};
use crate::declarative::{Declaration, DeclaredEntity};
use crate::schema::{
    FieldSchema, ForeignReference, Generator as _, OnDelete, RecordSchema, SchemaViolation, Secrets,
    ValueType, derived, foreign_reference, holds_hashed_secret, kept_hash, slowly_hashed,
};
use crate::{EntityId, Kind};

/// The namespace of ids made from content (UUIDv5).
const CONTENT_IDS: Uuid = Uuid::from_u128(0x1c0f_5a6e_3f0b_5d8a_9c55_7b4e_21d3_a9f0);

/// Makes the configuration what the file says; with `prune`, also deletes what it doesn't have.
pub fn declare(draft: &mut Draft<'_>, declaration: &Declaration, prune: bool) -> Result<(), GroupError> {
    let mut file = File::new(declaration);
    let mut placings = Vec::with_capacity(declaration.entities.len());
    for entity in &declaration.entities {
        let (body, placing) = placed(draft, entity, &file).map_err(|error| located(entity, error))?;
        let id = target(draft, entity, &body, &file);
        if !file.add(entity, &body, id) {
            return Err(located(entity, GroupError::PrimaryKey { id }));
        }
        placings.push(placing);
    }
    let File { targets, wanted, .. } = file;
    let pruned = if prune {
        prune_others(draft, &wanted, &declaration.select_tags)?
    } else {
        Vec::new()
    };
    let mut written = Vec::new();
    let mut displaced = Vec::new();
    for ((entity, placing), id) in declaration.entities.iter().zip(placings).zip(&targets) {
        let body = placing.body(entity, &declaration.select_tags);
        let change =
            write(draft, entity, body, *id, &mut displaced).map_err(|error| located(entity, error))?;
        written.extend(change.map(|created| (entity, *id, created)));
    }
    check_whole(draft, &written, &displaced)?;
    settle_deletions(draft, &pruned)?;
    for (entity, id, created) in written {
        draft.report(entity.kind, id, created);
    }
    for (kind, id) in pruned {
        draft.report(kind, id, false);
    }
    Ok(())
}

/// What the file's entities became so far: references within the file resolve by look-up.
struct File<'declaration> {
    declaration: &'declaration Declaration,
    targets: Vec<EntityId>,
    wanted: BTreeSet<(Kind, EntityId)>,
    named: HashMap<(Kind, &'static str, String), EntityId>,
}

impl<'declaration> File<'declaration> {
    fn new(declaration: &'declaration Declaration) -> Self {
        Self {
            declaration,
            targets: Vec::new(),
            wanted: BTreeSet::new(),
            named: HashMap::new(),
        }
    }

    /// Answers false where the file has this entity already.
    fn add(&mut self, entity: &DeclaredEntity, body: &Map<String, Value>, id: EntityId) -> bool {
        for rule in entity.kind.schema().unique.iter().filter(|rule| !rule.composite) {
            let field = rule.fields[0];
            if let Some(value) = body.get(field).and_then(Value::as_str) {
                self.named.insert((entity.kind, field, value.to_owned()), id);
            }
        }
        self.targets.push(id);
        self.wanted.insert((entity.kind, id))
    }

    fn parent_of(&self, entity: &DeclaredEntity) -> Option<(Kind, EntityId)> {
        let parent = entity.parent?;
        Some((self.declaration.entities[parent].kind, *self.targets.get(parent)?))
    }

    /// References by name to entities of the same file come before those the group has.
    fn resolve(&self, kind: Kind, body: &mut Map<String, Value>) {
        for key in &kind.schema().foreign_keys {
            let (Some(Value::Object(named)), Some(referenced)) = (body.get(key.field), key.kind) else {
                continue;
            };
            if named.contains_key("id") {
                continue;
            }
            let rules = referenced.schema().unique.iter().filter(|rule| !rule.composite);
            let found = rules.map(|rule| rule.fields[0]).find_map(|field| {
                let value = named.get(field)?.as_str()?;
                self.named.get(&(referenced, field, value.to_owned()))
            });
            if let Some(id) = found {
                body.insert(key.field.to_owned(), json!({ "id": id }));
            }
        }
    }
}

fn located(entity: &DeclaredEntity, error: GroupError) -> GroupError {
    GroupError::InDeclaration {
        path: entity.path.to_string(),
        error: Box::new(error),
    }
}

/// What an entity refers to, its parent included: all that its place in the file and the group adds to its body.
struct Placing(Vec<(&'static str, EntityId)>);

impl Placing {
    /// The body with its references and the file's select tags. Made when it is needed: the bodies of a large file are many.
    fn body(self, entity: &DeclaredEntity, select_tags: &[String]) -> Map<String, Value> {
        let mut body = entity.body.map();
        for (field, reference) in self.0 {
            body.insert(field.to_owned(), json!({ "id": reference }));
        }
        add_tags(entity.kind, &mut body, select_tags);
        body
    }
}

fn add_tags(kind: Kind, body: &mut Map<String, Value>, select_tags: &[String]) {
    if select_tags.is_empty() || !kind.schema().tagged {
        return;
    }
    // Where the tags stand among the fields is part of the content that ids may be made from.
    let mut tags = match body.get_mut("tags").map(Value::take) {
        Some(Value::Array(tags)) => tags,
        _ => Vec::new(),
    };
    let own: HashSet<String> = tags.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let missing = select_tags.iter().filter(|tag| !own.contains(*tag));
    tags.extend(missing.map(|tag| json!(tag)));
    body.insert("tags".to_owned(), Value::Array(tags));
}

/// The body with its parent's id, resolved references and the file's select tags, and what of it the place added.
fn placed(
    draft: &Draft<'_>,
    entity: &DeclaredEntity,
    file: &File<'_>,
) -> Result<(Map<String, Value>, Placing), GroupError> {
    let mut body = entity.body.map();
    if let Some((kind, id)) = file.parent_of(entity) {
        let field = references::field_towards(entity.kind, kind).ok_or_else(|| {
            GroupError::Malformed(format!(
                "{} can't be nested under {}",
                entity.kind.name(),
                kind.name()
            ))
        })?;
        body.insert(field.to_owned(), json!({ "id": id }));
    }
    let id = body.get("id").filter(|id| !id.is_null());
    if id.is_some_and(|id| id.as_str().is_none_or(|id| id.parse::<EntityId>().is_err())) {
        return Err(SchemaViolation::field("id", "expected a valid UUID").into());
    }
    file.resolve(entity.kind, &mut body);
    references::resolve(&draft.scratch, entity.kind, &mut body)?;
    let foreign = entity.kind.schema().foreign_keys.iter();
    // What names nothing usable stays as it is written, for the schema to refuse.
    let references = foreign.filter_map(|key| match foreign_reference(body.get(key.field)?) {
        Ok(Some(ForeignReference::Id(id))) => Some((key.field, EntityId(id))),
        _ => None,
    });
    let placing = Placing(references.collect());
    add_tags(entity.kind, &mut body, &file.declaration.select_tags);
    Ok((body, placing))
}

/// Which entity is meant: by id, else by decK's natural key, else by content.
fn target(
    draft: &mut Draft<'_>,
    entity: &DeclaredEntity,
    body: &Map<String, Value>,
    file: &File<'_>,
) -> EntityId {
    let given = body
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok());
    if let Some(id) = given {
        return id;
    }
    let keys = unique_fields(entity.kind, body);
    natural_holder(draft, entity.kind, &keys).unwrap_or_else(|| {
        let parent = file
            .parent_of(entity)
            .map(|(_, id)| id.to_string())
            .unwrap_or_default();
        // Who sees an id made from a secret could find the secret by trying.
        if is_known_by_a_secret(entity.kind) {
            return EntityId(draft.context.uuid());
        }
        let natural = natural_key(entity.kind, &keys);
        let content = natural.unwrap_or_else(|| Value::Object(body.clone()).to_string());
        EntityId(Uuid::new_v5(
            &CONTENT_IDS,
            format!("{}/{parent}/{content}", entity.kind.name()).as_bytes(),
        ))
    })
}

/// The fields of unique keys as they would be stored, derived ones too.
fn unique_fields(kind: Kind, body: &Map<String, Value>) -> Map<String, Value> {
    let schema = kind.schema();
    let mut keys = Map::new();
    for name in schema.unique.iter().flat_map(|rule| &rule.fields) {
        let stored = match (body.get(*name), schema.record.field(name)) {
            (Some(Value::String(text)), Some(field)) => Value::String(field.as_stored(text.clone())),
            (Some(value), _) => value.clone(),
            (None, _) => continue,
        };
        keys.insert((*name).to_owned(), stored);
    }
    keys.extend(derived(kind, body));
    keys
}

/// The entity that holds one of the unique keys that the body sets.
fn natural_holder(draft: &Draft<'_>, kind: Kind, body: &Map<String, Value>) -> Option<EntityId> {
    kind.schema()
        .unique
        .iter()
        .enumerate()
        .find_map(|(rule, unique)| {
            let values: Vec<_> = unique
                .fields
                .iter()
                .map(|field| text_of(body.get(*field)))
                .collect();
            let usable = if unique.composite {
                values.iter().any(|value| value != "null")
            } else {
                values[0] != "null"
            };
            usable.then(|| {
                draft
                    .scratch
                    .holder(UniqueKey::of(kind, rule, values.iter().map(String::as_str)))
            })?
        })
}

fn natural_key(kind: Kind, body: &Map<String, Value>) -> Option<String> {
    let set = |unique: &&crate::schema::UniqueRule| {
        unique.fields.iter().any(|field| {
            body.get(*field)
                .is_some_and(|value| !value.is_null() && !value.is_object())
        })
    };
    let rule = kind.schema().unique.iter().find(set)?;
    Some(
        rule.fields
            .iter()
            .map(|field| text_of(body.get(*field)))
            .collect::<Vec<_>>()
            .join("/"),
    )
}

/// Whether what tells entities of a kind from each other is a secret.
fn is_known_by_a_secret(kind: Kind) -> bool {
    let schema = kind.schema();
    let fields = schema.unique.iter().flat_map(|unique| &unique.fields);
    let mut fields = fields.filter_map(|name| schema.record.field(name));
    fields.any(|field| field.sealed)
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
        entity.kind.schema().exported
            && !wanted.contains(&(entity.kind, entity.id))
            && is_selected(&draft.scratch, entity, select_tags)
    };
    let gone: Vec<_> = draft
        .scratch
        .entities()
        .filter(unwanted)
        .map(|entity| (entity.kind, entity.id))
        .collect();
    for (kind, id) in &gone {
        draft.record(GroupEvent::EntityDeleted {
            kind: *kind,
            id: *id,
            cause: DeletionCause::Requested,
        })?;
    }
    Ok(gone)
}

/// Whether an entity has all of the tags; one whose kind has none is judged by what it refers to.
fn is_selected(state: &Group, entity: &Entity, tags: &[String]) -> bool {
    if entity.kind.schema().tagged {
        return entity.has_tags(tags);
    }
    let mut references = entity.references.iter();
    references.all(|reference| {
        let referenced = state.entity(reference.kind, reference.id);
        referenced.is_some_and(|referenced| is_selected(state, referenced, tags))
    })
}

/// A unique key that passed from one entity to another while the file was written.
struct Displaced<'declaration> {
    by: &'declaration DeclaredEntity,
    id: EntityId,
    key: UniqueKey,
    holder: EntityId,
}

/// Writes one entity; answers whether it is new, or nothing where nothing changed.
fn write<'declaration>(
    draft: &mut Draft<'_>,
    by: &'declaration DeclaredEntity,
    mut body: Map<String, Value>,
    id: EntityId,
    displaced: &mut Vec<Displaced<'declaration>>,
) -> Result<Option<bool>, GroupError> {
    body.insert("id".to_owned(), json!(id));
    let current = draft.scratch.entity(by.kind, id).cloned();
    if let Some(current) = &current {
        keep_generated(current, &mut body);
    }
    let secrets = secrets_of(by, current.as_deref(), &mut body);
    let (entity, changed) = match operations::written(draft, by.kind, current.as_ref(), body, secrets, true)?
    {
        Written::Unchanged => return Ok(None),
        Written::Created(entity) => (entity, None),
        Written::Updated(entity, changed) => (entity, Some(changed)),
    };
    for key in &entity.unique {
        let holder = draft.scratch.holder(*key).filter(|holder| *holder != id);
        displaced.extend(holder.map(|holder| Displaced {
            by,
            id,
            key: *key,
            holder,
        }));
    }
    let created = changed.is_none();
    draft.record(match changed {
        None => GroupEvent::EntityCreated { entity },
        Some(changed) => GroupEvent::EntityUpdated { entity, changed },
    })?;
    Ok(Some(created))
}

/// What the secret in the body that is written is: hashed beforehand, or kept from what is stored, or as the file says.
fn secrets_of(by: &DeclaredEntity, current: Option<&Entity>, body: &mut Map<String, Value>) -> Secrets {
    if let Some((field, hash)) = &by.hashed {
        let written = by.body.map();
        let named = |field: &str| written.get(field).is_some_and(|value| !value.is_null());
        let known = named("id") || by.kind.schema().endpoint_key.is_some_and(named);
        // What has neither id nor name couldn't be told from others when its secret was hashed.
        let stored = current.filter(|_| !known).map(|current| current.map());
        let kept = stored.and_then(|stored| kept_hash(by.kind, &written, &stored));
        let hash = kept.unwrap_or_else(|| hash.clone());
        body.insert((*field).to_owned(), json!(hash));
        return Secrets::Hashed;
    }
    let omitted = slowly_hashed(by.kind).is_some_and(|field| !by.body.map().contains_key(field));
    match current {
        Some(current) if omitted && holds_hashed_secret(by.kind, &current.map()) => Secrets::Hashed,
        _ => by.secrets,
    }
}

/// A generated field that the file omits stays what it was: applying a file twice draws no second key.
fn keep_generated(current: &Entity, body: &mut Map<String, Value>) {
    let stored = current.map();
    keep_generated_in(current.kind.schema().record_for(&stored), &stored, body);
}

fn keep_generated_in(record: &RecordSchema, stored: &Map<String, Value>, body: &mut Map<String, Value>) {
    for field in &record.fields {
        match (&field.value_type, stored.get(field.name)) {
            (_, Some(value)) if field.is_generated() => {
                body.entry(field.name).or_insert_with(|| value.clone());
            }
            (ValueType::Record(inner), Some(Value::Object(below)))
                if inner.fields.iter().any(FieldSchema::is_generated) =>
            {
                // A required record without default is filled field by field when it is absent.
                if field.required && field.default.is_none() {
                    body.entry(field.name).or_insert_with(|| json!({}));
                }
                if let Some(Value::Object(members)) = body.get_mut(field.name) {
                    keep_generated_in(inner, below, members);
                }
            }
            _ => {}
        }
    }
}

fn check_whole(
    draft: &Draft<'_>,
    written: &[(&DeclaredEntity, EntityId, bool)],
    displaced: &[Displaced<'_>],
) -> Result<(), GroupError> {
    let state = &draft.scratch;
    for Displaced { by, id, key, holder } in displaced {
        let holds = |id| {
            state
                .entity(by.kind, id)
                .filter(|entity| entity.unique.contains(key))
        };
        if let (Some(entity), Some(_)) = (holds(*id), holds(*holder)) {
            return Err(located(by, references::taken(entity, *key)));
        }
    }
    for (declared, id, _) in written {
        let Some(entity) = state.entity(declared.kind, *id) else {
            continue;
        };
        operations::check_whole(state, entity).map_err(|error| located(declared, error))?;
    }
    Ok(())
}

/// What still refers to a deleted entity goes along or refuses the deletion, as its foreign key says.
fn settle_deletions(draft: &mut Draft<'_>, pruned: &[(Kind, EntityId)]) -> Result<(), GroupError> {
    for (kind, id) in pruned {
        references::check_unlisted(&draft.scratch, *kind, *id)?;
        let left: Vec<_> = draft
            .scratch
            .referring(*kind, *id)
            .map(|(entity, key)| (entity.kind, entity.id, key))
            .collect();
        for (by, child, key) in left {
            if by.schema().foreign_keys[key].on_delete == OnDelete::Restrict {
                return Err(GroupError::Referenced {
                    kind: kind.name(),
                    by: by.name(),
                });
            }
            if draft.scratch.entity(by, child).is_some() {
                references::delete(draft, by, child, DeletionCause::Cascade)?;
            }
        }
    }
    Ok(())
}
