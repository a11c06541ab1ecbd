//! Given a configuration, when something is asked of it, then these are the events or the refusal.

mod credentials;
mod custom_plugins;
mod erasure;
mod given;
mod kinds;
mod rehearsal;
mod restore_entity;
mod revert;
mod undo_properties;

use std::sync::Arc;

use domain::Kind;
use domain::group::{
    Action, Condition, Decision, Group, GroupCommand, GroupError, OmittedChildren, Operation,
};
use domain::schema::Secrets;
use given::{Given, names, object, target};
use serde_json::{Value, json};

#[test]
fn a_service_is_created_with_every_default() {
    let mut given = Given::default();
    let decision = given
        .post("services", json!({"name": "s1", "host": "example.com"}))
        .unwrap();
    let entity = decision.outcome.results[0].entity.as_ref().unwrap();
    assert_eq!(entity.touched, 1);
    assert_eq!(entity.map()["port"], 80);
    assert_eq!(entity.map()["created_at"], 1_800_000_001);
}

#[test]
fn a_put_that_would_change_only_updated_at_is_no_change() {
    let mut given = Given::default();
    given
        .put("services", "s1", json!({"host": "example.com"}))
        .unwrap();
    let decision = given
        .put("services", "s1", json!({"host": "example.com"}))
        .unwrap();
    assert!(decision.events.is_empty());
    assert_eq!(given.group.version, 1);
}

#[test]
fn a_name_in_use_is_refused_in_kongs_words() {
    let mut given = Given::default();
    given
        .post("services", json!({"name": "s1", "host": "example.com"}))
        .unwrap();
    let refusal = given
        .post("services", json!({"name": "s1", "host": "example.org"}))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "UNIQUE violation detected on '{name=\"s1\"}'"
    );
}

#[test]
fn a_dangling_reference_is_refused() {
    let mut given = Given::default();
    let service = "3f0b5d8a-9c55-4b4e-a1d3-a9f000000000";
    let refusal = given
        .post("routes", json!({"paths": ["/a"], "service": {"id": service}}))
        .unwrap_err();
    assert!(matches!(
        refusal,
        GroupError::ForeignMissing { kind: "services", .. }
    ));
}

#[test]
fn a_service_with_routes_cannot_be_deleted_and_a_consumer_takes_its_credentials_along() {
    let mut given = Given::default();
    given
        .post("services", json!({"name": "s1", "host": "example.com"}))
        .unwrap();
    given
        .post("routes", json!({"paths": ["/a"], "service": {"name": "s1"}}))
        .unwrap();
    let refusal = given.delete("services", "s1").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "an existing 'routes' entity references this 'services' entity"
    );
    given.post("consumers", json!({"username": "ann"})).unwrap();
    given
        .post("key-auths", json!({"consumer": {"username": "ann"}, "key": "k"}))
        .unwrap();
    let decision = given.delete("consumers", "ann").unwrap();
    assert_eq!(
        names(&decision),
        ["deleted keyauth_credentials", "deleted consumers"]
    );
}

#[test]
fn deleting_what_is_not_there_succeeds_without_a_change() {
    let decision = Given::default().delete("services", "nobody").unwrap();
    assert!(decision.events.is_empty());
}

#[test]
fn a_sealed_group_takes_nothing_but_its_opening() {
    let mut given = Given::default();
    assert_eq!(names(&given.when(GroupCommand::Seal).unwrap()), ["sealed"]);
    assert!(given.when(GroupCommand::Seal).unwrap().events.is_empty());
    let refusal = given
        .post("services", json!({"host": "example.com"}))
        .unwrap_err();
    assert_eq!(refusal, GroupError::Sealed);
    given.when(GroupCommand::Unseal).unwrap();
    given.post("services", json!({"host": "example.com"})).unwrap();
}

#[test]
fn a_transaction_is_all_or_nothing_and_names_the_operation_that_failed() {
    let mut given = Given::default();
    let operation = |body: Value| Operation {
        action: Action::Create(object(body)),
        target: target("services", None),
        condition: Condition::Always,
        omitted_children: OmittedChildren::Delete,
        secrets: Secrets::Plain,
    };
    let operations = vec![
        operation(json!({"name": "a", "host": "example.com"})),
        operation(json!({"name": "a", "host": "example.com"})),
    ];
    let command = GroupCommand::Operate {
        operations,
        expected_version: None,
    };
    let refusal = given.when(command).unwrap_err();
    assert!(matches!(refusal, GroupError::InOperation { index: 1, .. }));
    assert!(given.group.is_empty());
}

