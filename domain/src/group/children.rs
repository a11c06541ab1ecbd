//! Input-only lists that stand for child entities: a certificate's `snis` (`schemas/README.md` §7, certificates).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::decide::Draft;
use super::entity::Entity;
use super::{
    Action, Condition, DeletionCause, Group, GroupError, OmittedChildren, Operation, Target, operations,
    references,
};
use crate::schema::{SchemaViolation, Secrets};
use crate::{EntityId, Kind};

/// The kind whose names a body of this kind lists.
pub fn listed(kind: Kind) -> Option<Kind> {
    (kind.name() == "certificates")
        .then(|| Kind::named("snis"))
        .flatten()
}

/// The entity to which the child of this name belongs: a certificate may be called by any of its SNIs.
pub fn holder(state: &Group, kind: Kind, name: &str) -> Option<EntityId> {
    let snis = listed(kind)?;
    let sni = state.entity(snis, references::holder_of(state, snis, "name", name)?)?;
    belongs_to(sni, kind)
}

/// The entity of a kind that a child belongs to.
pub fn belongs_to(child: &Entity, kind: Kind) -> Option<EntityId> {
    let mut references = child.references.iter();
    references
        .find(|reference| reference.kind == kind)
        .map(|reference| reference.id)
}

/// Lists a child in a body by whose name a URL calls the entity; false if bodies of the kind list none.
pub fn add_name(kind: Kind, body: &mut Map<String, Value>, name: &str) -> bool {
    if listed(kind).is_none() {
        return false;
    }
    match body.get_mut("snis") {
        Some(Value::Array(names)) if names.iter().any(|known| known == name) => {}
        Some(Value::Array(names)) => names.push(json!(name)),
        Some(Value::Null) | None => {
            body.insert("snis".to_owned(), json!([name]));
        }
        // What isn't a list is the schema's to refuse.
        Some(_) => {}
    }
    true
}

/// Makes the children of an entity those that its body listed. `whole` is a POST or PUT, where an omitted list means
/// none unless the API says otherwise; a PATCH that omits it leaves them.
pub fn write(
    draft: &mut Draft<'_>,
    parent: &Entity,
    transient: &Map<String, Value>,
    omitted: OmittedChildren,
    whole: bool,
) -> Result<(), GroupError> {
    let Some(snis) = listed(parent.kind) else {
        return Ok(());
    };
    let listed = match transient.get("snis") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::Null) => Vec::new(),
        _ if whole && omitted == OmittedChildren::Delete => Vec::new(),
        _ => return Ok(()),
    };
    let mut wanted = BTreeSet::new();
    for name in listed {
        if !wanted.insert(name.to_owned()) {
            return Err(refused(format!("{name} is duplicated")));
        }
    }
    remove_others(draft, parent, snis, &wanted)?;
    wanted.iter().try_for_each(|name| add(draft, parent, snis, name))
}

fn remove_others(
    draft: &mut Draft<'_>,
    parent: &Entity,
    snis: Kind,
    wanted: &BTreeSet<String>,
) -> Result<(), GroupError> {
    let current = draft
        .scratch
        .referring(parent.kind, parent.id)
        .filter(|(child, _)| child.kind == snis);
    let unwanted = |child: &Entity| {
        child
            .map()
            .get("name")
            .and_then(Value::as_str)
            .is_none_or(|name| !wanted.contains(name))
    };
    let gone: Vec<_> = current
        .filter(|(child, _)| unwanted(child))
        .map(|(child, _)| child.id)
        .collect();
    gone.into_iter()
        .try_for_each(|id| references::delete(draft, snis, id, DeletionCause::Cascade))
}

fn add(draft: &mut Draft<'_>, parent: &Entity, snis: Kind, name: &str) -> Result<(), GroupError> {
    if let Some(holder) = references::holder_of(&draft.scratch, snis, "name", name) {
        let entity = draft.scratch.entity(snis, holder);
        let elsewhere = entity
            .and_then(|sni| sni.references.first())
            .filter(|reference| reference.id != parent.id);
        return match elsewhere {
            Some(other) => Err(refused(format!(
                "{name} already associated with existing certificate '{}'",
                other.id
            ))),
            None => Ok(()),
        };
    }
    let body = json!({ "name": name, "certificate": { "id": parent.id } });
    let Value::Object(body) = body else { return Ok(()) };
    let operation = Operation {
        action: Action::Create(Map::new()),
        target: Target {
            kind: snis,
            selector: None,
            parent: None,
        },
        condition: Condition::Always,
        omitted_children: OmittedChildren::Delete,
        secrets: Secrets::Plain,
    };
    operations::create(draft, snis, body, &operation).map(|_| ())
}

fn refused(text: String) -> GroupError {
    GroupError::Schema(SchemaViolation {
        fields: json!({ "snis": text }),
    })
}

/// The names in a certificate's `snis`, sorted, as every answer carries them.
pub fn sni_names<'state>(children: impl Iterator<Item = &'state Entity>) -> Vec<String> {
    let name = |child: &Entity| child.map().get("name").and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<_> = children.filter_map(name).collect();
    names.sort_unstable();
    names
}
