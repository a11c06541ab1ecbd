//! What a node of sync v2 keeps, and how deltas change it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use serde_json::{Map, Value, json};

use super::configuration::{Configuration, NO_HASH};
use super::node::Shared;
use super::validation::Validator;

/// Nothing of the deltas was applied, for these reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) Vec<String>);

/// The entities with the version they are of.
#[derive(Clone, Debug)]
pub(super) struct Store {
    pub(super) version: String,
    /// By type and id; parameters, which have none, by their key.
    entities: BTreeMap<(String, String), Value>,
}

impl Store {
    /// What the node's prefix has.
    pub(super) fn opened(shared: &Shared) -> Self {
        let storage = shared.storage.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stored) = storage.configuration() else {
            return Self {
                version: NO_HASH.to_owned(),
                entities: BTreeMap::new(),
            };
        };
        let collections = stored.table.as_object().into_iter().flatten();
        let entities = collections.flat_map(|(kind, entities)| {
            let entities = entities.as_array().into_iter().flatten();
            entities.map(|entity| ((kind.clone(), key_of(entity)), entity.clone()))
        });
        Self {
            version: stored.hash.clone(),
            entities: entities.collect(),
        }
    }

    /// As the node runs it; foreign keys are objects.
    pub(super) fn configuration(&self) -> Configuration {
        let mut table = Map::new();
        for ((kind, _), entity) in &self.entities {
            let entities = table.entry(kind.clone()).or_insert_with(|| json!([]));
            if let Value::Array(entities) = entities {
                entities.push(entity.clone());
            }
        }
        table.insert("_format_version".to_owned(), json!("3.0"));
        Configuration {
            hash: self.version.clone(),
            table: Arc::new(Value::Object(table)),
        }
    }

    /// Applies all of them or none; `full` drops what there was.
    pub(super) fn apply(
        &mut self,
        deltas: &[Value],
        full: bool,
        validator: &Validator,
    ) -> Result<(), Refused> {
        let mut next = self.clone();
        let mut reasons = Vec::new();
        if full {
            next.entities.clear();
        }
        for delta in deltas {
            if let Err(reason) = next.apply_one(delta) {
                reasons.push(reason);
            }
        }
        reasons.extend(validator.check(&next.configuration().table));
        if !reasons.is_empty() {
            return Err(Refused(reasons));
        }
        *self = next;
        Ok(())
    }

    fn apply_one(&mut self, delta: &Value) -> Result<(), String> {
        let kind = delta["type"]
            .as_str()
            .ok_or_else(|| format!("a delta without type: {delta}"))?;
        let version = delta["version"]
            .as_str()
            .ok_or_else(|| format!("a version that isn't a string: {delta}"))?;
        if !delta["ws_id"].is_string() {
            return Err(format!("a delta without ws_id: {delta}"));
        }
        // The last one's version is the node's.
        version.clone_into(&mut self.version);
        if delta["entity"].is_null() {
            let id = delta["pk"]["id"]
                .as_str()
                .ok_or_else(|| format!("a deletion without pk.id: {delta}"))?;
            self.entities.remove(&(kind.to_owned(), id.to_owned()));
            return Ok(());
        }
        let mut entity = delta["entity"].clone();
        for field in [
            "service",
            "route",
            "consumer",
            "upstream",
            "certificate",
            "client_certificate",
            "set",
        ] {
            if entity[field].is_string() {
                return Err(format!(
                    "{kind}.{field}: a foreign key that isn't an object: {delta}"
                ));
            }
        }
        if let Some(entity) = entity.as_object_mut() {
            // Tolerated inside the entity.
            entity.remove("ws_id");
        }
        self.entities.insert((kind.to_owned(), key_of(&entity)), entity);
        Ok(())
    }
}

fn key_of(entity: &Value) -> String {
    let key = entity["id"].as_str().or_else(|| entity["key"].as_str());
    key.unwrap_or_default().to_owned()
}
