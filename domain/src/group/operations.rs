//! One entity operation: Kong's POST, PUT, PATCH and DELETE, by id or endpoint key, flat or nested.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::decide::Draft;
use super::entity::Entity;
use super::{
    Action, Condition, DeletionCause, Group, GroupError, GroupEvent, Operation, Selector, Target, children,
    custom_plugins, references,
};
use crate::schema::{Secrets, Write, fill_and_validate, transient};
use crate::{EntityId, Kind};

/// Applies operations in order; a refusal names the one that caused it where there are several.
pub fn operate(draft: &mut Draft<'_>, operations: &[Operation]) -> Result<(), GroupError> {
    for (index, operation) in operations.iter().enumerate() {
        let locate = |error| match operations.len() {
            1 => error,
            _ => GroupError::InOperation {
                index,
                error: Box::new(error),
            },
        };
        apply(draft, operation).map_err(locate)?;
    }
    Ok(())
}

/// Applies one operation; where it is refused, the draft may hold a part of it.
pub(super) fn apply(draft: &mut Draft<'_>, operation: &Operation) -> Result<(), GroupError> {
    let Target {
        kind,
        selector,
        parent,
    } = &operation.target;
    let parent = parent
        .as_ref()
        .map(|(kind, selector)| existing_parent(draft, *kind, selector))
        .transpose()?;
    let found = selector
        .as_ref()
        .and_then(|selector| references::find(&draft.scratch, *kind, selector, parent));
    let current = found.and_then(|id| draft.scratch.entity(*kind, id)).cloned();
    check_condition(&operation.condition, current.as_deref())?;
    match &operation.action {
        Action::Create(body) => {
            let body = under_parent(*kind, body.clone(), parent);
            let id = create(draft, *kind, body, operation)?;
            draft.report(*kind, id, true);
        }
        Action::Put(body) => {
            let body = under_parent(*kind, body.clone(), parent);
            let body = named_by(*kind, body, selector.as_ref(), parent)?;
            let created = current.is_none();
            let id = match current {
                Some(current) => change(draft, &current, body, operation, true)?,
                None => create(draft, *kind, body, operation)?,
            };
            draft.report(*kind, id, created);
        }
        Action::Patch(body) => {
            let owned = current.filter(|current| parent.is_none_or(|parent| belongs_to(current, parent)));
            let current = owned.ok_or_else(|| not_found(*kind, selector.as_ref()))?;
            let id = change(
                draft,
                &current,
                with_parent(*kind, body, parent),
                operation,
                false,
            )?;
            draft.report(*kind, id, false);
        }
        Action::Delete => {
            let owned = current.filter(|current| parent.is_none_or(|parent| belongs_to(current, parent)));
            if let Some(current) = owned {
                custom_plugins::check_unused(&draft.scratch, &current)?;
                references::delete(draft, *kind, current.id, DeletionCause::Requested)?;
                draft.report(*kind, current.id, false);
            }
        }
    }
    Ok(())
}

fn existing_parent(
    draft: &Draft<'_>,
    kind: Kind,
    selector: &Selector,
) -> Result<(Kind, EntityId), GroupError> {
    let id = references::find(&draft.scratch, kind, selector, None)
        .ok_or_else(|| not_found(kind, Some(selector)))?;
    Ok((kind, id))
}

fn belongs_to(entity: &Entity, parent: (Kind, EntityId)) -> bool {
    entity
        .references
        .iter()
        .any(|reference| (reference.kind, reference.id) == parent)
}

fn not_found(kind: Kind, selector: Option<&Selector>) -> GroupError {
    GroupError::NotFound {
        kind,
        selector: selector.map(ToString::to_string).unwrap_or_default(),
    }
}

pub(super) fn check_condition(condition: &Condition, current: Option<&Entity>) -> Result<(), GroupError> {
    let actual = current.map(|entity| entity.touched);
    match (condition, actual) {
        (Condition::Always, _) | (Condition::Exists, Some(_)) | (Condition::Absent, None) => Ok(()),
        (Condition::Absent, Some(actual)) => Err(GroupError::Exists { actual }),
        (Condition::Touched(versions), Some(version)) if versions.contains(&version) => Ok(()),
        (Condition::Touched(_) | Condition::Exists, actual) => Err(GroupError::Precondition { actual }),
    }
}

/// A nested body belongs to the parent in its URL, whatever it says itself.
fn under_parent(
    kind: Kind,
    mut body: Map<String, Value>,
    parent: Option<(Kind, EntityId)>,
) -> Map<String, Value> {
    let field = parent.and_then(|(parent, _)| references::field_towards(kind, parent));
    if let (Some(field), Some((_, id))) = (field, parent) {
        body.insert(field.to_owned(), json!({ "id": id }));
    }
    body
}

/// A nested change belongs to the parent in its URL unless it says otherwise: some rules need to know it.
fn with_parent(
    kind: Kind,
    body: &Map<String, Value>,
    parent: Option<(Kind, EntityId)>,
) -> Map<String, Value> {
    let field = parent.and_then(|(parent, _)| references::field_towards(kind, parent));
    match field {
        Some(field) if body.contains_key(field) => body.clone(),
        _ => under_parent(kind, body.clone(), parent),
    }
}

/// A PUT's entity is the one its URL names, whatever the body says.
fn named_by(
    kind: Kind,
    mut body: Map<String, Value>,
    selector: Option<&Selector>,
    parent: Option<(Kind, EntityId)>,
) -> Result<Map<String, Value>, GroupError> {
    match selector {
        Some(Selector::Id(id)) => {
            body.insert("id".to_owned(), json!(id));
        }
        Some(Selector::Key(key)) => match references::url_field(kind, parent.map(|(kind, _)| kind)) {
            Some(field) => {
                body.insert(field.to_owned(), json!(key));
            }
            None if children::add_name(kind, &mut body, key) => {}
            None => return Err(not_found(kind, selector)),
        },
        None => {
            return Err(GroupError::Malformed(format!(
                "a PUT to {} must name one entity",
                kind.name()
            )));
        }
    }
    Ok(body)
}

