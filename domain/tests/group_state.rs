//! The folded state: kept incrementally it equals one folded afresh, at rest it comes back whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::{DeletionCause, Entity, Group, GroupEvent, stored};
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::{
    Actor, Boundary, Change, DataKeys, Digest, EntityId, GroupId, Idempotency, KeyId, Kind, SnapshotDigest,
    Timestamp,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

struct OneKey;

impl DataKeys for OneKey {
    fn data_key(&self, _id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        Ok(KeyState::Present(DataKey([1; 32])))
    }
}

fn consumer(number: u8, name: u8) -> Arc<Entity> {
    let id = EntityId(Uuid::from_u128(u128::from(number) + (1 << 64)));
    let body = json!({"id": id, "username": format!("u{number}-{name}"), "custom_id": null, "tags": ["t"]});
    Arc::new(Entity::from_map(
        Kind::named("consumers").expect("the catalogue has consumers"),
        id,
        body.as_object().expect("the body is an object"),
    ))
}

/// Puts and deletions of a few consumers, in any order.
fn events() -> impl Strategy<Value = Vec<GroupEvent>> {
    let event = (0_u8..8, 0_u8..4, any::<bool>()).prop_map(|(number, name, delete)| {
        let entity = consumer(number, name);
        match delete {
            true => GroupEvent::EntityDeleted {
                kind: entity.kind,
                id: entity.id,
                cause: DeletionCause::Requested,
            },
            false => GroupEvent::EntityUpdated {
                entity,
                changed: vec!["username".to_owned()],
            },
        }
    });
    prop::collection::vec(event, 0..60)
}

fn fold(events: &[GroupEvent]) -> Group {
    let mut group = Group::default();
    for (index, event) in events.iter().enumerate() {
        let version = index as u64 + 1;
        group.apply(&Change {
            version,
            at: Timestamp(version as i64),
            clock: Timestamp(version as i64),
            actor: Actor::System {
                part: "test".to_owned(),
            },
            reason: None,
            request_id: None,
            source: None,
            idempotency: Some(Idempotency {
                key: format!("key {version}"),
                request: Digest::ZERO,
            }),
            catalogue: 1,
            events: vec![event.clone()],
        });
    }
    group
}

fn contents(group: &Group) -> BTreeMap<(Kind, EntityId), (Arc<str>, u64)> {
    group
        .entities()
        .map(|entity| ((entity.kind, entity.id), (entity.body.clone(), entity.touched)))
        .collect()
}

proptest! {
    #[test]
    fn the_digest_kept_incrementally_is_the_digest_of_what_is_there(events in events()) {
        let mut kept = SnapshotDigest::default();
        for (index, event) in events.iter().enumerate() {
            match event {
                GroupEvent::EntityUpdated { entity, .. } => kept.put(entity.kind, entity.id, &entity.body),
                GroupEvent::EntityDeleted { kind, id, .. } => kept.remove(*kind, *id),
                _ => {}
            }
            if index % 3 == 0 {
                kept.digest();
            }
        }
        let mut fresh = SnapshotDigest::default();
        fold(&events).entities().for_each(|entity| fresh.put(entity.kind, entity.id, &entity.body));
        prop_assert_eq!(kept.digest(), fresh.digest());
    }

    #[test]
    fn a_state_at_rest_comes_back_whole(events in events()) {
        let group = fold(&events);
        let boundary = Boundary::Group(GroupId(Uuid::nil()));
        let again = stored::decode(&stored::encode(&group, boundary, &OneKey).unwrap(), boundary, &OneKey).unwrap();
        prop_assert_eq!(contents(&again), contents(&group));
        prop_assert_eq!((again.version, again.at, again.sealed), (group.version, group.at, group.sealed));
        let actor = Actor::System { part: "test".to_owned() };
        for version in 1..=group.version {
            let key = format!("key {version}");
            prop_assert_eq!(again.idempotency.recall(&actor, &key), group.idempotency.recall(&actor, &key));
        }
        for entity in group.entities() {
            prop_assert_eq!(again.holder(entity.unique[0]), Some(entity.id));
        }
    }
}

#[test]
fn an_empty_configuration_has_one_digest_however_it_became_empty() {
    let entity = consumer(1, 1);
    let mut digest = SnapshotDigest::default();
    let empty = digest.digest();
    digest.put(entity.kind, entity.id, &entity.body);
    assert_ne!(digest.digest(), empty);
    digest.remove(entity.kind, entity.id);
    assert_eq!(digest.digest(), empty);
}
