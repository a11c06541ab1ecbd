//! Restore of an entity: as it was, with what belonged to it.

use std::sync::Arc;

use domain::Kind;
use domain::group::{Decision, Entity, GroupCommand, GroupError};
use serde_json::json;

use crate::given::{Given, names};

fn restore(
    given: &mut Given,
    entity: &Arc<Entity>,
    belongings: &[Arc<Entity>],
    replace: bool,
) -> Result<Decision, GroupError> {
    given.when(GroupCommand::RestoreEntity {
        entity: entity.clone(),
        belongings: belongings.to_vec(),
        replace,
        expected_version: None,
    })
}

fn only(given: &Given, kind: &str) -> Arc<Entity> {
    let kind = Kind::named(kind).expect("the kind is known");
    let mut all = given.group.of_kind(kind);
    all.next().expect("there is one").clone()
}

fn obstacle(refusal: GroupError) -> &'static str {
    let GroupError::Conflicts(conflicts) = refusal else {
        panic!("not refused because of conflicts: {refusal}");
    };
    conflicts[0].obstacle.name()
}

fn given_ann() -> (Given, Arc<Entity>, Arc<Entity>) {
    let mut given = Given::default();
    given
        .post("consumers", json!({"username": "ann"}))
        .expect("it is valid");
    given
        .post("key-auths", json!({"consumer": {"username": "ann"}, "key": "k"}))
        .expect("it is valid");
    let (ann, key) = (only(&given, "consumers"), only(&given, "keyauth_credentials"));
    (given, ann, key)
}

#[test]
fn what_was_deleted_comes_back_with_or_without_what_belonged_to_it() {
    let (mut given, ann, key) = given_ann();
    given.delete("consumers", "ann").unwrap();
    let alone = restore(&mut given, &ann, &[], false).unwrap();
    assert_eq!(names(&alone), ["created consumers"]);
    given.delete("consumers", "ann").unwrap();
    restore(&mut given, &ann, std::slice::from_ref(&key), false).unwrap();
    assert_eq!(only(&given, "consumers").body, ann.body);
    assert_eq!(only(&given, "keyauth_credentials").body, key.body);
}

#[test]
fn what_exists_is_left_unless_it_is_to_be_replaced() {
    let (mut given, ann, _) = given_ann();
    assert!(restore(&mut given, &ann, &[], false).unwrap().events.is_empty());
    given.put("consumers", "ann", json!({"custom_id": "7"})).unwrap();
    let refusal = restore(&mut given, &ann, &[], false).unwrap_err();
    assert_eq!(obstacle(refusal), "exists_again");
    restore(&mut given, &ann, &[], true).unwrap();
    assert_eq!(only(&given, "consumers").body, ann.body);
}

#[test]
fn a_credential_whose_key_somebody_else_has_by_now_stands_in_the_way() {
    let (mut given, ann, key) = given_ann();
    given.delete("consumers", "ann").unwrap();
    given.post("consumers", json!({"username": "bob"})).unwrap();
    given
        .post("key-auths", json!({"consumer": {"username": "bob"}, "key": "k"}))
        .unwrap();
    let refusal = restore(&mut given, &ann, std::slice::from_ref(&key), false).unwrap_err();
    assert_eq!(obstacle(refusal), "taken");
    restore(&mut given, &ann, &[], false).unwrap();
}

#[test]
fn what_is_erased_or_has_expired_is_refused() {
    let (mut given, ann, _) = given_ann();
    given.delete("consumers", "ann").unwrap();
    let erased = Entity {
        erased: true,
        ..Entity::clone(&ann)
    };
    let refusal = restore(&mut given, &Arc::new(erased), &[], false).unwrap_err();
    assert_eq!(obstacle(refusal), "erased");
    let expired = Entity {
        expires_at: Some(given.group.at),
        ..Entity::clone(&ann)
    };
    let refusal = restore(&mut given, &Arc::new(expired), &[], false).unwrap_err();
    assert_eq!(obstacle(refusal), "expired");
}