#[test]
fn an_expired_credential_goes_and_one_that_has_time_stays() {
    let mut given = Given::default();
    given.post("consumers", json!({"username": "ann"})).unwrap();
    given
        .post(
            "key-auths",
            json!({"consumer": {"username": "ann"}, "key": "k", "ttl": 1}),
        )
        .unwrap();
    given
        .post(
            "key-auths",
            json!({"consumer": {"username": "ann"}, "key": "l", "ttl": 900}),
        )
        .unwrap();
    let entities: Vec<_> = given
        .group
        .of_kind(Kind::named("keyauth_credentials").unwrap())
        .map(|entity| (entity.kind, entity.id))
        .collect();
    let decision = given.when(GroupCommand::Expire { entities }).unwrap();
    assert_eq!(names(&decision), ["deleted keyauth_credentials"]);
    assert!(given.group.next_expiry().is_some());
}

fn shop() -> Value {
    json!({
        "_format_version": "3.0",
        "plugins": [{"name": "prometheus"}, {"name": "cors", "route": "r-flat"}],
        "routes": [{"name": "r-flat", "paths": ["/flat"], "service": {"name": "s1"}}],
        "services": [{"name": "s1", "host": "example.com", "retries": null, "routes": [
            {"paths": ["/unnamed"]},
            {"name": "r1", "paths": ["/one"], "plugins": [{"name": "key-auth", "config": {"key_names": ["x"]}}]}
        ]}],
        "consumers": [{"username": "ann", "keyauth_credentials": [{"key": "secret"}]}],
        "upstreams": [{"name": "up", "targets": [{"target": "198.51.100.11:80"}]}],
    })
}

#[test]
fn a_declarative_file_is_one_change_and_again_no_change() {
    let mut given = Given::default();
    let decision = given.declare(&shop(), true).unwrap();
    assert_eq!(decision.events.len(), 11);
    assert!(given.declare(&shop(), true).unwrap().events.is_empty());
}

#[test]
fn a_dump_says_everything_and_applying_it_is_no_change() {
    let mut given = Given::default();
    given.declare(&shop(), true).unwrap();
    let dump = given.dump();
    assert_eq!(dump["services"][0]["retries"], Value::Null);
    assert!(dump["services"][0].as_object().unwrap().contains_key("retries"));
    assert_eq!(dump["consumers"][0]["keyauth_credentials"][0]["key"], "secret");
    assert!(given.declare(&dump, true).unwrap().events.is_empty());
    let mut elsewhere = Given::default();
    elsewhere.declare(&dump, true).unwrap();
    assert_eq!(elsewhere.dump(), dump);
}

#[test]
fn pruning_deletes_what_the_file_does_not_have_and_nothing_else_does() {
    let mut given = Given::default();
    given.declare(&shop(), true).unwrap();
    let smaller = json!({"_format_version": "3.0", "services": [{"name": "s1", "host": "example.com", "retries": null}]});
    assert!(given.declare(&smaller, false).unwrap().events.is_empty());
    given.declare(&smaller, true).unwrap();
    assert_eq!(given.group.len(), 1);
}

#[test]
fn names_may_change_hands_within_a_file_but_not_be_held_twice() {
    let mut given = Given::default();
    let (one, two) = (
        "11111111-1111-4111-8111-111111111111",
        "22222222-2222-4222-8222-222222222222",
    );
    let file = |first: &str, second: &str| {
        json!({"_format_version": "3.0", "services": [
            {"id": one, "name": first, "host": "example.com"}, {"id": two, "name": second, "host": "example.com"}]})
    };
    given.declare(&file("a", "b"), false).unwrap();
    given.declare(&file("b", "a"), false).unwrap();
    let third = json!({"_format_version": "3.0", "services": [
        {"id": "33333333-3333-4333-8333-333333333333", "name": "a", "host": "example.com"}]});
    let refusal = given.declare(&third, false).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "services[0] (a): UNIQUE violation detected on '{name=\"a\"}'"
    );
}

#[test]
fn a_rollback_restores_every_byte() {
    let mut given = Given::default();
    given.declare(&shop(), true).unwrap();
    let bodies = |group: &Group| {
        group
            .entities()
            .map(|entity| entity.body.clone())
            .collect::<Vec<_>>()
    };
    let before = bodies(&given.group);
    let entities: Vec<_> = given.group.entities().cloned().collect();
    given
        .put("services", "s1", json!({"host": "example.org"}))
        .unwrap();
    given.delete("consumers", "ann").unwrap();
    given
        .when(GroupCommand::RollBack {
            from: 1,
            entities,
            expected_version: None,
        })
        .unwrap();
    assert_eq!(bodies(&given.group), before);
}

