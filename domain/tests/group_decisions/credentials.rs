//! Credentials whose secrets are stored hashed, and files that hold them.

use domain::group::{Action, GroupCommand};
use domain::schema::Secrets;
use serde_json::{Value, json};

use crate::given::{Given, object, operate, target};

const ANNA: &str = "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";

fn with_anna() -> Given {
    let mut given = Given::default();
    given
        .post("consumers", json!({"id": ANNA, "username": "anna"}))
        .expect("a consumer");
    given
}

fn stored(given: &Given, collection: &str) -> Value {
    let kind = domain::Kind::in_collection(collection).expect("a collection");
    Value::Object(given.group.of_kind(kind).next().expect("an entity").map())
}

#[test]
fn a_password_sent_again_is_already_so() {
    let mut given = with_anna();
    let body = json!({"consumer": {"id": ANNA}, "password": "p"});
    given.put("basic-auths", "anna", body.clone()).unwrap();
    assert_eq!(
        stored(&given, "basic-auths")["password"],
        "216a960d8523a32eccff88cdbefc9a9959f307e4"
    );
    assert!(given.put("basic-auths", "anna", body).unwrap().events.is_empty());
    let other = json!({"consumer": {"id": ANNA}, "password": "q"});
    assert_eq!(given.put("basic-auths", "anna", other).unwrap().events.len(), 1);
}

#[test]
fn a_hashed_clients_secret_sent_again_is_already_so() {
    let mut given = with_anna();
    let body = |secret: &str| json!({"consumer": {"id": ANNA}, "name": "app", "hash_secret": true, "client_secret": secret});
    given.put("oauth2", "app", body("s")).unwrap();
    let hash = stored(&given, "oauth2")["client_secret"].clone();
    assert!(hash.as_str().unwrap().starts_with("$pbkdf2-sha512$"), "{hash}");

    assert!(given.put("oauth2", "app", body("s")).unwrap().events.is_empty());
    let patch = object(json!({"hash_secret": true, "client_secret": "s"}));
    let patch = operate(Action::Patch(patch), target("oauth2", Some("app")));
    assert!(given.when(patch).unwrap().events.is_empty());

    assert_eq!(given.put("oauth2", "app", body("t")).unwrap().events.len(), 1);
    assert_ne!(stored(&given, "oauth2")["client_secret"], hash);
}

#[test]
fn a_clients_secret_is_changed_together_with_whether_it_is_hashed() {
    let mut given = with_anna();
    given
        .put("oauth2", "app", json!({"consumer": {"id": ANNA}, "name": "app"}))
        .unwrap();
    let alone = object(json!({"client_secret": "s"}));
    let refused = given
        .when(operate(Action::Patch(alone), target("oauth2", Some("app"))))
        .unwrap_err();
    assert!(
        refused.to_string().contains("'hash_secret', 'client_secret'"),
        "{refused}"
    );
}

#[test]
fn a_file_that_hashes_a_clients_secret_is_already_so_the_second_time() {
    for client in [
        json!({"name": "app", "client_id": "c", "hash_secret": true, "client_secret": "s"}),
        json!({"name": "app", "client_id": "c", "hash_secret": true}),
        json!({"name": "app", "hash_secret": true, "client_secret": "s"}),
    ] {
        let mut given = Given::default();
        let file = json!({"_format_version": "3.0", "consumers": [{"username": "anna", "oauth2_credentials": [client]}]});
        given.declare(&file, false).unwrap();
        let hash = stored(&given, "oauth2")["client_secret"].clone();
        assert!(hash.as_str().unwrap().starts_with("$pbkdf2-sha512$"), "{hash}");
        assert!(given.declare(&file, true).unwrap().events.is_empty());
    }
}

