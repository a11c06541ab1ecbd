//! Rules between entities that some of Kong's kinds have of their own.

use domain::group::{Action, GroupCommand, GroupError, Selector, Target};
use domain::{EntityId, Kind};
use serde_json::{Value, json};

use crate::given::{Given, names, object, operate, target};

const AUTHORITY: &str = include_str!("certificates/authority.crt");

fn id_of(given: &Given, collection: &str) -> EntityId {
    let kind = Kind::in_collection(collection).expect("a collection");
    given.group.of_kind(kind).next().expect("an entity").id
}

fn below(parents: &str, parent: &str, children: &str, child: Option<&str>, action: Action) -> GroupCommand {
    let parent_kind = Kind::in_collection(parents).expect("a collection");
    operate(
        action,
        Target {
            kind: Kind::nested(parent_kind, children).expect("children"),
            selector: child.map(Selector::parse),
            parent: Some((parent_kind, Selector::parse(parent))),
        },
    )
}

#[test]
fn a_ca_certificate_stays_while_a_service_lists_it() {
    let mut given = Given::default();
    given.post("ca_certificates", json!({"cert": AUTHORITY})).unwrap();
    let authority = id_of(&given, "ca_certificates");
    let body = json!({"host": "a.test", "protocol": "https", "ca_certificates": [authority]});
    given.put("services", "s", body).unwrap();
    let service = id_of(&given, "services");

    let refused = given
        .delete("ca_certificates", &authority.to_string())
        .unwrap_err();
    let text = format!("ca certificate {authority} is still referenced by services (id = {service})");
    assert_eq!(refused.to_string(), text);
    let pruned = given.declare(
        &json!({"_format_version": "3.0", "services": [{"name": "s", "host": "a.test",
        "protocol": "https", "ca_certificates": [authority]}]}),
        true,
    );
    assert_eq!(pruned.unwrap_err().to_string(), text);

    given.put("services", "s", json!({"host": "a.test"})).unwrap();
    let decision = given.delete("ca_certificates", &authority.to_string()).unwrap();
    assert_eq!(names(&decision), ["deleted ca_certificates"]);
}

#[test]
fn a_ca_certificates_digest_follows_from_it_and_is_unique() {
    let mut given = Given::default();
    let body = json!({"cert": AUTHORITY, "cert_digest": "mine"});
    given.post("ca_certificates", body.clone()).unwrap();
    let stored = given.group.entities().next().unwrap().map();
    assert_eq!(stored["cert_digest"].as_str().map(str::len), Some(64));
    assert!(matches!(
        given.post("ca_certificates", body),
        Err(GroupError::Unique { .. })
    ));
}

#[test]
fn keys_are_told_apart_by_kid_within_their_set() {
    let mut given = Given::default();
    given.put("key-sets", "blue", json!({})).unwrap();
    let pem = json!({"private_key": "{vault://env/k}"});
    let key = |set: Value| json!({"kid": "1", "set": set, "pem": pem});
    given.post("keys", key(json!(null))).unwrap();
    given.post("keys", key(json!({"name": "blue"}))).unwrap();
    for taken in [json!(null), json!({"name": "blue"})] {
        assert!(matches!(
            given.post("keys", key(taken)),
            Err(GroupError::Unique { .. })
        ));
    }
    let decision = given.delete("key-sets", "blue").unwrap();
    assert_eq!(names(&decision), ["deleted keys", "deleted key_sets"]);
}

#[test]
fn vaults_have_prefixes_of_their_own() {
    let mut given = Given::default();
    given
        .put(
            "vaults",
            "my-vault",
            json!({"name": "env", "config": {"prefix": "MY_"}}),
        )
        .unwrap();
    let again = given.post("vaults", json!({"name": "env", "prefix": "my-vault"}));
    assert!(matches!(again, Err(GroupError::Unique { .. })));
    let named = given
        .post("vaults", json!({"name": "env", "prefix": "env"}))
        .unwrap_err();
    assert_eq!(
        named.to_string(),
        "schema violation (prefix: must not be one of: env)"
    );
}

#[test]
fn filter_chains_are_refused_while_no_wasm_is_known() {
    let mut given = Given::default();
    given.put("services", "s", json!({"host": "a.test"})).unwrap();
    let chain = json!({"service": {"name": "s"}, "filters": [{"name": "f"}]});
    let refused = given.post("filter-chains", chain).unwrap_err();
    assert!(
        refused.to_string().contains("wasm support is not enabled"),
        "{refused}"
    );
}

#[test]
fn an_acl_is_named_by_its_group_below_its_consumer() {
    let mut given = Given::default();
    for consumer in ["anna", "otto"] {
        given.put("consumers", consumer, json!({})).unwrap();
        given
            .when(below(
                "consumers",
                consumer,
                "acls",
                Some("staff"),
                Action::Put(object(json!({}))),
            ))
            .unwrap();
    }
    let again = below(
        "consumers",
        "anna",
        "acls",
        None,
        Action::Create(object(json!({"group": "staff"}))),
    );
    assert!(matches!(given.when(again), Err(GroupError::Unique { .. })));
    let decision = given
        .when(below("consumers", "anna", "acls", Some("staff"), Action::Delete))
        .unwrap();
    assert_eq!(names(&decision), ["deleted acls"]);
    assert_eq!(given.group.len(), 3, "otto's stays");
}

#[test]
fn a_consumer_takes_its_credentials_along() {
    let mut given = Given::default();
    given.put("consumers", "anna", json!({})).unwrap();
    for (children, body) in [
        ("basic-auth", json!({"username": "anna", "password": "p"})),
        ("hmac-auth", json!({"username": "anna"})),
        ("jwt", json!({})),
        ("key-auth", json!({})),
        ("oauth2", json!({"name": "app"})),
        ("acls", json!({"group": "staff"})),
    ] {
        given
            .when(below(
                "consumers",
                "anna",
                children,
                None,
                Action::Create(object(body)),
            ))
            .unwrap();
    }
    let decision = given.delete("consumers", "anna").unwrap();
    assert_eq!(decision.events.len(), 7);
    assert!(given.group.is_empty());
}

#[test]
fn what_gateways_keep_themselves_is_no_configuration() {
    let mut given = Given::default();
    let run_time: Vec<_> = Kind::all().filter(|kind| !kind.schema().configuration).collect();
    assert_eq!(run_time.len(), 9, "{run_time:?}");
    for kind in run_time {
        let target = Target {
            kind,
            selector: None,
            parent: None,
        };
        let refused = given
            .when(operate(Action::Create(object(json!({}))), target))
            .unwrap_err();
        assert!(refused.to_string().contains("aren't configuration"), "{refused}");
        let document = json!({"_format_version": "3.0", (kind.name()): [{}]});
        assert!(domain::declarative::parse(&document).is_err(), "{kind}");
    }
    let service = target("services", None);
    assert!(
        given
            .when(operate(
                Action::Create(object(json!({"host": "a.test"}))),
                service
            ))
            .is_ok()
    );
}
