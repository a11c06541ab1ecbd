//! Items 38 to 44: what a node's version and plugins can take.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::data_plane::DataPlane;
use tests::data_plane::fields::Knowledge;
use tests::eventually::eventually;

use crate::world::{World, content, versions};

#[tokio::test]
async fn item_38_a_configured_plugin_that_a_node_lacks_withholds_everything_until_it_is_gone() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let mut settings = world.settings("3.9.1");
    settings.plugins.retain(|(name, _)| name != "rate-limiting");
    let node = DataPlane::start(settings);
    let complete = world.node("3.9.1");
    node.runs_with("services", "orders").await;
    let limited = json!({ "name": "rate-limiting", "config": { "minute": 5 } });
    let made = world
        .group
        .post("plugins", &limited)
        .await
        .expect_status(201)
        .json();
    complete.runs_with("plugins", "rate-limiting").await;
    let record = world
        .listed(&node, "withheld", |record| record["status"] == "withheld")
        .await;
    assert_eq!(record["sync_status"], "plugin_set_incompatible");
    assert!(
        record["compatibility_status"]["findings"]
            .to_string()
            .contains("rate-limiting"),
        "{record}"
    );
    node.ping_now();
    node.sees("is still answered", |observed| {
        (observed.pongs as usize == observed.pings.len()).then_some(())
    })
    .await;
    assert!(
        node.observed()
            .applied
            .unwrap()
            .find("plugins", "rate-limiting")
            .is_none()
    );
    world.add_service("withheld-too").await;
    complete.runs_with("services", "withheld-too").await;
    assert!(
        node.observed()
            .applied
            .unwrap()
            .find("services", "withheld-too")
            .is_none()
    );
    let path = format!("plugins/{}", made["id"].as_str().unwrap());
    world.group.delete(&path).await.expect_status(204);
    node.runs_with("services", "withheld-too").await;
    assert_eq!(node.observed().connections, 1, "without a new connection");
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["sync_status"], "normal");
    content(&node);
}

#[tokio::test]
async fn item_38_a_plugin_that_is_switched_off_is_nothing_that_a_node_can_lack() {
    let world = World::begin().await;
    let limited = json!({ "name": "rate-limiting", "enabled": false, "config": { "minute": 5 } });
    world.group.post("plugins", &limited).await.expect_status(201);
    world.add_service("orders").await;
    let mut settings = world.settings("3.9.1");
    settings.plugins.retain(|(name, _)| name != "rate-limiting");
    DataPlane::start(settings).runs_with("services", "orders").await;
}

#[tokio::test]
async fn item_38_wait_fails_at_once_while_the_configuration_is_withheld() {
    let world = World::begin().await;
    let mut settings = world.settings("3.9.1");
    settings.plugins.retain(|(name, _)| name != "rate-limiting");
    let node = DataPlane::start(settings);
    node.applied().await;
    let limited = json!({ "name": "rate-limiting", "config": { "minute": 5 } });
    world.group.post("plugins", &limited).await.expect_status(201);
    world
        .listed(&node, "withheld", |record| record["status"] == "withheld")
        .await;
    let rollout = world
        .group
        .read("rollout?wait=170s")
        .await
        .expect_status(200)
        .json();
    assert_eq!(rollout["state"], "withheld", "{rollout}");
    assert!(
        rollout["nodes"].to_string().contains("rate-limiting"),
        "the reason is said: {rollout}"
    );
}

/// Everything that decK can write for open-source Kong, and every plugin once.
fn kitchen_sink() -> Value {
    let text = include_str!("../../fixtures/kitchen-sink.yaml");
    serde_saphyr::from_str(text).expect("the fixture is YAML")
}

