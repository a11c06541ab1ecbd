//! The shape of what is sent: the checklist's items on the configuration, one test each.

use std::sync::Arc;

use domain::EntityId;
use domain::compatibility::{Dialect, Incompatibility, Release, affected, aged, preamble, write};
use domain::group::{Entity, Group};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::given::{BEGINNING, Given, effects, is_withheld, kind_named, level, parsed};

const NEWEST: &str = "3.10";
const AUTHORITY: &str = include_str!("../group_decisions/certificates/authority.crt");

fn preamble_of(given: &Given, release: &str) -> Value {
    let members = preamble(&given.level(release), Uuid::from_u128(7));
    let member = |(key, text): (&str, String)| (key.to_owned(), serde_json::from_str(&text).expect("JSON"));
    Value::Object(members.into_iter().map(member).collect())
}

#[test]
fn item_21_the_cluster_id_is_always_there() {
    let parameters = &preamble_of(&Given::default(), NEWEST)["parameters"];
    assert_eq!(parameters[0]["key"], "cluster_id");
    assert_eq!(parameters[0]["value"], json!(Uuid::from_u128(7)));
}

#[test]
fn item_25_the_format_is_2_1_for_2_8_and_3_0_after_it_and_never_transforms() {
    for release in Release::all().map(Release::name) {
        let preamble = preamble_of(&Given::default(), release);
        let format = if release == "2.8" { "2.1" } else { "3.0" };
        assert_eq!(preamble["_format_version"], format, "{release}");
        assert_eq!(preamble["_transform"], false, "{release}");
        assert_eq!(preamble["workspaces"][0]["name"], "default", "{release}");
    }
}

#[test]
fn item_26_nothing_unknown_is_sent_and_consumer_groups_withhold() {
    let mut given = Given::default();
    let group = given.put("consumer_groups", json!({"name": "gold"}));
    let plugin = json!({"name": "rate-limiting", "consumer_group": {"id": group},
        "config": {"minute": 1, "policy": "local"}});
    let plugin = given.put("plugins", plugin);
    let service = given.put("services", json!({"name": "s", "host": "h"}));
    for release in Release::all().map(Release::name) {
        for (kind, id) in [("consumer_groups", group), ("plugins", plugin)] {
            let written = given.written(kind, id, release);
            assert!(
                is_withheld(&written, Incompatibility::Configuration),
                "{kind} {release}"
            );
        }
        assert!(!given.sent("services", service, release).contains_key("ws_id"));
    }
}

#[test]
fn item_27_what_an_entity_refers_to_is_an_id_in_documents_and_an_object_in_deltas() {
    let mut given = Given::default();
    let service = given.put("services", json!({"name": "s", "host": "h"}));
    let route = json!({"name": "r", "paths": ["/a"], "service": {"id": service}});
    let route = given.put("routes", route);
    assert_eq!(given.sent("routes", route, NEWEST)["service"], json!(service));
    let mut level = given.level(NEWEST);
    level.dialect = Dialect::Deltas;
    let delta = parsed(&given.written_at("routes", route, &level)).unwrap();
    assert_eq!(delta["service"], json!({"id": service}));
}

#[test]
fn item_27_what_is_sent_refers_to_nothing_that_isnt() {
    let mut given = Given::default();
    let off = given.put("services", json!({"host": "h", "enabled": false}));
    let on = given.put("services", json!({"host": "h"}));
    for service in [off, on] {
        let route = given.put("routes", json!({"paths": ["/a"], "service": {"id": service}}));
        given.put(
            "plugins",
            json!({"name": "cors", "route": {"id": route}, "config": {}}),
        );
        given.put(
            "plugins",
            json!({"name": "jwt", "service": {"id": service}, "config": {}}),
        );
    }
    let set = given.put("key_sets", json!({"name": "ks"}));
    given.put(
        "keys",
        json!({"kid": "k", "set": {"id": set}, "pem": {"private_key": "{vault://env/k}"}}),
    );
    let consumer = given.put("consumers", json!({"username": "al"}));
    given.put(
        "keyauth_credentials",
        json!({"consumer": {"id": consumer}, "key": "k"}),
    );
    for release in Release::all().map(Release::name) {
        let level = given.level(release);
        let entities: Vec<_> = given.group.entities().collect();
        let is_sent = |entity: &Entity| write(&given.group, entity, &level).text.is_some();
        for entity in entities.iter().filter(|entity| is_sent(entity)) {
            for reference in &entity.references {
                let referred = given
                    .group
                    .entity(reference.kind, reference.id)
                    .expect("an entity");
                assert!(is_sent(referred), "{entity:?} to {referred:?} on {release}");
            }
        }
        let sent = entities.iter().filter(|entity| is_sent(entity)).count();
        assert_eq!(
            sent,
            if level.release >= Release::named("3.1").expect("a release") {
                8
            } else {
                6
            },
            "{release}"
        );
    }
}

