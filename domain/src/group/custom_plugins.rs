//! Plugins that aren't Kong's: a group knows them by the schemas in its configuration. What uses a schema fits it at any time: a change
//! of the schema fills and validates its plugins anew, in the same change, or is refused; one that is used can't be deleted.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::decide::Draft;
use super::entity::{Entity, UniqueKey};
use super::operations::{self, Written};
use super::{Group, GroupError, GroupEvent, references};
use crate::Kind;
use crate::schema::{CustomPlugins, Secrets};

/// The kind of an uploaded schema.
const SCHEMAS: &str = "plugin_schemas";
const PLUGINS: &str = "plugins";

/// Whether entities of a kind are plugins.
pub(super) fn are_plugins(kind: Kind) -> bool {
    kind.name() == PLUGINS
}

/// The unique key of the uploaded schema that describes plugins of this name; none where Kong brings it along.
pub(super) fn schema_key(plugins: Kind, name: &str) -> Option<UniqueKey> {
    if plugins.schema().plugin(name).is_some() {
        return None;
    }
    references::unique_key(Kind::named(SCHEMAS)?, "name", name)
}

/// Whether an entity is the schema of a plugin.
pub(super) fn is_schema(entity: &Entity) -> bool {
    entity.kind.name() == SCHEMAS
}

/// Takes note of a schema that is now in the configuration. One that was accepted compiles; evolving never judges.
pub fn note(plugins: &mut CustomPlugins, entity: &Entity) {
    if !is_schema(entity) {
        return;
    }
    let body = entity.map();
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default();
    let definition = body.get("definition").unwrap_or(&Value::Null);
    let _ = plugins.insert(text("name"), text("lua_schema"), definition);
}

/// Takes note of a schema that is gone.
pub(super) fn forget(plugins: &mut CustomPlugins, entity: &Entity) {
    if is_schema(entity) {
        plugins.remove(&name_of(entity));
    }
}

/// After a schema was written: every plugin it describes, filled and validated anew.
pub fn revalidate(draft: &mut Draft<'_>, schema: &Entity) -> Result<(), GroupError> {
    for plugin in users(&draft.scratch, schema) {
        let written = operations::written(
            draft,
            plugin.kind,
            Some(&plugin),
            Map::new(),
            Secrets::Hashed,
            false,
        );
        match written {
            Ok(Written::Updated(entity, changed)) => {
                draft.record(GroupEvent::EntityUpdated { entity, changed })?;
            }
            Ok(Written::Unchanged | Written::Created(_)) => {}
            Err(error) => {
                return Err(GroupError::InPlugin {
                    id: plugin.id,
                    error: Box::new(error),
                });
            }
        }
    }
    Ok(())
}

/// Refuses to leave plugins without their schema.
pub fn check_unused(state: &Group, schema: &Entity) -> Result<(), GroupError> {
    match users(state, schema).is_empty() {
        true => Ok(()),
        false => Err(GroupError::Referenced {
            kind: SCHEMAS,
            by: PLUGINS,
        }),
    }
}

/// The plugins that a schema describes; none of an entity that isn't one.
pub(crate) fn users(state: &Group, schema: &Entity) -> Vec<Arc<Entity>> {
    if !is_schema(schema) {
        return Vec::new();
    }
    let described = schema.unique.iter().flat_map(|key| state.described_by(*key));
    described.cloned().collect()
}

fn name_of(entity: &Entity) -> String {
    let name = entity.map().remove("name");
    name.as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