/// Applied, or withheld with these findings.
async fn outcome(world: &World, node: &DataPlane, marker: &str) -> Result<(), Vec<Value>> {
    eventually("the node has it or is refused it", async || {
        let observed = node.observed();
        if observed
            .applied
            .is_some_and(|applied| applied.find("services", marker).is_some())
        {
            return Ok(Ok(()));
        }
        let id = node.settings().node_id.to_string();
        let records = world.group.nodes().await;
        let record = records
            .iter()
            .find(|record| record["id"] == id.as_str())
            .cloned()
            .unwrap_or_default();
        if record["status"] == "withheld" {
            let findings = record["compatibility_status"]["findings"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            return Ok(Err(findings));
        }
        Err(format!("{record}; refused: {:?}", observed.refusals))
    })
    .await
}

#[tokio::test]
async fn item_39_everything_that_there_is_reaches_each_release_as_it_knows_it_or_is_withheld_for_named_reasons()
 {
    for version in versions() {
        let world = World::begin().await;
        let node = world.node(&version);
        node.applied().await;
        world.apply(&kitchen_sink()).await;
        world
            .group
            .put("services/marker-0", &json!({ "host": "marker.test" }))
            .await
            .expect_status(200);
        let mut removed = BTreeSet::new();
        for round in 1.. {
            let marker = format!("marker-{}", round - 1);
            let Err(findings) = outcome(&world, &node, &marker).await else {
                break;
            };
            let blocking: Vec<&Value> = (findings.iter())
                .filter(|finding| finding["effect"] == "withheld")
                .collect();
            assert!(
                !blocking.is_empty(),
                "Kong {version} is withheld without a reason: {findings:?}"
            );
            for finding in blocking {
                let path = format!(
                    "{}/{}",
                    finding["kind"].as_str().unwrap(),
                    finding["id"].as_str().unwrap()
                );
                assert!(
                    finding["message"]
                        .as_str()
                        .is_some_and(|message| !message.is_empty())
                );
                if removed.insert(path.clone()) {
                    world.group.delete(&path).await.expect_status(204);
                }
            }
            let body = json!({ "host": "marker.test" });
            world
                .group
                .put(&format!("services/marker-{round}"), &body)
                .await
                .expect_status(200);
        }
        let applied = node.observed().applied.unwrap();
        let plugins = applied.all("plugins").len();
        let known = Knowledge::of(node.settings().version).plugins().count();
        assert!(
            plugins + 8 >= known,
            "Kong {version} got {plugins} of {known} plugins; withheld: {removed:?}"
        );
        if version == "3.9.1" || version == "3.10.0" {
            assert_eq!(removed, BTreeSet::new(), "Kong {version} can take everything");
        }
        content(&node);
    }
}

#[tokio::test]
async fn item_40_redis_is_said_in_the_words_of_each_release_whatever_the_policy() {
    let world = World::begin().await;
    let limited = json!({ "name": "rate-limiting", "config": { "minute": 5, "policy": "local", "redis": { "host": "redis.test" } } });
    world.group.post("plugins", &limited).await.expect_status(201);
    let acme = json!({ "name": "acme", "config": {
        "account_email": "a@example.test", "tos_accepted": true, "domains": ["a.example.test"], "storage": "redis",
        "storage_config": { "redis": { "host": "redis.test", "port": 6380, "password": "pw", "ssl": true, "server_name": "r.test", "extra_options": { "namespace": "ns:", "scan_count": 20 } } } } });
    world.group.post("plugins", &acme).await.expect_status(201);
    for version in versions() {
        let node = world.node(&version);
        let before_3_6 = node.settings().version.is_before(3, 6);
        let applied = match outcome_of_plugin(&world, &node, "acme").await {
            Ok(applied) => applied,
            // What a release can't express at all is withheld, never cut: ssl of Redis before 3.1.
            Err(record) => {
                assert!(
                    node.settings().version.is_before(3, 3),
                    "Kong {version}: {record}"
                );
                continue;
            }
        };
        let limited = &applied.find("plugins", "rate-limiting").unwrap()["config"];
        assert_eq!(
            limited.get("redis").is_none(),
            before_3_6,
            "Kong {version}: {limited}"
        );
        let acme = &applied.find("plugins", "acme").unwrap()["config"]["storage_config"]["redis"];
        let (password, name) = if before_3_6 {
            ("auth", "ssl_server_name")
        } else {
            ("password", "server_name")
        };
        assert_eq!(
            (&acme[password], &acme[name]),
            (&json!("pw"), &json!("r.test")),
            "Kong {version}: {acme}"
        );
        content(&node);
    }
}

/// The configuration with a plugin, or the record of a node from which it is withheld.
async fn outcome_of_plugin(
    world: &World,
    node: &DataPlane,
    plugin: &str,
) -> Result<tests::data_plane::Configuration, Value> {
    eventually("the node has it or is refused it", async || {
        let observed = node.observed();
        if let Some(applied) = observed
            .applied
            .filter(|applied| applied.find("plugins", plugin).is_some())
        {
            return Ok(Ok(applied));
        }
        let id = node.settings().node_id.to_string();
        let records = world.group.nodes().await;
        let record = records
            .iter()
            .find(|record| record["id"] == id.as_str())
            .cloned()
            .unwrap_or_default();
        if record["status"] == "withheld" {
            Ok(Err(record))
        } else {
            Err(record.to_string())
        }
    })
    .await
}

#[tokio::test]
async fn item_41_the_protocols_that_ip_restriction_has_by_default_are_left_to_each_release() {
    let world = World::begin().await;
    let restricted = json!({ "name": "ip-restriction", "config": { "allow": ["192.0.2.0/24"] } });
    world.group.post("plugins", &restricted).await.expect_status(201);
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has it", |applied| {
            applied.find("plugins", "ip-restriction").is_some()
        })
        .await;
    for (node, applied) in nodes.iter().zip(applied) {
        let protocols = applied.find("plugins", "ip-restriction").unwrap()["protocols"].to_string();
        if node.settings().version.is_before(3, 4) {
            assert!(
                !protocols.contains("tcp") && !protocols.contains("tls"),
                "{protocols}"
            );
        }
        content(node);
    }
}

