//! Hashes of secrets that take too long for a boundary's writer (DESIGN §4), computed beforehand: the writer only
//! compares. An older state than the one decided on does no harm: the same secret gets another salt at most.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Action, Group, GroupCommand, Operation, references};
use crate::declarative::{Declaration, DeclaredEntity};
use crate::schema::{Generator, Secrets, slow_hash, slowly_hashed};
use crate::{EntityId, Kind};

/// Whether a command may bring secrets for [`hash`].
pub fn is_needed(command: &GroupCommand) -> bool {
    match command {
        GroupCommand::Operate { operations, .. } => operations.iter().any(brings_secret),
        GroupCommand::Declare { declaration, .. } => declaration.entities.iter().any(declares_secret),
        _ => false,
    }
}

fn brings_secret(operation: &Operation) -> bool {
    operation.secrets == Secrets::Plain && slowly_hashed(operation.target.kind).is_some()
}

fn declares_secret(entity: &DeclaredEntity) -> bool {
    entity.secrets == Secrets::Plain && slowly_hashed(entity.kind).is_some()
}

/// The command with its slow secrets hashed. A secret that `state` holds already keeps its hash, so that sending it
/// again changes nothing.
pub fn hash(mut command: GroupCommand, state: &Group, generator: &mut dyn Generator) -> GroupCommand {
    match &mut command {
        GroupCommand::Operate { operations, .. } => {
            for operation in operations.iter_mut().filter(|operation| brings_secret(operation)) {
                hash_operation(operation, state, generator);
            }
        }
        GroupCommand::Declare { declaration, .. } => hash_declaration(declaration, state, generator),
        _ => {}
    }
    command
}

fn hash_operation(operation: &mut Operation, state: &Group, generator: &mut dyn Generator) {
    let target = &operation.target;
    let parent = target
        .parent
        .as_ref()
        .and_then(|(kind, selector)| Some((*kind, references::find(state, *kind, selector, None)?)));
    let selector = target.selector.as_ref();
    let current = selector.and_then(|selector| references::find(state, target.kind, selector, parent));
    let stored = current.and_then(|id| stored(state, target.kind, id));
    let (Action::Create(body) | Action::Put(body) | Action::Patch(body)) = &mut operation.action else {
        return;
    };
    if let Some((field, hash)) = slow_hash(target.kind, body, stored.as_ref(), generator) {
        body.insert(field.to_owned(), hash.into());
        operation.secrets = Secrets::Hashed;
    }
}

fn hash_declaration(declaration: &mut Arc<Declaration>, state: &Group, generator: &mut dyn Generator) {
    let entities = Arc::make_mut(declaration).entities.iter_mut();
    for entity in entities.filter(|entity| declares_secret(entity)) {
        let body = entity.body.map();
        let id = body.get("id").and_then(Value::as_str);
        let named = || {
            let field = entity.kind.schema().endpoint_key?;
            references::holder_of(state, entity.kind, field, body.get(field)?.as_str()?)
        };
        let current = id.and_then(|id| id.parse().ok()).or_else(named);
        let stored = current.and_then(|id| stored(state, entity.kind, id));
        entity.hashed = slow_hash(entity.kind, &body, stored.as_ref(), generator);
    }
}

fn stored(state: &Group, kind: Kind, id: EntityId) -> Option<Map<String, Value>> {
    state.entity(kind, id).map(|entity| entity.map())
}
