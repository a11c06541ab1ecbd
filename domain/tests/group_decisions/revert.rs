//! Revert: what one change did is taken back, what came later stays, and what can't be both is refused with every reason.

use std::sync::Arc;

use domain::Kind;
use domain::group::{
    Action, Conflict, Decision, Entity, GroupCommand, GroupError, GroupEvent, LeftOutReason,
};
use serde_json::{Value, json};

use crate::given::{Given, names, object, operate, target, transact};

impl Given {
    fn revert(&mut self, change: &Decision) -> Result<Decision, GroupError> {
        self.when(GroupCommand::Revert {
            version: 0,
            changes: change.outcome.changes.clone(),
            expected_version: None,
        })
    }

    fn patch(&mut self, collection: &str, key: &str, body: Value) -> Result<Decision, GroupError> {
        let action = Action::Patch(object(body));
        self.when(operate(action, target(collection, Some(key))))
    }

    fn only(&self, kind: &str) -> &Entity {
        let mut all = self
            .group
            .of_kind(Kind::named(kind).expect("the kind is known and there is one"));
        let only = all.next().expect("the kind is known and there is one");
        assert!(all.next().is_none(), "there are several {kind}");
        only
    }
}

/// Entity, field and obstacle of every conflict.
fn conflicts(refusal: GroupError) -> Vec<(String, String, &'static str)> {
    let GroupError::Conflicts(conflicts) = refusal else {
        panic!("not refused because of conflicts: {refusal}");
    };
    let said = |conflict: &Conflict| {
        let field = conflict.field.clone().unwrap_or_default();
        (
            conflict.entity.kind.name().to_owned(),
            field,
            conflict.obstacle.name(),
        )
    };
    conflicts.iter().map(said).collect()
}

fn conflict(kind: &str, field: &str, obstacle: &'static str) -> (String, String, &'static str) {
    (kind.to_owned(), field.to_owned(), obstacle)
}

fn given_a_service() -> Given {
    let mut given = Given::default();
    given
        .post(
            "services",
            json!({"name": "orders", "host": "a.example", "port": 80}),
        )
        .expect("a valid service");
    given
}

#[test]
fn the_newest_change_reverted_gives_every_byte_back() {
    let mut given = given_a_service();
    let before = given.only("services").body.clone();
    let change = given.patch("services", "orders", json!({"port": 81})).unwrap();
    let reverted = given.revert(&change).unwrap();
    assert_eq!(names(&reverted), ["updated services updated_at,port"]);
    assert_eq!(given.only("services").body, before);
}

#[test]
fn later_changes_of_other_fields_stay() {
    let mut given = given_a_service();
    let change = given.patch("services", "orders", json!({"port": 81})).unwrap();
    given
        .patch("services", "orders", json!({"host": "b.example"}))
        .unwrap();
    given.revert(&change).unwrap();
    let service = given.only("services").map();
    assert_eq!(
        (&service["port"], &service["host"]),
        (&json!(80), &json!("b.example"))
    );
    assert_eq!(service["updated_at"], given.group.at.seconds());
}

#[test]
fn fields_of_a_plugins_config_are_fields_too() {
    let mut given = Given::default();
    let limits = |minute, hour| json!({"config": {"minute": minute, "hour": hour}});
    given
        .post(
            "plugins",
            json!({"name": "rate-limiting", "config": {"minute": 5}}),
        )
        .unwrap();
    let id = given.only("plugins").id.to_string();
    let change = given
        .patch("plugins", &id, limits(json!(9), json!(null)))
        .unwrap();
    given.patch("plugins", &id, limits(json!(9), json!(70))).unwrap();
    given.revert(&change).unwrap();
    let config = given.only("plugins").map()["config"].clone();
    assert_eq!((&config["minute"], &config["hour"]), (&json!(5), &json!(70)));
}

#[test]
fn a_field_that_was_changed_again_is_refused_by_name() {
    let mut given = given_a_service();
    let change = given
        .patch("services", "orders", json!({"port": 81, "retries": 2}))
        .unwrap();
    given.patch("services", "orders", json!({"port": 82})).unwrap();
    let refusal = given.revert(&change).unwrap_err();
    let GroupError::Conflicts(found) = &refusal else {
        panic!("{refusal}")
    };
    assert_eq!(found[0].touched(), Some(3));
    assert_eq!(
        conflicts(refusal),
        [conflict("services", "port", "changed_since")]
    );
    assert_eq!(given.group.version, 3);
}

#[test]
fn what_is_so_already_is_no_change() {
    let mut given = given_a_service();
    let change = given.patch("services", "orders", json!({"port": 81})).unwrap();
    given.patch("services", "orders", json!({"port": 80})).unwrap();
    assert!(given.revert(&change).unwrap().events.is_empty());
}