#[test]
fn item_28_times_are_whole_seconds_and_those_of_targets_have_milliseconds() {
    let mut given = Given::default();
    let upstream = given.put("upstreams", json!({"name": "u"}));
    let target = given.put(
        "targets",
        json!({"upstream": {"id": upstream}, "target": "10.0.0.1:80"}),
    );
    assert_eq!(
        given.sent("upstreams", upstream, NEWEST)["created_at"],
        json!(BEGINNING + 1)
    );
    assert!(given.sent("targets", target, NEWEST)["created_at"].is_number());
}

#[test]
fn item_29_null_is_sent_only_where_a_default_would_return() {
    let mut given = Given::default();
    let service = given.put("services", json!({"host": "h", "retries": null, "path": null}));
    let sent = given.sent("services", service, NEWEST);
    assert_eq!(sent.get("retries"), Some(&Value::Null));
    for unset in ["path", "name", "tags", "client_certificate", "tls_verify"] {
        assert_eq!(sent.get(unset), None, "{unset}");
    }
    let plugin = given.put(
        "plugins",
        json!({"name": "rate-limiting",
        "config": {"minute": 1, "policy": "local", "error_message": null}}),
    );
    let config = &given.sent("plugins", plugin, NEWEST)["config"];
    assert_eq!(config.get("error_message"), Some(&Value::Null));
    assert_eq!(config.get("hour"), None);
}

#[test]
fn item_30_passwords_are_sent_hashed() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    let credential = json!({"consumer": {"id": consumer}, "username": "al", "password": "p"});
    let credential = given.put("basicauth_credentials", credential);
    let hash = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        format!("p{consumer}").as_bytes(),
    );
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        given.sent("basicauth_credentials", credential, NEWEST)["password"],
        json!(hash)
    );
}

#[test]
fn item_31_the_time_to_live_is_a_moment_since_3_5_and_seconds_before() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    let body = json!({"consumer": {"id": consumer}, "key": "k", "ttl": 3600});
    let key = given.put("keyauth_credentials", body);
    let body = json!({"consumer": {"id": consumer}, "key": "j"});
    let forever = given.put("keyauth_credentials", body);
    for release in Release::all().map(Release::name) {
        let is_moment = Release::named(release) >= Release::named("3.5");
        let expected = if is_moment {
            json!(BEGINNING + 2 + 3600)
        } else {
            json!(3600)
        };
        let sent = given.sent("keyauth_credentials", key, release);
        assert_eq!(sent["ttl"], expected, "{release}");
        assert_eq!(
            given.sent("keyauth_credentials", forever, release).get("ttl"),
            None
        );
    }
}

#[test]
fn item_32_expired_ca_certificates_are_left_out_and_named_as_of_the_newest_change() {
    const A_CENTURY: i64 = 100 * 366 * 86_400;
    let mut given = Given::default();
    let authority = given.put("ca_certificates", json!({"cert": AUTHORITY}));
    let before = given.group.at;
    assert_eq!(given.written("ca_certificates", authority, NEWEST).findings, []);

    given.elapsed = A_CENTURY;
    given.put("consumers", json!({"username": "al"}));
    for release in Release::all().map(Release::name) {
        let written = given.written("ca_certificates", authority, release);
        assert_eq!(written.text, None, "{release}");
        assert_eq!(
            effects(&written),
            [("entity_left_out", "cert".to_owned())],
            "{release}"
        );
        assert!(written.findings[0].message.contains("2126"), "{written:?}");
    }
    assert_eq!(
        aged(&given.group, before),
        [(kind_named("ca_certificates"), authority)]
    );
    assert_eq!(aged(&given.group, given.group.at), []);
}

