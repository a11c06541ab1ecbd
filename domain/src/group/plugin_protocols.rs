//! A plugin's protocols must overlap those of the route, or of a route of the service, it stands on
//! (`schemas/README.md` §7, plugins).

use serde_json::{Map, Value, json};

use super::entity::Entity;
use super::{Group, GroupError};
use crate::schema::SchemaViolation;

/// Checks a plugin against what it is attached to; other kinds pass.
pub fn check(state: &Group, entity: &Entity) -> Result<(), GroupError> {
    if entity.kind.name() != "plugins" {
        return Ok(());
    }
    let own = protocols(&entity.map());
    for reference in &entity.references {
        let Some(target) = state.entity(reference.kind, reference.id) else {
            continue;
        };
        match reference.kind.name() {
            "routes" if !overlap(&own, &protocols(&target.map())) => {
                return Err(refused("must match the associated route's protocols"));
            }
            "services" => {
                let routes = state
                    .referring(reference.kind, reference.id)
                    .filter(|(child, _)| child.kind.name() == "routes");
                let routes: Vec<_> = routes.map(|(route, _)| protocols(&route.map())).collect();
                if !routes.is_empty() && !routes.iter().any(|route| overlap(&own, route)) {
                    return Err(refused(
                        "must match the protocols of at least one route pointing to this Plugin's service",
                    ));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn protocols(body: &Map<String, Value>) -> Vec<String> {
    let listed = body.get("protocols").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn overlap(own: &[String], other: &[String]) -> bool {
    own.iter().any(|protocol| other.contains(protocol))
}

fn refused(text: &str) -> GroupError {
    GroupError::Schema(SchemaViolation {
        fields: json!({ "protocols": text }),
    })
}