#[test]
fn what_the_change_created_goes_unless_something_has_come_to_refer_to_it_or_altered_it() {
    let mut given = Given::default();
    let service = given
        .post("services", json!({"name": "orders", "host": "a.example"}))
        .unwrap();
    let route = given
        .post(
            "routes",
            json!({"name": "all", "paths": ["/"], "service": {"name": "orders"}}),
        )
        .unwrap();
    let refusal = given.revert(&service).unwrap_err();
    assert_eq!(conflicts(refusal), [conflict("services", "", "referred_to")]);
    given.revert(&route).unwrap();
    given.patch("services", "orders", json!({"port": 81})).unwrap();
    let refusal = given.revert(&service).unwrap_err();
    assert_eq!(
        conflicts(refusal),
        [conflict("services", "port", "changed_since")]
    );
    given.patch("services", "orders", json!({"port": 80})).unwrap();
    assert_eq!(names(&given.revert(&service).unwrap()), ["deleted services"]);
    assert!(given.revert(&service).unwrap().events.is_empty());
}

#[test]
fn a_consumer_that_later_got_a_credential_is_not_taken_away_with_it() {
    let mut given = Given::default();
    let consumer = given.post("consumers", json!({"username": "ann"})).unwrap();
    given
        .post("key-auths", json!({"consumer": {"username": "ann"}, "key": "k"}))
        .unwrap();
    let refusal = given.revert(&consumer).unwrap_err();
    assert_eq!(conflicts(refusal), [conflict("consumers", "", "referred_to")]);
}

#[test]
fn what_the_change_deleted_comes_back_byte_for_byte_with_what_went_by_cascade() {
    let mut given = Given::default();
    given.post("consumers", json!({"username": "ann"})).unwrap();
    given
        .post("key-auths", json!({"consumer": {"username": "ann"}, "key": "k"}))
        .unwrap();
    let bodies = |given: &Given| {
        given
            .group
            .entities()
            .map(|entity| entity.body.clone())
            .collect::<Vec<_>>()
    };
    let before = bodies(&given);
    let deletion = given.delete("consumers", "ann").unwrap();
    let back = given.revert(&deletion).unwrap();
    assert_eq!(names(&back), ["created consumers", "created keyauth_credentials"]);
    assert_eq!(bodies(&given), before);
}

#[test]
fn a_revert_can_be_reverted() {
    let mut given = given_a_service();
    let change = given.patch("services", "orders", json!({"port": 81})).unwrap();
    let changed = given.only("services").body.clone();
    let reverted = given.revert(&change).unwrap();
    given.revert(&reverted).unwrap();
    assert_eq!(given.only("services").body, changed);
    let deletion = given.delete("services", "orders").unwrap();
    let back = given.revert(&deletion).unwrap();
    assert_eq!(names(&given.revert(&back).unwrap()), ["deleted services"]);
}

#[test]
fn a_name_taken_and_a_parent_gone_since_are_refused_at_once() {
    let mut given = Given::default();
    given
        .post("services", json!({"name": "orders", "host": "a.example"}))
        .unwrap();
    given
        .post(
            "routes",
            json!({"name": "all", "paths": ["/"], "service": {"name": "orders"}}),
        )
        .unwrap();
    let deletion = given.delete("routes", "all").unwrap();
    given.delete("services", "orders").unwrap();
    given
        .post("routes", json!({"name": "all", "paths": ["/other"]}))
        .unwrap();
    let refusal = given.revert(&deletion).unwrap_err();
    assert_eq!(
        conflicts(refusal),
        [
            conflict("routes", "name", "taken"),
            conflict("routes", "service", "missing_reference")
        ]
    );
}

#[test]
fn an_entity_deleted_since_and_one_made_again_with_its_id_are_refused() {
    let mut given = Given::default();
    let id = "3f0b5d8a-9c55-4b4e-a1d3-a9f000000000";
    given.put("services", id, json!({"host": "a.example"})).unwrap();
    let update = given.patch("services", id, json!({"port": 81})).unwrap();
    let deletion = given.delete("services", id).unwrap();
    let refusal = given.revert(&update).unwrap_err();
    assert_eq!(conflicts(refusal), [conflict("services", "", "deleted_since")]);
    given.put("services", id, json!({"host": "b.example"})).unwrap();
    let refusal = given.revert(&deletion).unwrap_err();
    assert_eq!(conflicts(refusal), [conflict("services", "", "exists_again")]);
}

