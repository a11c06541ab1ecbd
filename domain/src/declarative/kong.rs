//! A configuration as a Kong without a database loads it: entities flat, by kind, without nulls, foreign keys as ids.

use serde_json::{Map, Value, json};

use crate::Kind;
use crate::schema::without_nulls;

/// Writes canonical bodies as Kong's declarative configuration. Secrets that are stored hashed stand as hashes, so the
/// file says `_transform: false`.
pub fn kong<'bodies>(bodies: impl Iterator<Item = (Kind, &'bodies str)>) -> Map<String, Value> {
    let mut configuration = Map::new();
    configuration.insert("_format_version".to_owned(), json!("3.0"));
    configuration.insert("_transform".to_owned(), json!(false));
    for (kind, body) in bodies.filter(|(kind, _)| kind.schema().exported) {
        let entities = configuration.entry(kind.name()).or_insert_with(|| json!([]));
        if let Value::Array(entities) = entities {
            entities.push(Value::Object(entity(kind, body)));
        }
    }
    configuration
}

fn entity(kind: Kind, body: &str) -> Map<String, Value> {
    // A canonical body is a JSON object.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_stand_by_kind_without_nulls_and_refer_by_id() {
        let (services, routes) = (Kind::named("services").unwrap(), Kind::named("routes").unwrap());
        let bodies = [
            (services, r#"{"id":"1","name":"orders","path":null}"#),
            (
                routes,
                r#"{"id":"2","name":null,"service":{"id":"1"},"headers":{"x":["y"]}}"#,
            ),
        ];
        let expected = json!({
            "_format_version": "3.0", "_transform": false,
            "services": [{"id": "1", "name": "orders"}],
            "routes": [{"id": "2", "service": "1", "headers": {"x": ["y"]}}],
        });
        assert_eq!(Value::Object(kong(bodies.into_iter())), expected);
    }
}
