//! Input-only lists that stand for child entities: a certificate's `snis` (`schemas/README.md` §7, certificates).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::decide::Draft;
use super::entity::Entity;
use super::{
    Action, Condition, DeletionCause, GroupError, OmittedChildren, Operation, Target, operations, references,
};
use crate::Kind;
use crate::schema::SchemaViolation;

/// Makes the children of an entity those that its body listed. `whole` is a POST or PUT, where an omitted list means
/// none unless the API says otherwise; a PATCH that omits it leaves them.
pub fn write(
    draft: &mut Draft<'_>,
    parent: &Entity,
    transient: &Map<String, Value>,
    omitted: OmittedChildren,
    whole: bool,
) -> Result<(), GroupError> {
    if parent.kind.name() != "certificates" {
        return Ok(());
    }
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
    let snis = Kind::named("snis").expect("the catalogue has SNIs where it has certificates");
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