#[test]
fn names_that_two_entities_exchanged_are_exchanged_back() {
    let mut given = Given::default();
    for name in ["one", "two"] {
        given
            .post(
                "services",
                json!({"name": name, "host": format!("{name}.example")}),
            )
            .unwrap();
    }
    let before: Vec<_> = given.group.entities().map(|entity| entity.body.clone()).collect();
    let ids: Vec<_> = given
        .group
        .entities()
        .map(|entity| entity.id.to_string())
        .collect();
    let named = |given: &Given, number: usize| {
        let entity = given.group.entities().nth(number).unwrap();
        entity.map()["name"].clone()
    };
    let (first, second) = (named(&given, 0), named(&given, 1));
    let rename = |id: &str, name: &Value| {
        let action = Action::Patch(object(json!({ "name": name })));
        (action, target("services", Some(id)))
    };
    let exchange = given
        .when(transact(vec![
            rename(&ids[0], &json!("between")),
            rename(&ids[1], &first),
            rename(&ids[0], &second),
        ]))
        .unwrap();
    given.revert(&exchange).unwrap();
    let after: Vec<_> = given.group.entities().map(|entity| entity.body.clone()).collect();
    assert_eq!(after, before);
    given
        .post("services", json!({"name": "between", "host": "c.example"}))
        .unwrap();
    given
        .post("services", json!({"name": "one", "host": "c.example"}))
        .unwrap_err();
}

#[test]
fn a_combination_that_no_schema_allows_is_refused_with_the_rule() {
    let mut given = Given::default();
    given
        .post("routes", json!({"name": "all", "paths": ["/"]}))
        .unwrap();
    let hosts = given
        .patch("routes", "all", json!({"hosts": ["a.example"]}))
        .unwrap();
    // A route needs something to match: either may go, not both.
    given.patch("routes", "all", json!({"paths": null})).unwrap();
    let refusal = given.revert(&hosts).unwrap_err();
    assert!(refusal.to_string().contains("must set one of"), "{refusal}");
    assert_eq!(conflicts(refusal), [conflict("routes", "", "invalid")]);
}

#[test]
fn what_is_erased_or_expired_is_left_out_and_named_with_what_belongs_to_it() {
    let mut given = Given::default();
    given.post("consumers", json!({"username": "ann"})).unwrap();
    given
        .post("acls", json!({"consumer": {"username": "ann"}, "group": "g"}))
        .unwrap();
    let deletion = given.delete("consumers", "ann").unwrap();
    let mut changes = deletion.outcome.changes;
    for change in &mut changes {
        let before = change.before.take().unwrap();
        change.before = Some(Arc::new(Entity {
            erased: before.kind.name() == "consumers",
            ..Entity::clone(&before)
        }));
    }
    let decision = given
        .when(GroupCommand::Revert {
            version: 3,
            changes,
            expected_version: None,
        })
        .unwrap();
    assert!(decision.events.is_empty());
    let left_out = decision.outcome.left_out.iter();
    let left_out: Vec<_> = left_out
        .map(|left_out| (left_out.kind.name(), left_out.reason))
        .collect();
    assert_eq!(left_out.len(), 2);
    assert!(left_out.contains(&("consumers", LeftOutReason::Erased)));
    assert!(left_out.contains(&("acls", LeftOutReason::RefersToLeftOut)));
}

#[test]
fn a_listed_ca_certificate_is_not_taken_away() {
    let mut given = Given::default();
    let authority = given
        .post(
            "ca_certificates",
            json!({"cert": include_str!("certificates/authority.crt")}),
        )
        .unwrap();
    let id = given.only("ca_certificates").id;
    given
        .post(
            "services",
            json!({"name": "s", "protocol": "https", "host": "a.example", "ca_certificates": [id]}),
        )
        .unwrap();
    let refusal = given.revert(&authority).unwrap_err();
    assert_eq!(
        conflicts(refusal),
        [conflict("ca_certificates", "", "referred_to")]
    );
}

#[test]
fn deletions_are_recorded_before_what_takes_their_names() {
    let mut given = Given::default();
    given
        .post("services", json!({"name": "orders", "host": "a.example"}))
        .unwrap();
    let old = given.only("services").id.to_string();
    let successor = object(json!({"name": "orders", "host": "b.example"}));
    let replaced = given
        .when(transact(vec![
            (Action::Delete, target("services", Some(&old))),
            (Action::Create(successor), target("services", None)),
        ]))
        .unwrap();
    let back = given.revert(&replaced).unwrap();
    assert!(matches!(back.events[0], GroupEvent::EntityDeleted { .. }));
    assert_eq!(given.only("services").id.to_string(), old);
    given
        .post("services", json!({"name": "orders", "host": "c.example"}))
        .unwrap_err();
}
