//! Items 25 to 37: the shape of what a node receives.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use domain::Clock;
use serde_json::{Value, json};
use tests::data_plane::{Configuration, DataPlane, KongVersion, Pair};
use tests::eventually::eventually;

use crate::world::{World, content};

/// Services, routes, plugins, upstreams, consumers and credentials.
fn shop() -> Value {
    json!({ "_format_version": "3.0",
        "services": [{ "name": "orders", "host": "orders.test", "tags": ["shop"],
            "routes": [{ "name": "orders", "paths": ["/orders"], "plugins": [{ "name": "key-auth" }] }],
            "plugins": [{ "name": "acl", "config": { "allow": ["staff"] } }] }],
        "upstreams": [{ "name": "up.test", "targets": [{ "target": "10.0.0.1:80" }] }],
        "consumers": [{ "username": "ann",
            "keyauth_credentials": [{ "key": "k-ann" }],
            "acls": [{ "group": "staff" }],
            "basicauth_credentials": [{ "username": "ann", "password": "s3cret" }],
            "plugins": [{ "name": "rate-limiting", "config": { "minute": 5, "policy": "local" } }] }],
        "plugins": [{ "name": "correlation-id" }],
    })
}

/// A node of every version that runs the shop.
async fn shoppers(world: &World) -> (Vec<DataPlane>, Vec<Configuration>) {
    world.apply(&shop()).await;
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has the shop", |applied| {
            applied.find("consumers", "ann").is_some()
        })
        .await;
    nodes.iter().for_each(content);
    (nodes, applied)
}

#[tokio::test]
async fn item_25_each_release_gets_its_format_and_secrets_that_are_hashed_already() {
    let world = World::begin().await;
    let (nodes, applied) = shoppers(&world).await;
    for (node, applied) in nodes.iter().zip(applied) {
        let expected = node.settings().version.format_version();
        assert_eq!(applied.table["_format_version"], expected);
        assert_eq!(applied.table["_transform"], false);
    }
}

/// Every object in a table with its place.
fn objects(table: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    for (collection, entities) in table.as_object().expect("a table is an object") {
        for entity in entities.as_array().into_iter().flatten() {
            found.push((collection.clone(), entity));
        }
    }
    found
}

#[tokio::test]
async fn item_26_nothing_is_sent_that_open_source_kong_does_not_know() {
    let world = World::begin().await;
    let (_, applied) = shoppers(&world).await;
    for applied in applied {
        for (collection, entity) in objects(&applied.table) {
            assert_eq!(entity.get("ws_id"), None, "{collection}");
        }
        for (name, entities) in applied.table.as_object().unwrap() {
            assert_ne!(entities, &json!([]), "{name} is empty");
            assert!(!name.contains("consumer_group") && name != "licenses", "{name}");
        }
        assert_eq!(applied.all("workspaces").len(), 1);
        assert_eq!(applied.all("workspaces")[0]["name"], "default");
    }
}

#[tokio::test]
async fn item_26_a_group_with_consumer_groups_is_withheld_from_open_source_nodes() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let node = world.node("3.9.1");
    node.runs_with("services", "orders").await;
    let gold = json!({ "name": "gold" });
    world
        .group
        .post("consumer_groups", &gold)
        .await
        .expect_status(201);
    world.add_service("later").await;
    let record = world
        .listed(&node, "withheld", |record| record["status"] == "withheld")
        .await;
    assert_eq!(record["sync_status"], "configuration_incompatible");
    assert!(
        record["compatibility_status"]["findings"]
            .to_string()
            .contains("consumer_groups"),
        "{record}"
    );
    assert!(
        node.observed()
            .applied
            .unwrap()
            .find("services", "later")
            .is_none()
    );
    world
        .group
        .delete("consumer_groups/gold")
        .await
        .expect_status(204);
    node.runs_with("services", "later").await;
    content(&node);
}

#[tokio::test]
async fn item_27_foreign_keys_are_ids_that_lead_somewhere() {
    let world = World::begin().await;
    let (_, applied) = shoppers(&world).await;
    for applied in applied {
        let service = applied.find("services", "orders").unwrap()["id"]
            .as_str()
            .unwrap();
        let route = &applied.find("routes", "orders").unwrap();
        assert_eq!(route["service"], service);
        assert_eq!(applied.find("plugins", "key-auth").unwrap()["route"], route["id"]);
        assert_eq!(applied.find("plugins", "acl").unwrap()["service"], service);
        let consumer = applied.find("consumers", "ann").unwrap()["id"].as_str().unwrap();
        for collection in ["keyauth_credentials", "acls", "basicauth_credentials"] {
            assert_eq!(applied.all(collection)[0]["consumer"], consumer);
        }
        assert_eq!(
            applied.all("targets")[0]["upstream"],
            applied.all("upstreams")[0]["id"]
        );
    }
}