#[test]
fn item_33_ca_certificates_carry_their_digest() {
    let mut given = Given::default();
    let authority = given.put("ca_certificates", json!({"cert": AUTHORITY}));
    for release in Release::all().map(Release::name) {
        let sent = given.sent("ca_certificates", authority, release);
        assert_eq!(sent["cert_digest"].as_str().map(str::len), Some(64), "{release}");
    }
}

#[test]
fn item_34_what_is_disabled_is_absent_with_everything_below_it() {
    let mut given = Given::default();
    let service = given.put("services", json!({"host": "h", "enabled": false}));
    let route = given.put("routes", json!({"paths": ["/a"], "service": {"id": service}}));
    let on_route = given.put(
        "plugins",
        json!({"name": "cors", "route": {"id": route}, "config": {}}),
    );
    let on_service = given.put(
        "plugins",
        json!({"name": "cors", "service": {"id": service}, "config": {}}),
    );
    let off = given.put("plugins", json!({"name": "jwt", "enabled": false, "config": {}}));
    let below = [("routes", route), ("plugins", on_route), ("plugins", on_service)];
    for (kind, id) in [("services", service), ("plugins", off)].into_iter().chain(below) {
        let written = given.written(kind, id, NEWEST);
        assert_eq!((written.text, written.findings), (None, vec![]), "{kind}");
    }

    given.put_at("services", service, json!({"host": "h"}));
    for (kind, id) in below {
        assert!(given.written(kind, id, NEWEST).text.is_some(), "{kind}");
    }
    let mut again = affected(&given.group, kind_named("services"), service);
    again.sort_unstable();
    let mut expected: Vec<_> = below.map(|(kind, id)| (kind_named(kind), id)).into();
    expected.sort_unstable();
    assert_eq!(again, expected);
    assert_eq!(
        affected(&given.group, kind_named("routes"), route),
        [(kind_named("plugins"), on_route)]
    );
    assert_eq!(affected(&given.group, kind_named("plugins"), on_route), []);
}

#[test]
fn consumers_and_upstreams_affect_nothing_but_themselves() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    given.put(
        "keyauth_credentials",
        json!({"consumer": {"id": consumer}, "key": "k"}),
    );
    let upstream = given.put("upstreams", json!({"name": "u"}));
    given.put(
        "targets",
        json!({"upstream": {"id": upstream}, "target": "10.0.0.1:80"}),
    );
    assert_eq!(affected(&given.group, kind_named("consumers"), consumer), []);
    assert_eq!(affected(&given.group, kind_named("upstreams"), upstream), []);
    given.delete("consumers", consumer);
    assert_eq!(affected(&given.group, kind_named("consumers"), consumer), []);
}

#[test]
fn item_35_what_belongs_to_a_missing_plugin_is_left_out_and_named() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    let key = given.put(
        "keyauth_credentials",
        json!({"consumer": {"id": consumer}, "key": "k"}),
    );
    let mut level = given.level(NEWEST);
    Arc::make_mut(&mut level.plugins).remove("key-auth");
    let written = given.written_at("keyauth_credentials", key, &level);
    assert_eq!(written.text, None);
    assert_eq!(effects(&written), [("entity_left_out", String::new())]);
    assert!(written.findings[0].message.contains("key-auth"));
}

