//! A configuration as it is stored: every entity's canonical body, by kind, with what says which configuration it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::group::Entity;
use crate::{Digest, Kind, Timestamp, Version};

/// A group's configuration at a version. The digest is that of the bodies, whatever is left out or blotted out here.
#[derive(Debug, Serialize)]
pub struct Canonical {
    version: Version,
    /// When that version came to be; none before the first.
    at: Option<String>,
    digest: Option<String>,
    /// Whether something of it was erased since: the digest is that of what is left.
    erased: bool,
    entities: BTreeMap<Kind, Vec<Box<RawValue>>>,
}

impl Canonical {
    /// A configuration without entities yet; without a digest for who may not learn it.
    pub fn new(version: Version, at: Option<Timestamp>, digest: Option<Digest>) -> Self {
        Self {
            version,
            at: at.map(Timestamp::rfc3339),
            digest: digest.map(|digest| digest.to_string()),
            erased: false,
            entities: BTreeMap::new(),
        }
    }

    /// With these entities, which come by kind and id.
    #[must_use]
    pub fn with<'entities>(mut self, entities: impl Iterator<Item = &'entities Arc<Entity>>) -> Self {
        for entity in entities {
            self.erased |= entity.erased;
            // A canonical body is JSON.
            if let Ok(body) = RawValue::from_string(entity.body.as_ref().to_owned()) {
                self.entities.entry(entity.kind).or_default().push(body);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::{EntityId, SnapshotDigest};

    #[test]
    fn bodies_stand_by_kind_as_they_are_stored() {
        let kind = Kind::named("services").unwrap();
        let body: Map<String, Value> = json!({"name": "orders", "path": null})
            .as_object()
            .unwrap()
            .clone();
        let entity = Arc::new(Entity::from_map(kind, EntityId(Uuid::nil()), &body));
        let digest = SnapshotDigest::of([&entity].into_iter());
        let written = Canonical::new(7, Some(Timestamp(0)), Some(digest)).with([&entity].into_iter());
        let expected = json!({
            "version": 7, "at": "1970-01-01T00:00:00.000Z", "digest": digest.to_string(), "erased": false,
            "entities": {"services": [body]},
        });
        assert_eq!(json!(written), expected);
    }
}
