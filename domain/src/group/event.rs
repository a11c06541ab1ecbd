//! What happens in a group, and how it stands in the log: entities' secrets sealed field by field (DESIGN §4).

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::entity::Entity;
use crate::codec::{DecodeError, EventCodec, EventRecord};
use crate::keyring::{KeyNotLoaded, KeyState, open, seal};
use crate::schema::{self, SealedPath, Sealing, sealed_paths};
use crate::{Boundary, DataKeys, EntityId, KeyId, Kind, Timestamp};

/// What stands in a body where a sealed field was erased with its key.
pub const ERASED: &str = "{erased}";

/// A fact about a group's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// An entity came to be.
    EntityCreated {
        /// It, as it now is.
        entity: Arc<Entity>,
    },
    /// An entity changed.
    EntityUpdated {
        /// It, as it now is.
        entity: Arc<Entity>,
        /// The top-level fields that changed, in schema order.
        changed: Vec<String>,
    },
    /// An entity is gone.
    EntityDeleted {
        /// Its kind.
        kind: Kind,
        /// Its id.
        id: EntityId,
        /// Why.
        cause: DeletionCause,
    },
    /// A consumer was erased: its data key is destroyed once this is durable, and nothing of it can come back.
    ConsumerErased {
        /// Its id.
        id: EntityId,
    },
    /// The group is being deleted: nothing changes here until it is unsealed.
    GroupSealed,
    /// The group was restored.
    GroupUnsealed,
}

/// Why an entity was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletionCause {
    /// Somebody asked for it.
    Requested,
    /// What it belonged to was deleted.
    Cascade,
    /// Its time to live ended.
    Expired,
}

const ENTITY_CREATED: &str = "entity.created";
const ENTITY_UPDATED: &str = "entity.updated";
const ENTITY_DELETED: &str = "entity.deleted";
const CONSUMER_ERASED: &str = "consumer.erased";
const GROUP_SEALED: &str = "group.sealed";
const GROUP_UNSEALED: &str = "group.unsealed";

#[derive(Serialize, Deserialize)]
struct EntityBody {
    kind: String,
    id: EntityId,
    /// Canonical JSON, null where a field is sealed.
    body: Arc<str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sealed: Vec<SealedField>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct DeletedBody {
    kind: String,
    id: EntityId,
    cause: DeletionCause,
}

#[derive(Serialize, Deserialize)]
struct ErasedBody {
    id: EntityId,
}

#[derive(Serialize, Deserialize)]
struct Empty {}

/// A field that stands sealed beside its body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SealedField {
    path: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Uuid>,
    #[serde(with = "serde_bytes")]
    text: Vec<u8>,
}

impl EventCodec for GroupEvent {
    fn encode(&self, boundary: Boundary, keys: &dyn DataKeys) -> Result<EventRecord, KeyNotLoaded> {
        Ok(match self {
            Self::EntityCreated { entity } => EventRecord::new(
                ENTITY_CREATED,
                1,
                &entity_body(entity, Vec::new(), boundary, keys)?,
            ),
            Self::EntityUpdated { entity, changed } => EventRecord::new(
                ENTITY_UPDATED,
                1,
                &entity_body(entity, changed.clone(), boundary, keys)?,
            ),
            Self::EntityDeleted { kind, id, cause } => {
                let body = DeletedBody {
                    kind: kind.name().to_owned(),
                    id: *id,
                    cause: *cause,
                };
                EventRecord::new(ENTITY_DELETED, 1, &body)
            }
            Self::ConsumerErased { id } => EventRecord::new(CONSUMER_ERASED, 1, &ErasedBody { id: *id }),
            Self::GroupSealed => EventRecord::new(GROUP_SEALED, 1, &Empty {}),
            Self::GroupUnsealed => EventRecord::new(GROUP_UNSEALED, 1, &Empty {}),
        })
    }

    fn decode(record: &EventRecord, boundary: Boundary, keys: &dyn DataKeys) -> Result<Self, DecodeError> {
        Ok(match (record.name.as_str(), record.version) {
            (ENTITY_CREATED, 1) => Self::EntityCreated {
                entity: open_entity(record.read()?, boundary, keys)?.0,
            },
            (ENTITY_UPDATED, 1) => {
                let (entity, changed) = open_entity(record.read()?, boundary, keys)?;
                Self::EntityUpdated { entity, changed }
            }
            (ENTITY_DELETED, 1) => {
                let DeletedBody { kind, id, cause } = record.read()?;
                Self::EntityDeleted {
                    kind: kind_named(kind)?,
                    id,
                    cause,
                }
            }
            (CONSUMER_ERASED, 1) => Self::ConsumerErased {
                id: record.read::<ErasedBody>()?.id,
            },
            (GROUP_SEALED, 1) => Self::GroupSealed,
            (GROUP_UNSEALED, 1) => Self::GroupUnsealed,
            _ => return Err(record.unknown()),
        })
    }

