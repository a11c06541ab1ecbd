//! A replica as Kong's declarative configuration: `_transform: false`, entities flat, without nulls, foreign keys as ids.

use std::sync::Arc;

use domain::Kind;
use domain::schema::without_nulls;
use serde_json::{Map, Value};

use super::replica::Replica;

/// The configuration as a mapping.
pub fn declarative(replica: &Replica) -> Map<String, Value> {
    let mut configuration = Map::new();
    configuration.insert("_format_version".to_owned(), "3.0".into());
    configuration.insert("_transform".to_owned(), false.into());
    for (kind, _, body) in replica.entities().filter(|(kind, ..)| kind.schema().exported) {
        let entities = configuration
            .entry(kind.name())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(entities) = entities {
            entities.push(Value::Object(entity(kind, body)));
        }
    }
    configuration
}

fn entity(kind: Kind, body: &Arc<str>) -> Map<String, Value> {
    // A verified body is the control plane's own canonical text.
    let body: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let mut entity = without_nulls(&body);
    for key in &kind.schema().foreign_keys {
        if let Some(reference) = entity.get_mut(key.field)
            && let Some(id) = reference.get_mut("id").map(Value::take)
        {
            *reference = id;
        }
    }
    entity
}