#[tokio::test]
async fn item_42_fields_entities_and_algorithms_that_a_release_lacks_are_kept_from_it() {
    let world = World::begin().await;
    let cached = json!({ "name": "proxy-cache", "config": { "strategy": "memory" } });
    world.group.post("plugins", &cached).await.expect_status(201);
    world
        .group
        .post("key-sets", &json!({ "name": "ks" }))
        .await
        .expect_status(201);
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has it", |applied| {
            applied.find("plugins", "proxy-cache").is_some()
        })
        .await;
    for (node, applied) in nodes.iter().zip(applied) {
        let version = node.settings().version;
        let config = &applied.find("plugins", "proxy-cache").unwrap()["config"];
        if version.is_before(3, 5) {
            assert_eq!(config.get("response_headers"), None, "Kong {version}");
        }
        assert_eq!(
            applied.all("key_sets").is_empty(),
            version.is_before(3, 1),
            "Kong {version}"
        );
        content(node);
    }
    world
        .group
        .post("consumers", &json!({ "username": "ann" }))
        .await
        .expect_status(201);
    let secret = json!({ "key": "issuer", "algorithm": "ES512", "rsa_public_key": ES512_KEY });
    world
        .group
        .post("consumers/ann/jwt", &secret)
        .await
        .expect_status(201);
    for node in &nodes {
        let version = node.settings().version;
        if version.is_before(3, 7) {
            let record = world
                .listed(node, "ES512", |record| {
                    record["compatibility_status"].to_string().contains("jwt_secrets")
                })
                .await;
            assert!(
                record["compatibility_status"].to_string().contains("ES512"),
                "Kong {version}: {record}"
            );
        } else {
            node.runs("has the secret", |applied| applied.all("jwt_secrets").len() == 1)
                .await;
        }
        content(node);
    }
}

/// A public key on the curve P-521.
const ES512_KEY: &str = include_str!("../../fixtures/es512-public-key.pem");