    fn owner_keys(&self, boundary: Boundary) -> Vec<KeyId> {
        match self {
            Self::EntityCreated { entity } | Self::EntityUpdated { entity, .. }
                if entity.kind.schema().may_seal =>
            {
                let body = entity.map();
                let owner = |path: &SealedPath| owner_of(path.sealing, entity.kind, &body);
                let owners = sealed_paths(entity.kind, &body)
                    .iter()
                    .filter_map(owner)
                    .collect::<Vec<_>>();
                owners
                    .into_iter()
                    .map(|owner| KeyId {
                        boundary,
                        owner: Some(owner),
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }
}

fn kind_named(name: String) -> Result<Kind, DecodeError> {
    Kind::named(&name)
        .filter(|kind| kind.schema().configuration)
        .ok_or(DecodeError::UnknownKind(name))
}

fn entity_body(
    entity: &Entity,
    changed: Vec<String>,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<EntityBody, KeyNotLoaded> {
    let (body, sealed) = seal_body(entity, boundary, keys)?;
    let (kind, expires_at) = (entity.kind.name().to_owned(), entity.expires_at);
    Ok(EntityBody {
        kind,
        id: entity.id,
        body,
        sealed,
        changed,
        expires_at,
    })
}

fn open_entity(
    stored: EntityBody,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<(Arc<Entity>, Vec<String>), DecodeError> {
    let kind = kind_named(stored.kind)?;
    let entity = open_body(kind, stored.id, stored.body, &stored.sealed, boundary, keys)?;
    Ok((
        Arc::new(Entity {
            expires_at: stored.expires_at,
            ..entity
        }),
        stored.changed,
    ))
}

/// An entity's body with its secrets taken out, and these, sealed. What rests outside memory (log, stored states,
/// view rows) holds this form.
pub fn seal_body(
    entity: &Entity,
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<(Arc<str>, Vec<SealedField>), KeyNotLoaded> {
    if !entity.kind.schema().may_seal {
        return Ok((Arc::clone(&entity.body), Vec::new()));
    }
    let mut body = entity.map();
    let mut sealed = Vec::new();
    // Owners are read before anything is taken out.
    let paths = sealed_paths(entity.kind, &body).into_iter();
    let paths: Vec<_> = paths
        .map(|path| (owner_of(path.sealing, entity.kind, &body), path.path))
        .collect();
    for (owner, path) in paths {
        let path: Vec<String> = path.into_iter().map(Cow::into_owned).collect();
        let Some(value) = value_at(&mut body, &path).filter(|value| !value.is_null()) else {
            continue;
        };
        let text = value.take().to_string();
        let place = place_of(boundary, entity.kind, entity.id, &path);
        let text = match keys.data_key(KeyId { boundary, owner })? {
            KeyState::Present(key) => seal(&key, &place, text.as_bytes()),
            // Erased once, erased for ever: what stands in the body by now is the placeholder.
            KeyState::Destroyed => Vec::new(),
        };
        sealed.push(SealedField { path, owner, text });
    }
    if sealed.is_empty() {
        return Ok((Arc::clone(&entity.body), sealed));
    }
    Ok((Value::Object(body).to_string().into(), sealed))
}

/// Puts a body's secrets back.
pub fn open_body(
    kind: Kind,
    id: EntityId,
    body: Arc<str>,
    sealed: &[SealedField],
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<Entity, DecodeError> {
    let malformed = |why: &dyn std::fmt::Display| DecodeError::malformed("an entity's body", why);
    if sealed.is_empty() && !kind.schema().owned {
        return Entity::from_canonical(kind, id, body).map_err(|error| malformed(&error));
    }
    let mut map: Map<String, Value> = serde_json::from_str(&body).map_err(|error| malformed(&error))?;
    let mut erased = false;
    for field in sealed {
        let value = match keys.data_key(KeyId {
            boundary,
            owner: field.owner,
        })? {
            KeyState::Present(key) => {
                let place = place_of(boundary, kind, id, &field.path);
                let text = open(&key, &place, &field.text).ok_or(DecodeError::DoesNotOpen { boundary })?;
                serde_json::from_slice(&text).map_err(|error| malformed(&error))?
            }
            KeyState::Destroyed => {
                erased = true;
                Value::from(ERASED)
            }
        };
        let slot =
            value_at(&mut map, &field.path).ok_or_else(|| malformed(&"a sealed field has no place in it"))?;
        *slot = value;
    }
    erased |= erase_what_rests_plain(kind, &mut map, sealed, boundary, keys)?;
    let text = Value::Object(map).to_string();
    let entity = Entity::from_canonical(kind, id, text.into()).map_err(|error| malformed(&error))?;
    Ok(Entity { erased, ..entity })
}

/// Older programs sealed fewer fields with a consumer's key: once it is destroyed, what they wrote isn't shown either. Answers whether
/// there was anything.
fn erase_what_rests_plain(
    kind: Kind,
    body: &mut Map<String, Value>,
    sealed: &[SealedField],
    boundary: Boundary,
    keys: &dyn DataKeys,
) -> Result<bool, KeyNotLoaded> {
    if !kind.schema().owned {
        return Ok(false);
    }
    let mut erased = false;
    for SealedPath { path, sealing } in sealed_paths(kind, body) {
        let path: Vec<String> = path.into_iter().map(Cow::into_owned).collect();
        let owner = owner_of(sealing, kind, body);
        if owner.is_none() || sealed.iter().any(|field| field.path == path) {
            continue;
        }
        if let (KeyState::Destroyed, Some(value)) =
            (keys.data_key(KeyId { boundary, owner })?, value_at(body, &path))
        {
            *value = Value::from(ERASED);
            erased = true;
        }
    }
    Ok(erased)
}

/// The consumer under whose key a field is sealed, if it isn't the boundary's own.
fn owner_of(sealing: Sealing, kind: Kind, body: &Map<String, Value>) -> Option<Uuid> {
    match sealing {
        Sealing::Boundary => None,
        Sealing::Owner => schema::owner(kind, body),
    }
}

fn value_at<'body>(body: &'body mut Map<String, Value>, path: &[String]) -> Option<&'body mut Value> {
    let (first, rest) = path.split_first()?;
    let step = |value: &'body mut Value, segment: &String| match value {
        Value::Array(elements) => segment
            .parse::<usize>()
            .ok()
            .and_then(|index| elements.get_mut(index)),
        value => value.get_mut(segment),
    };
    rest.iter().try_fold(body.get_mut(first)?, step)
}

/// The associated data of a sealed field: it opens in its own place only.
fn place_of(boundary: Boundary, kind: Kind, id: EntityId, path: &[String]) -> Vec<u8> {
    format!("{boundary}/{}/{id}/{}", kind.name(), path.join("/")).into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::GroupId;
    use crate::keyring::DataKey;

    /// One consumer's key is destroyed, everybody else's is there.
    struct OneDestroyed(Uuid);

    impl DataKeys for OneDestroyed {
        fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded> {
            Ok(match id.owner == Some(self.0) {
                true => KeyState::Destroyed,
                false => KeyState::Present(DataKey([7; 32])),
            })
        }
    }

    #[test]
    fn what_rests_plain_of_an_erased_consumer_is_shown_to_nobody() {
        let (erased, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let keys = OneDestroyed(erased);
        let boundary = Boundary::Group(GroupId(Uuid::from_u128(9)));
        let kind = Kind::named("acls").unwrap();
        let id = EntityId(Uuid::from_u128(3));
        // As programs wrote it that didn't seal the groups of consumers.
        let written =
            |consumer: Uuid| json!({"id": id, "consumer": {"id": consumer}, "group": "gold"}).to_string();
        let open = |body: String| open_body(kind, id, body.into(), &[], boundary, &keys).unwrap();
        let gone = open(written(erased));
        assert_eq!((gone.map()["group"].clone(), gone.erased), (json!(ERASED), true));
        let there = open(written(other));
        assert_eq!(
            (there.map()["group"].clone(), there.erased),
            (json!("gold"), false)
        );
        let (rests, sealed) = seal_body(&there, boundary, &keys).unwrap();
        assert!(!rests.contains("gold") && sealed.len() == 1, "{rests}");
        let again = open_body(kind, id, rests, &sealed, boundary, &keys).unwrap();
        assert_eq!(again.body, there.body);
    }
}