#[test]
fn a_decision_says_what_became_of_every_entity_it_touched_cascades_included() {
    let mut given = Given::default();
    given
        .put("services", "s", json!({"host": "example.com", "port": 80}))
        .unwrap();
    let said = |decision: &Decision| {
        let body = |entity: &Option<Arc<domain::group::Entity>>| {
            entity.as_ref().map(|entity| entity.map()["port"].clone())
        };
        let changes = decision.outcome.changes.iter();
        changes
            .map(|change| (change.kind.name(), body(&change.before), body(&change.after)))
            .collect::<Vec<_>>()
    };
    let updated = given
        .put("services", "s", json!({"host": "example.com", "port": 81}))
        .unwrap();
    assert_eq!(said(&updated), [("services", Some(json!(80)), Some(json!(81)))]);
    let plugin = json!({"name": "cors", "service": {"name": "s"}});
    given.post("plugins", plugin).unwrap();
    let deleted = given.delete("services", "s").unwrap();
    let gone: Vec<_> = deleted.outcome.changes.iter().collect();
    assert_eq!(
        gone.iter().map(|change| change.kind.name()).collect::<Vec<_>>(),
        ["plugins", "services"]
    );
    assert!(
        gone.iter()
            .all(|change| change.before.is_some() && change.after.is_none())
    );
}

#[test]
fn consumer_groups_have_members_and_plugins_which_go_with_them() {
    let mut given = Given::default();
    let file = json!({
        "_format_version": "3.0",
        "consumer_groups": [{"name": "gold", "plugins": [{"name": "rate-limiting", "config": {"minute": 5}}]}],
        "consumers": [{"username": "alice", "groups": [{"name": "gold"}]}],
    });
    let created = given.declare(&file, false).unwrap();
    assert_eq!(
        names(&created),
        [
            "consumer_groups",
            "consumers",
            "consumer_group_consumers",
            "plugins"
        ]
        .map(|kind| format!("created {kind}"))
    );
    assert!(given.declare(&file, true).unwrap().events.is_empty());
    let dump = given.dump();
    assert_eq!(dump["consumers"][0]["groups"], json!([{"name": "gold"}]));
    assert_eq!(dump["plugins"][0]["name"], "rate-limiting", "where decK reads it");
    assert!(given.declare(&dump, true).unwrap().events.is_empty());
    let deleted = given.delete("consumer_groups", "gold").unwrap();
    assert_eq!(
        names(&deleted),
        ["consumer_group_consumers", "plugins", "consumer_groups"].map(|kind| format!("deleted {kind}"))
    );
}

#[test]
fn a_plugin_says_its_consumer_group_only_where_it_has_one() {
    let mut given = Given::default();
    let body_of = |decision: Decision| decision.outcome.results[0].entity.as_ref().unwrap().map();
    let cors = body_of(
        given
            .post("plugins", json!({"name": "cors", "consumer_group": null}))
            .unwrap(),
    );
    assert!(!cors.contains_key("consumer_group"));
    let twice = given.post("plugins", json!({"name": "cors"})).unwrap_err();
    assert_eq!(
        twice.to_string(),
        "UNIQUE violation detected on '{consumer=null,name=\"cors\",route=null,service=null}'"
    );
    given.post("consumer_groups", json!({"name": "gold"})).unwrap();
    let of_gold =
        json!({"name": "rate-limiting", "config": {"minute": 5}, "consumer_group": {"name": "gold"}});
    assert!(body_of(given.post("plugins", of_gold).unwrap())["consumer_group"]["id"].is_string());
    let refused = given
        .post(
            "plugins",
            json!({"name": "key-auth", "consumer_group": {"name": "gold"}}),
        )
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "schema violation (consumer_group: value must be null)"
    );
}

#[test]
fn pruning_within_tags_takes_memberships_between_what_has_them() {
    let mut given = Given::default();
    let file = |groups: Value| {
        json!({
            "_format_version": "3.0",
            "_info": {"select_tags": ["gold"]},
            "consumer_groups": [{"name": "vip"}],
            "consumers": [{"username": "alice", "groups": groups}],
        })
    };
    given.declare(&file(json!([{"name": "vip"}])), true).unwrap();
    given.post("consumer_groups", json!({"name": "others"})).unwrap();
    let by_hand = json!({
        "_format_version": "3.0",
        "consumer_groups": [{"name": "others", "consumers": ["alice"]}],
    });
    given.declare(&by_hand, false).unwrap();
    let pruned = given.declare(&file(json!([])), true).unwrap();
    assert_eq!(names(&pruned), ["deleted consumer_group_consumers"]);
}