#[tokio::test]
async fn item_28_times_are_whole_seconds() {
    let world = World::begin().await;
    let (_, applied) = shoppers(&world).await;
    for applied in applied {
        for (collection, entity) in objects(&applied.table) {
            for field in ["created_at", "updated_at"] {
                let time = &entity[field];
                let fits = time.is_null() || time.is_i64() || (collection == "targets" && time.is_f64());
                assert!(fits, "{collection}.{field} is {time}");
            }
        }
    }
}

#[tokio::test]
async fn item_29_a_null_is_said_only_where_a_default_would_come_back() {
    let world = World::begin().await;
    let service = json!({ "name": "orders", "host": "orders.test", "retries": null, "path": null });
    world.group.post("services", &service).await.expect_status(201);
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has it", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    for applied in applied {
        let service = applied.find("services", "orders").unwrap();
        assert_eq!(service.get("retries"), Some(&Value::Null));
        for field in ["path", "tags", "client_certificate"] {
            assert_eq!(service.get(field), None, "{field}");
        }
        for required in ["host", "port", "protocol"] {
            assert!(!service[required].is_null(), "{required}");
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn item_30_a_password_is_the_sha_1_of_itself_and_the_consumers_id() {
    let world = World::begin().await;
    let (_, applied) = shoppers(&world).await;
    for applied in applied {
        let consumer = applied.find("consumers", "ann").unwrap()["id"].as_str().unwrap();
        let salted = format!("s3cret{consumer}");
        let expected = hexadecimal(digest(&SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes()).as_ref());
        assert_eq!(
            applied.all("basicauth_credentials")[0]["password"],
            expected.as_str()
        );
    }
}

#[tokio::test]
async fn item_31_a_ttl_is_an_expiry_from_3_5_on_and_seconds_before_and_gone_when_it_is_over() {
    let world = World::begin().await;
    world
        .group
        .post("consumers", &json!({ "username": "ann" }))
        .await
        .expect_status(201);
    let nodes = [world.node("3.4.2"), world.node("3.5.0"), world.node("3.9.1")];
    world
        .reach(&nodes, "has the consumer", |applied| {
            applied.find("consumers", "ann").is_some()
        })
        .await;
    let lasting = json!({ "key": "lasting" });
    world
        .group
        .post("consumers/ann/key-auth", &lasting)
        .await
        .expect_status(201);
    let fleeting = json!({ "key": "fleeting", "ttl": 15 });
    world
        .group
        .post("consumers/ann/key-auth", &fleeting)
        .await
        .expect_status(201);
    let applied = world
        .reach(&nodes, "has both keys", |applied| {
            applied.all("keyauth_credentials").len() == 2
        })
        .await;
    for (applied, node) in applied.iter().zip(&nodes) {
        assert!(applied.find("keyauth_credentials", "lasting").unwrap()["ttl"].is_null());
        let fleeting = applied.find("keyauth_credentials", "fleeting").unwrap();
        let (ttl, created) = (
            fleeting["ttl"].as_i64().unwrap(),
            fleeting["created_at"].as_i64().unwrap(),
        );
        if node.settings().version.is_before(3, 5) {
            assert!((1..=15).contains(&ttl), "{ttl} seconds");
        } else {
            assert_eq!(ttl, created + 15);
        }
    }
    world
        .reach(&nodes, "has only one key left", |applied| {
            applied.all("keyauth_credentials").len() == 1
        })
        .await;
    nodes.iter().for_each(content);
}

/// A certificate of an authority that expires so many seconds from now.
fn authority_for(seconds: u64) -> String {
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("no names are no problem");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let now = api::clock::SystemClock.now().0 / 1000;
    let expiry = Duration::from_secs(now.unsigned_abs() + seconds);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + expiry;
    params.self_signed(&key).expect("it can be signed").pem()
}

#[tokio::test]
async fn item_32_an_expired_authority_is_left_out_with_a_finding() {
    let world = World::begin().await;
    let certificate = json!({ "cert": authority_for(6) });
    world
        .group
        .post("ca_certificates", &certificate)
        .await
        .expect_status(201);
    let node = world.node("3.9.1");
    node.runs("has the authority", |applied| {
        applied.all("ca_certificates").len() == 1
    })
    .await;
    let mut number = 0;
    eventually("a change after its expiry leaves it out", async || {
        number += 1;
        let name = format!("s-{number}");
        let service = json!({ "name": name, "host": "orders.test" });
        world.group.post("services", &service).await.expect_status(201);
        let applied = node.runs_with("services", &name).await;
        match applied.all("ca_certificates") {
            [] => Ok(()),
            _ => Err("it is still there"),
        }
    })
    .await;
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert!(
        record["compatibility_status"]
            .to_string()
            .contains("ca_certificates"),
        "{record}"
    );
    content(&node);
}

#[tokio::test]
async fn item_33_authorities_carry_the_digest_of_their_certificate() {
    let world = World::begin().await;
    let pem = authority_for(86_400);
    world
        .group
        .post("ca_certificates", &json!({ "cert": pem }))
        .await
        .expect_status(201);
    let pair = Pair {
        certificate: pem,
        key: String::new(),
    };
    let expected = hexadecimal(digest(&SHA256, &pair.der()).as_ref());
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has it", |applied| {
            applied.all("ca_certificates").len() == 1
        })
        .await;
    for applied in applied {
        assert_eq!(
            applied.all("ca_certificates")[0]["cert_digest"],
            expected.as_str()
        );
    }
}