/// A new entity from a body; answers its id.
pub fn create(
    draft: &mut Draft<'_>,
    kind: Kind,
    body: Map<String, Value>,
    operation: &Operation,
) -> Result<EntityId, GroupError> {
    let listed = transient(kind, &body);
    let Written::Created(entity) = written(draft, kind, None, body, operation.secrets, true)? else {
        return Err(GroupError::Malformed(
            "a creation met an existing entity".to_owned(),
        ));
    };
    check_whole(&draft.scratch, &entity)?;
    draft.record(GroupEvent::EntityCreated {
        entity: Arc::clone(&entity),
    })?;
    custom_plugins::revalidate(draft, &entity)?;
    children::write(draft, &entity, &listed, operation.omitted_children, true)?;
    Ok(entity.id)
}

/// An existing entity changed: replaced `whole`, what the body omits being reset, or in some fields.
fn change(
    draft: &mut Draft<'_>,
    current: &Arc<Entity>,
    body: Map<String, Value>,
    operation: &Operation,
    whole: bool,
) -> Result<EntityId, GroupError> {
    let listed = transient(current.kind, &body);
    if let Written::Updated(entity, changed) =
        written(draft, current.kind, Some(current), body, operation.secrets, whole)?
    {
        check_whole(&draft.scratch, &entity)?;
        draft.record(GroupEvent::EntityUpdated {
            entity: Arc::clone(&entity),
            changed,
        })?;
        custom_plugins::revalidate(draft, &entity)?;
    }
    children::write(draft, current, &listed, operation.omitted_children, whole)?;
    Ok(current.id)
}

/// What writing a body makes of an entity.
pub enum Written {
    /// It is as it was: only `updated_at` would differ.
    Unchanged,
    /// It is new.
    Created(Arc<Entity>),
    /// It differs in these fields.
    Updated(Arc<Entity>, Vec<String>),
}

/// Fills and validates a body by itself; references and uniqueness are the caller's to check ([`check_whole`]).
pub fn written(
    draft: &mut Draft<'_>,
    kind: Kind,
    current: Option<&Arc<Entity>>,
    mut body: Map<String, Value>,
    secrets: Secrets,
    whole: bool,
) -> Result<Written, GroupError> {
    if !kind.schema().configuration {
        return Err(GroupError::Malformed(format!(
            "{kind} aren't configuration: gateways keep them themselves"
        )));
    }
    references::resolve(&draft.scratch, kind, &mut body)?;
    let at = draft.context.at;
    let Some(current) = current else {
        let filled = fill_and_validate(
            kind,
            &draft.scratch.plugins,
            Write::Insert,
            body,
            secrets,
            draft.context,
        )?;
        let id = id_of(kind, &filled)?;
        if draft.scratch.entity(kind, id).is_some() {
            return Err(GroupError::PrimaryKey { id });
        }
        let entity = Entity::from_map(kind, id, &filled);
        let expires_at = entity.ttl.map(|ttl| at.plus_seconds(ttl));
        return Ok(Written::Created(Arc::new(Entity {
            expires_at,
            touched: draft.scratch.version,
            ..entity
        })));
    };
    let before = current.map();
    let write = if whole {
        Write::Upsert {
            existing: Some(&before),
        }
    } else {
        Write::Update { existing: &before }
    };
    let filled = fill_and_validate(kind, &draft.scratch.plugins, write, body, secrets, draft.context)?;
    let changed = changed_fields(&before, &filled);
    if changed.iter().all(|field| field == "updated_at") {
        return Ok(Written::Unchanged);
    }
    let entity = Entity::from_map(kind, current.id, &filled);
    let restarts = changed.iter().any(|field| field == "ttl");
    let expires_at = if restarts {
        entity.ttl.map(|ttl| at.plus_seconds(ttl))
    } else {
        current.expires_at
    };
    let touched = draft.scratch.version;
    let entity = Entity {
        expires_at,
        touched,
        ..entity
    };
    Ok(Written::Updated(Arc::new(entity), changed))
}

/// What a canonical body would be if it were written now as it is: filled and validated by the schemas of today.
pub fn filled_anew(
    draft: &mut Draft<'_>,
    kind: Kind,
    body: &Map<String, Value>,
) -> Result<Map<String, Value>, GroupError> {
    let (write, unchanged) = (Write::Update { existing: body }, Map::new());
    let plugins = &draft.scratch.plugins;
    Ok(fill_and_validate(
        kind,
        plugins,
        write,
        unchanged,
        Secrets::Hashed,
        draft.context,
    )?)
}

/// Checks an entity against the rest of the configuration.
pub fn check_whole(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    references::check(state, entity)?;
    references::check_unique(state, entity)?;
    super::plugin_protocols::check(state, entity)
}

fn id_of(kind: Kind, body: &Map<String, Value>) -> Result<EntityId, GroupError> {
    let id = body
        .get("id")
        .and_then(Value::as_str)
        .and_then(|id| id.parse().ok());
    id.ok_or_else(|| GroupError::Malformed(format!("a {} entity has no usable id", kind.name())))
}

/// The top-level fields that differ, in the new body's order.
pub fn changed_fields(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let gone = before.keys().filter(|field| !after.contains_key(*field));
    let changed = after
        .iter()
        .filter(|(field, value)| before.get(*field) != Some(value))
        .map(|(field, _)| field);
    changed.chain(gone).cloned().collect()
}