#[tokio::test]
async fn item_43_for_2_8_regular_expressions_lose_their_mark_and_what_might_be_one_is_flagged() {
    let world = World::begin().await;
    let file = json!({ "_format_version": "3.0", "services": [{ "name": "orders", "host": "orders.test", "routes": [
        { "name": "regular", "paths": ["~/orders/(?<id>[0-9]+)$"] },
        { "name": "plain", "paths": ["/plain"] },
    ]}], "vaults": [{ "name": "env", "prefix": "my-env", "config": { "prefix": "X_" } }] });
    world.apply(&file).await;
    let (old, new) = (world.node("2.8.5"), world.node("3.9.1"));
    let applied = old.runs_with("routes", "regular").await;
    assert_eq!(
        applied.find("routes", "regular").unwrap()["paths"],
        json!(["/orders/(?<id>[0-9]+)$"])
    );
    for vaults in ["vaults", "vaults_beta"] {
        assert_eq!(applied.table.get(vaults), None);
    }
    let applied = new.runs_with("routes", "regular").await;
    assert_eq!(
        applied.find("routes", "regular").unwrap()["paths"],
        json!(["~/orders/(?<id>[0-9]+)$"])
    );
    assert_eq!(applied.all("vaults").len(), 1);
    let ambiguous = json!({ "name": "ambiguous", "paths": ["/a(b)"] });
    world
        .group
        .post("services/orders/routes", &ambiguous)
        .await
        .expect_status(201);
    new.runs_with("routes", "ambiguous").await;
    let record = world
        .listed(&old, "the ambiguous route", |record| {
            record["compatibility_status"].to_string().contains("ambiguous")
        })
        .await;
    assert!(
        record["compatibility_status"].to_string().contains("routes"),
        "{record}"
    );
    content(&old);
    content(&new);
}

#[tokio::test]
async fn item_44_before_3_3_eight_kinds_have_no_time_of_their_last_change() {
    let world = World::begin().await;
    let file = json!({ "_format_version": "3.0",
        "services": [{ "name": "orders", "host": "orders.test", "routes": [{ "name": "orders", "paths": ["/orders"] }] }],
        "upstreams": [{ "name": "up.test", "targets": [{ "target": "10.0.0.1:80" }] }],
        "consumers": [{ "username": "ann" }], "plugins": [{ "name": "correlation-id" }] });
    world.apply(&file).await;
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has all", |applied| {
            applied.find("consumers", "ann").is_some()
        })
        .await;
    for (node, applied) in nodes.iter().zip(applied) {
        if node.settings().version.is_before(3, 3) {
            for collection in [
                "ca_certificates",
                "certificates",
                "consumers",
                "targets",
                "upstreams",
                "plugins",
                "workspaces",
                "snis",
            ] {
                for entity in applied.all(collection) {
                    assert_eq!(entity.get("updated_at"), None, "{collection}");
                }
            }
        }
        assert!(applied.find("services", "orders").unwrap()["updated_at"].is_i64());
        content(node);
    }
}

#[tokio::test]
async fn a_dry_run_names_the_connected_nodes_that_could_not_express_the_outcome() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let mut settings = world.settings("3.9.1");
    settings.plugins.retain(|(name, _)| name != "rate-limiting");
    let lacking = DataPlane::start(settings);
    let complete = world.node("3.9.1");
    for node in [&lacking, &complete] {
        node.runs_with("services", "orders").await;
    }
    let limited = json!({ "name": "rate-limiting", "config": { "minute": 5 } });
    let operations = json!([{ "method": "POST", "path": "/plugins", "body": limited }]);
    let tried = world.group.change(
        "transactions",
        &json!({ "dry_run": true, "operations": operations }),
    );
    let tried = tried.await.expect_status(200).json();
    let nodes = tried["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{tried}");
    assert_eq!(nodes[0]["id"], lacking.settings().node_id.to_string());
    assert_eq!(nodes[0]["version"], "3.9.1");
    assert!(
        nodes[0]["findings"][0].to_string().contains("rate-limiting"),
        "{tried}"
    );
    let file = json!({ "_format_version": "3.0", "plugins": [limited] });
    let tried = world
        .group
        .apply(&file.to_string(), "?dry_run")
        .await
        .expect_status(200)
        .json();
    assert_eq!(tried["nodes"].as_array().unwrap().len(), 1, "{tried}");
    world.apply(&file).await;
    // What is so already is nothing new.
    let other = json!([{ "method": "PATCH", "path": "/services/orders", "body": { "port": 81 } }]);
    let tried = world
        .group
        .change("transactions", &json!({ "dry_run": true, "operations": other }));
    assert_eq!(tried.await.expect_status(200).json()["nodes"], json!([]));
}