#[tokio::test]
async fn item_34_what_is_switched_off_is_not_sent_and_neither_is_what_stands_on_it() {
    let world = World::begin().await;
    let (nodes, _) = shoppers(&world).await;
    world
        .group
        .patch("services/orders", &json!({ "enabled": false }))
        .await
        .expect_status(200);
    let off = world
        .reach(&nodes, "has no service", |applied| {
            applied.find("services", "orders").is_none()
        })
        .await;
    for applied in off {
        assert_eq!(applied.all("routes"), [] as [Value; 0]);
        assert!(
            applied.find("plugins", "key-auth").is_none(),
            "the plugin of the route"
        );
        assert!(
            applied.find("plugins", "acl").is_none(),
            "the plugin of the service"
        );
        assert!(
            applied.find("plugins", "correlation-id").is_some(),
            "the global plugin"
        );
    }
    let plugins = world.group.all("plugins").await;
    let correlation = plugins
        .iter()
        .find(|plugin| plugin["name"] == "correlation-id")
        .unwrap();
    let path = format!("plugins/{}", correlation["id"].as_str().unwrap());
    world
        .group
        .patch(&path, &json!({ "enabled": false }))
        .await
        .expect_status(200);
    world
        .reach(&nodes, "has no correlation-id", |applied| {
            applied.find("plugins", "correlation-id").is_none()
        })
        .await;
    world
        .group
        .patch("services/orders", &json!({ "enabled": true }))
        .await
        .expect_status(200);
    let on = world
        .reach(&nodes, "has the service again", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    for applied in on {
        assert!(applied.find("routes", "orders").is_some());
        assert!(applied.find("plugins", "key-auth").is_some());
        assert!(applied.find("plugins", "acl").is_some());
    }
    nodes.iter().for_each(content);
}

#[tokio::test]
async fn item_35_collections_of_plugins_that_a_node_lacks_are_not_sent() {
    let world = World::begin().await;
    let file = json!({ "_format_version": "3.0", "consumers": [{ "username": "ann",
        "acls": [{ "group": "staff" }], "keyauth_credentials": [{ "key": "k-ann" }] }] });
    world.apply(&file).await;
    let mut settings = world.settings("3.9.1");
    settings.plugins.retain(|(name, _)| name != "acl");
    let node = DataPlane::start(settings);
    let applied = node.runs_with("consumers", "ann").await;
    assert_eq!(applied.all("acls"), [] as [Value; 0]);
    assert_eq!(applied.all("keyauth_credentials").len(), 1);
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert!(
        record["compatibility_status"].to_string().contains("acls"),
        "{record}"
    );
    content(&node);
}

#[tokio::test]
async fn item_36_filter_chains_reach_no_node_because_none_can_be_made() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let chain = json!({ "filters": [{ "name": "nonesuch" }] });
    let answer = world.group.post("services/orders/filter-chains", &chain).await;
    assert!(answer.status.is_client_error(), "{}", answer.text());
    let node = world.node("3.9.1");
    let applied = node.runs_with("services", "orders").await;
    assert_eq!(applied.table.get("filter_chains"), None);
}

#[tokio::test]
async fn item_37_a_renamed_field_is_spelled_one_way() {
    let world = World::begin().await;
    let redis = json!({ "host": "redis.test", "port": 6380, "password": "pw" });
    let limited =
        json!({ "name": "rate-limiting", "config": { "minute": 5, "policy": "redis", "redis": redis } });
    world.group.post("plugins", &limited).await.expect_status(201);
    let session = json!({ "name": "session", "config": { "secret": "s", "idling_timeout": 600 } });
    world.group.post("plugins", &session).await.expect_status(201);
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has both", |applied| applied.all("plugins").len() == 2)
        .await;
    for (node, applied) in nodes.iter().zip(applied) {
        let version: KongVersion = node.settings().version;
        let limited = &applied.find("plugins", "rate-limiting").unwrap()["config"];
        let (record, flat) = (
            limited.get("redis").is_some(),
            limited.get("redis_host").is_some(),
        );
        assert_eq!(
            (record, flat),
            (!version.is_before(3, 6), version.is_before(3, 6)),
            "Kong {version}: {limited}"
        );
        let password = if record {
            &limited["redis"]["password"]
        } else {
            &limited["redis_password"]
        };
        assert_eq!(password, "pw");
        let session = &applied.find("plugins", "session").unwrap()["config"];
        let (newer, older) = (session.get("idling_timeout"), session.get("cookie_idletime"));
        let expected = json!(600);
        if version.is_before(3, 2) {
            assert_eq!((newer, older), (None, Some(&expected)), "Kong {version}");
        } else {
            assert_eq!((newer, older), (Some(&expected), None), "Kong {version}");
        }
        content(node);
    }
}