#[test]
fn item_36_filter_chains_go_to_instances_that_have_every_filter_and_others_are_withheld() {
    let group = Group::default();
    let body = json!({"id": Uuid::from_u128(1), "name": "c", "enabled": true, "route": {"id": Uuid::from_u128(2)}, "service": null,
        "filters": [{"name": "one", "enabled": true, "config": {"a": [1]}}, {"name": "two", "enabled": true, "config": "b"}]});
    let body = body.as_object().expect("an object");
    let chain = Entity::from_map(kind_named("filter_chains"), EntityId(Uuid::from_u128(1)), body);
    for (release, filters, configuration) in [
        ("3.10", vec!["one", "two", "three"], Some(json!({"a": [1]}))),
        ("3.5", vec!["one", "two"], Some(json!({"a": [1]}))),
        ("3.4", vec!["one", "two"], Some(json!(r#"{"a":[1]}"#))),
        ("3.10", vec!["one"], None),
        ("3.10", vec![], None),
        ("3.3", vec!["one", "two"], None),
    ] {
        let mut level = level(&group, release);
        level.filters = filters.into_iter().map(str::to_owned).collect();
        let written = write(&group, &chain, &level);
        let sent = parsed(&written).map(|sent| sent["filters"][0]["config"].clone());
        assert_eq!(sent, configuration, "{release}");
        assert_eq!(
            is_withheld(&written, Incompatibility::FilterSet),
            sent.is_none(),
            "{release}"
        );
    }
}

#[test]
fn consumers_arent_called_by_their_names_in_findings() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    let body = json!({"consumer": {"id": consumer}, "username": "al", "password": "p"});
    let credential = given.put("basicauth_credentials", body);
    let mut level = given.level(NEWEST);
    Arc::make_mut(&mut level.plugins).remove("basic-auth");
    let written = given.written_at("basicauth_credentials", credential, &level);
    assert_eq!(written.findings[0].name, None);
    assert!(!format!("{written:?}").contains("\"al\""));
}

#[test]
fn item_38_a_missing_plugin_withholds_until_it_is_disabled() {
    let mut given = Given::default();
    let plugin = given.put("plugins", json!({"name": "key-auth", "config": {}}));
    let mut level = given.level(NEWEST);
    Arc::make_mut(&mut level.plugins).remove("key-auth");
    let written = given.written_at("plugins", plugin, &level);
    assert!(is_withheld(&written, Incompatibility::PluginSet));
    given.put_at(
        "plugins",
        plugin,
        json!({"name": "key-auth", "enabled": false, "config": {}}),
    );
    assert_eq!(given.written_at("plugins", plugin, &level).findings, []);
}

#[test]
fn item_44_the_workspace_says_when_it_was_changed_only_since_3_3() {
    for release in Release::all().map(Release::name) {
        let workspace = &preamble_of(&Given::default(), release)["workspaces"][0];
        let known = Release::named(release) >= Release::named("3.3");
        assert_eq!(workspace.get("updated_at").is_some(), known, "{release}");
    }
}

#[test]
fn a_plugin_that_isnt_kongs_goes_to_instances_that_have_it_and_its_schema_to_none() {
    let mut given = Given::default();
    let fields = json!([{"config": {"type": "record", "fields": [
        {"greeting": {"type": "string", "default": "hi"}}, {"word": {"type": "string"}}]}}]);
    let definition = json!({"name": "hello", "fields": fields});
    let body = json!({"name": "hello", "lua_schema": "its text", "definition": definition});
    let schema = given.put("plugin_schemas", body);
    let plugin = given.put("plugins", json!({"name": "hello", "config": {"greeting": null}}));
    for release in Release::all().map(Release::name) {
        let written = given.written("plugin_schemas", schema, release);
        assert_eq!((written.text, written.findings), (None, vec![]), "{release}");
        let config = &given.sent("plugins", plugin, release)["config"];
        assert_eq!(config, &json!({"greeting": null}), "{release}");
    }
    let described = [(kind_named("plugins"), plugin)];
    assert_eq!(
        affected(&given.group, kind_named("plugin_schemas"), schema),
        described
    );
    let mut level = given.level(NEWEST);
    Arc::make_mut(&mut level.plugins).remove("hello");
    let written = given.written_at("plugins", plugin, &level);
    assert!(is_withheld(&written, Incompatibility::PluginSet));
}
