//! A consumer is erased with all that belongs to it, and nothing of it comes back.

use std::sync::Arc;

use domain::group::{Condition, Entity, GroupCommand, GroupError, Selector, references};
use domain::{EntityId, Kind};
use serde_json::json;

use crate::given::{Given, names};

fn consumers() -> Kind {
    Kind::named("consumers").expect("the catalogue has consumers")
}

/// A group with the consumer ann, who has a credential, a plugin and a group membership, and with bob.
fn with_ann() -> (Given, EntityId) {
    let mut given = Given::default();
    for name in ["ann", "bob"] {
        given
            .post("consumers", json!({ "username": name }))
            .expect("the body is right");
    }
    let ann = json!({ "username": "ann" });
    given
        .post("key-auths", json!({ "consumer": ann, "key": "k" }))
        .expect("the body is right");
    given
        .post("acls", json!({ "consumer": ann, "group": "staff" }))
        .expect("the body is right");
    given
        .post(
            "plugins",
            json!({ "name": "rate-limiting", "consumer": ann, "config": { "minute": 5 } }),
        )
        .expect("the body is right");
    let selector = Selector::Key("ann".to_owned());
    let id = references::find(&given.group, consumers(), &selector, None).expect("ann is there");
    (given, id)
}

fn configuration(given: &Given) -> Vec<Arc<Entity>> {
    given.group.entities().cloned().collect()
}

fn is_refused_as_erased(result: Result<impl Sized, GroupError>, id: EntityId) -> bool {
    match result {
        Err(GroupError::Erased { consumer, version }) => (consumer, version) == (id, 6),
        Err(GroupError::InDeclaration { error, .. }) => is_refused_as_erased(Err::<(), _>(*error), id),
        _ => false,
    }
}

#[test]
fn a_consumer_is_erased_with_all_that_belongs_to_it() {
    let (mut given, ann) = with_ann();
    let mut told = names(&given.erase(ann).unwrap());
    assert_eq!(told.pop().as_deref(), Some("erased"));
    assert_eq!(told.pop().as_deref(), Some("deleted consumers"));
    told.sort_unstable();
    assert_eq!(
        told,
        ["deleted acls", "deleted keyauth_credentials", "deleted plugins"]
    );
    assert_eq!(given.group.len(), 1, "bob stays");
    assert!(given.erase(ann).unwrap().events.is_empty(), "already so");
}

#[test]
fn a_consumer_that_was_deleted_before_is_erased_too() {
    let (mut given, ann) = with_ann();
    given.delete("consumers", "ann").unwrap();
    assert_eq!(names(&given.erase(ann).unwrap()), ["erased"]);
}

#[test]
fn only_the_consumer_that_was_looked_at_is_erased() {
    let (mut given, ann) = with_ann();
    let refused = given.when(GroupCommand::EraseConsumer {
        consumer: ann,
        condition: Condition::Touched(vec![2]),
    });
    assert_eq!(refused.unwrap_err(), GroupError::Precondition { actual: Some(1) });
}

#[test]
fn nothing_of_an_erased_consumer_is_made_again() {
    let (mut given, ann) = with_ann();
    given.erase(ann).unwrap();
    let put = given.put("consumers", &ann.to_string(), json!({ "username": "ann again" }));
    assert!(is_refused_as_erased(put, ann));
    let post = given.post("consumers", json!({ "id": ann, "username": "ann again" }));
    assert!(is_refused_as_erased(post, ann));
    let file = json!({ "_format_version": "3.0", "consumers": [{ "id": ann, "username": "ann again" }] });
    assert!(is_refused_as_erased(given.declare(&file, false), ann));
    given
        .post("consumers", json!({ "username": "ann" }))
        .expect("another consumer may have the name");
}

#[test]
fn a_restoration_leaves_out_what_was_erased_and_lists_it() {
    let (mut given, ann) = with_ann();
    let before = configuration(&given);
    given.erase(ann).unwrap();
    let restored = given
        .when(GroupCommand::RollBack {
            from: 5,
            entities: before,
            expected_version: None,
        })
        .unwrap();
    assert!(restored.events.is_empty(), "{:?}", names(&restored));
    let mut left_out: Vec<_> = restored
        .outcome
        .left_out
        .iter()
        .map(|left| left.kind.name())
        .collect();
    left_out.sort_unstable();
    assert_eq!(left_out, ["acls", "consumers", "keyauth_credentials", "plugins"]);
}