#[test]
fn a_hash_is_taken_as_it_is_where_the_caller_says_so() {
    let mut given = with_anna();
    let body = json!({"consumer": {"id": ANNA}, "password": "216a960d8523a32eccff88cdbefc9a9959f307e4"});
    let mut command = operate(Action::Put(object(body)), target("basic-auths", Some("anna")));
    if let GroupCommand::Operate { operations, .. } = &mut command {
        operations[0].secrets = Secrets::Hashed;
    }
    given.when(command).unwrap();
    assert_eq!(
        stored(&given, "basic-auths")["password"],
        "216a960d8523a32eccff88cdbefc9a9959f307e4"
    );
}

#[test]
fn a_dump_with_hashes_says_so_and_is_already_so() {
    let mut given = with_anna();
    assert_eq!(given.dump().get("_transform"), None);
    given
        .post("oauth2", json!({"consumer": {"id": ANNA}, "name": "plain"}))
        .unwrap();
    assert_eq!(given.dump().get("_transform"), None, "a plain secret is no hash");
    let hashed =
        json!({"consumer": {"id": ANNA}, "name": "hashed", "hash_secret": true, "client_secret": "s"});
    given.post("oauth2", hashed).unwrap();
    let basic = json!({"consumer": {"id": ANNA}, "username": "anna", "password": "p"});
    given.post("basic-auths", basic).unwrap();

    let dump = given.dump();

    assert_eq!(dump["_transform"], json!(false));
    for prune in [false, true] {
        assert!(given.declare(&dump, prune).unwrap().events.is_empty());
    }
    let mut copy = Given::default();
    copy.declare(&dump, false).unwrap();
    assert_eq!(copy.dump(), dump);
}

#[test]
fn plain_secrets_of_a_file_are_hashed_once() {
    let mut given = Given::default();
    let file = json!({"_format_version": "3.0", "consumers": [{
        "username": "anna",
        "basicauth_credentials": [{"username": "anna", "password": "p"}],
        "hmacauth_credentials": [{"username": "anna"}],
        "jwt_secrets": [{"key": "k"}],
        "keyauth_credentials": [{"key": "x"}],
        "oauth2_credentials": [{"name": "app", "client_id": "c"}],
        "acls": [{"group": "staff"}],
    }]});
    given.declare(&file, false).unwrap();
    assert_eq!(given.group.len(), 7);
    assert_ne!(stored(&given, "basic-auths")["password"], "p");
    for prune in [false, true] {
        assert!(
            given.declare(&file, prune).unwrap().events.is_empty(),
            "the same file again is no change"
        );
    }
}

#[test]
fn what_a_plugins_settings_generate_stays_when_a_file_omits_it() {
    let mut given = Given::default();
    let file = json!({"_format_version": "3.0", "plugins": [
        {"name": "session"},
        {"name": "oauth2", "config": {"enable_password_grant": true}},
    ]});
    given.declare(&file, false).unwrap();
    assert!(given.declare(&file, false).unwrap().events.is_empty());
}

#[test]
fn entities_without_ids_are_found_by_what_is_unique_about_them() {
    let mut given = Given::default();
    let authority = include_str!("certificates/authority.crt");
    given.post("ca_certificates", json!({"cert": authority})).unwrap();
    given.put("upstreams", "u.test", json!({})).unwrap();
    given
        .post(
            "targets",
            json!({"upstream": {"name": "u.test"}, "target": "a.test"}),
        )
        .unwrap();
    given.put("vaults", "mine", json!({"name": "env"})).unwrap();
    given.put("key-sets", "blue", json!({})).unwrap();
    let pem = json!({"private_key": "{vault://env/k}"});
    given
        .post("keys", json!({"kid": "1", "set": {"name": "blue"}, "pem": pem}))
        .unwrap();
    let file = json!({"_format_version": "3.0",
        "ca_certificates": [{"cert": authority}],
        "upstreams": [{"name": "u.test", "targets": [{"target": "a.test"}]}],
        "vaults": [{"name": "env", "prefix": "mine"}],
        "key_sets": [{"name": "blue"}],
        "keys": [{"kid": "1", "set": {"name": "blue"}, "pem": pem}],
    });
    for prune in [false, true] {
        let decision = given.declare(&file, prune).unwrap();
        assert!(decision.events.is_empty(), "{:?}", crate::given::names(&decision));
    }
}
