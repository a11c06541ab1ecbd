//! Items 13 to 24: what is said over v1.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::data_plane::configuration::{self, HASHES, NO_HASH};
use tests::data_plane::websocket::{FrameError, Opcode};
use tests::data_plane::wire::Wire;
use tests::data_plane::{DataPlane, Order, Settings, tls};
use tests::eventually::eventually;
use tokio::task::JoinSet;

use crate::world::{World, content, versions};

/// Far longer than anything that is waited for in one read.
const PATIENCE: Duration = Duration::from_secs(60);

/// An upgraded connection on which nothing was said yet.
async fn upgraded(settings: &Settings) -> Wire {
    let connector = tls::connector(&settings.identity, settings.tls_versions);
    let mut wire = Wire::open(settings, &connector)
        .await
        .expect("the handshake succeeds");
    let head = wire
        .upgrade(settings, &settings.target("/v1/outlet"), None)
        .await
        .expect("it is answered");
    assert_eq!(head.status(), 101);
    wire
}

/// The next configuration on a bare connection.
async fn configuration(wire: &mut Wire) -> Value {
    loop {
        let frame = wire
            .read_patiently(PATIENCE)
            .await
            .expect("a configuration comes");
        if frame.opcode == Opcode::Binary {
            return configuration::inflate(&frame.payload).expect("a configuration can be inflated");
        }
    }
}

#[tokio::test]
async fn item_13_basic_info_may_have_the_keys_of_2_8_or_those_of_3_10() {
    let world = World::begin().await;
    for version in ["2.8.5", "3.10.0"] {
        let mut settings = world.settings(version);
        settings.labels.insert("region".to_owned(), "eu".to_owned());
        let node = DataPlane::start(settings);
        node.applied().await;
        let record = world
            .listed(&node, "in_sync", |record| record["status"] == "in_sync")
            .await;
        let labels = if version == "2.8.5" {
            json!({})
        } else {
            json!({ "region": "eu" })
        };
        assert_eq!(record["labels"], labels);
        content(&node);
    }
}

#[tokio::test]
async fn item_13_who_does_not_introduce_itself_is_shown_the_door() {
    let world = World::begin().await;
    let settings = world.settings("3.9.1");
    let mut wire = upgraded(&settings).await;
    let ended = loop {
        match wire.read_patiently(PATIENCE).await {
            Ok(frame) => assert_eq!(frame.opcode, Opcode::Close, "nothing but a farewell is said"),
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, FrameError::Fatal(_)), "{ended:?}");
    for nonsense in ["", "{}", "[]", r#"{"type":"reconfigure"}"#, "\u{1f}"] {
        let mut wire = upgraded(&settings).await;
        wire.write(Opcode::Binary, nonsense.as_bytes()).await.unwrap();
        while let Ok(frame) = wire.read_patiently(PATIENCE).await {
            assert_eq!(
                frame.opcode,
                Opcode::Close,
                "nothing but a farewell is said to {nonsense:?}"
            );
        }
    }
}

#[tokio::test]
async fn item_14_the_first_configuration_comes_before_or_after_the_first_ping() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let settings = world.settings("3.9.1");
    let info = json!({ "type": "basic_info", "plugins": [] }).to_string();
    let mut wire = upgraded(&settings).await;
    wire.write(Opcode::Binary, info.as_bytes()).await.unwrap();
    assert_eq!(
        configuration(&mut wire).await["config_table"]["services"][0]["name"],
        "orders"
    );
    let mut wire = upgraded(&settings).await;
    wire.write(Opcode::Ping, NO_HASH.as_bytes()).await.unwrap();
    wire.write(Opcode::Binary, info.as_bytes()).await.unwrap();
    assert_eq!(
        configuration(&mut wire).await["config_table"]["services"][0]["name"],
        "orders"
    );
}

#[tokio::test]
async fn item_14_a_node_that_comes_back_gets_the_configuration_unless_it_has_it() {
    let world = World::begin().await;
    world.add_service("orders").await;
    for version in versions() {
        let mut node = world.node(&version);
        node.runs_with("services", "orders").await;
        node.restart().await;
        node.sees("is back", |observed| (observed.connections == 2).then_some(()))
            .await;
        world.add_service(&format!("after-{version}")).await;
        node.runs_with("services", &format!("after-{version}")).await;
        // 2.8 has computed another hash of what it has, so it is sent everything once more.
        let expected = if version == "2.8.5" { 3 } else { 2 };
        assert_eq!(node.observed().arrivals, expected, "Kong {version}");
        content(&node);
    }
}

#[tokio::test]
async fn item_15_pings_of_every_kind_are_taken_and_recorded() {
    let world = World::begin().await;
    let node = world.node("3.9.1");
    let hash = node.applied().await.hash;
    // Its own ping of what it has applied is over.
    world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    let long = "0123456789012345678901234567890123456789";
    for payload in ["", NO_HASH, long, "v02_0000000000000000000000000001", &hash] {
        node.order(Order::PingWith(payload.as_bytes().to_vec()));
        // Kong's own control plane has zeros, too, for a node that says nothing.
        let recorded = if payload.is_empty() { NO_HASH } else { payload };
        world
            .listed(&node, recorded, |record| record["config_hash"] == recorded)
            .await;
    }
    assert_eq!(node.observed().connections, 1);
}

#[tokio::test]
async fn item_16_error_reports_are_kept_with_the_node_and_the_connection_too() {
    let world = World::begin().await;
    let node = world.node("3.9.1");
    node.applied().await;
    let report = json!({ "type": "error", "error": {
        "name": "declarative configuration parse failure", "source": "kong.db.declarative.parse_table",
        "message": "declarative config is invalid: {zzz=\"unknown field\"}", "code": 14,
        "config_hash": "00ac8f19cb543d0952bd247a7f99d913", "fields": { "zzz": "unknown field" },
        "flattened_errors": [{ "entity_type": "service", "entity_name": "echo", "errors": [{ "type": "field", "field": "port", "message": "expected an integer" }] }],
    }});
    node.order(Order::Say(report.to_string().into_bytes()));
    let record = world
        .listed(&node, "its error", |record| {
            record["errors"]
                .as_array()
                .is_some_and(|errors| !errors.is_empty())
        })
        .await;
    assert!(record["errors"].to_string().contains("zzz"), "{record}");
    node.ping_now();
    node.sees("is still answered", |observed| {
        (observed.pongs as usize == observed.pings.len()).then_some(())
    })
    .await;
    assert_eq!(node.observed().connections, 1);
}

#[tokio::test]
async fn item_17_a_configuration_is_one_member_with_a_hash_of_32_digits_and_all_six_hashes() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let node = world.node("3.9.1");
    node.applied().await;
    let message = node.observed().message().cloned().unwrap();
    assert_eq!(message["type"], "reconfigure");
    assert!(message["timestamp"].is_number());
    for name in HASHES {
        let hash = message["hashes"][name].as_str().unwrap();
        let digits = hash
            .bytes()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        assert!(hash.len() == 32 && digits, "hashes.{name} is {hash}");
    }
    assert_eq!(message["hashes"]["config"], message["config_hash"]);
    assert_ne!(message["config_hash"], NO_HASH);
    for (name, empty) in [
        ("routes", false),
        ("services", false),
        ("plugins", true),
        ("upstreams", true),
        ("targets", true),
    ] {
        assert_eq!(message["hashes"][name] == NO_HASH, empty, "hashes.{name}");
    }
}

#[tokio::test]
async fn item_18_after_a_restart_an_unchanged_configuration_has_the_same_hash() {
    let mut world = World::begin().await;
    world.add_service("orders").await;
    let nodes = world.every_version();
    let before = world
        .reach(&nodes, "has the service", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    world.server.restart().await;
    for node in &nodes {
        node.sees("is back", |observed| {
            (observed.connections == 2 && observed.connected).then_some(())
        })
        .await;
        node.ping_now();
    }
    let fresh = world.every_version();
    let after = world
        .reach(&fresh, "has the service", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    for ((before, after), node) in before.iter().zip(&after).zip(&nodes) {
        assert_eq!(before.hash, after.hash, "Kong {}", node.settings().version_text);
        let record = world
            .listed(node, "in_sync", |record| record["status"] == "in_sync")
            .await;
        assert_eq!(record["config_hash"], before.hash.as_str());
        assert_eq!(
            node.observed().applications,
            1,
            "Kong {} has reloaded",
            node.settings().version_text
        );
    }
}

#[tokio::test]
async fn item_19_releases_that_are_sent_something_else_get_another_hash() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let limited = json!({ "name": "rate-limiting", "config": { "minute": 5, "policy": "redis", "redis": { "host": "redis.test" } } });
    world.group.post("plugins", &limited).await.expect_status(201);
    let nodes = world.every_version();
    let applied = world
        .reach(&nodes, "has the plugin", |applied| {
            applied.find("plugins", "rate-limiting").is_some()
        })
        .await;
    for (index, one) in applied.iter().enumerate() {
        for other in &applied[..index] {
            assert!(
                one.hash != other.hash || one.table == other.table,
                "equal hashes mean equal tables"
            );
        }
    }
    let hashes: BTreeSet<_> = applied.iter().map(|applied| &applied.hash).collect();
    assert!(
        hashes.len() >= 3,
        "2.8, up to 3.5 and after 3.6 differ: {hashes:?}"
    );
}

#[tokio::test]
async fn item_20_a_change_moves_the_hashes_of_what_it_touches_and_no_others() {
    let world = World::begin().await;
    let file = json!({ "_format_version": "3.0",
        "services": [{ "name": "orders", "host": "up.test", "routes": [{ "name": "orders", "paths": ["/orders"] }],
            "plugins": [{ "name": "key-auth" }] }],
        "upstreams": [{ "name": "up.test", "targets": [{ "target": "10.0.0.1:80", "tags": ["one"] }] }],
        "consumers": [{ "username": "ann" }],
    });
    world.apply(&file).await;
    let node = world.node("3.9.1");
    node.runs_with("consumers", "ann").await;
    let hashes = || node.observed().message().unwrap()["hashes"].clone();
    let plugin = world.group.all("plugins").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let plugin = format!("plugins/{plugin}");
    let changes = [
        (
            "routes/orders",
            json!({ "paths": ["/orders", "/more"] }),
            "routes",
        ),
        ("services/orders", json!({ "retries": 2 }), "services"),
        (
            &plugin,
            json!({ "config": { "hide_credentials": true } }),
            "plugins",
        ),
        ("upstreams/up.test", json!({ "slots": 500 }), "upstreams"),
        ("consumers/ann", json!({ "custom_id": "a-1" }), "config"),
    ];
    for (path, body, touched) in changes {
        let before = hashes();
        let arrivals = node.observed().arrivals;
        world.group.patch(path, &body).await.expect_status(200);
        node.sees(path, |observed| (observed.arrivals > arrivals).then_some(()))
            .await;
        assert_moved(&before, &hashes(), touched, path);
    }
    let before = hashes();
    let arrivals = node.observed().arrivals;
    let target = json!({ "target": "10.0.0.2:80" });
    world
        .group
        .post("upstreams/up.test/targets", &target)
        .await
        .expect_status(201);
    node.sees("a target", |observed| {
        (observed.arrivals > arrivals).then_some(())
    })
    .await;
    assert_moved(&before, &hashes(), "targets", "a target");
    content(&node);
}

fn assert_moved(before: &Value, after: &Value, touched: &str, what: &str) {
    for name in HASHES {
        let moved = before[name] != after[name];
        assert_eq!(
            moved,
            name == "config" || name == touched,
            "{what}: hashes.{name}"
        );
    }
}

#[tokio::test]
async fn item_21_an_empty_group_is_a_configuration_with_its_own_hash() {
    let world = World::begin().await;
    let nodes = world.every_version();
    let applied = world.reach(&nodes, "has a configuration", |_| true).await;
    for (applied, node) in applied.iter().zip(&nodes) {
        let version = &node.settings().version_text;
        assert!(
            applied.find("parameters", "cluster_id").is_some(),
            "Kong {version}"
        );
        assert_ne!(applied.hash, NO_HASH, "Kong {version}");
        world
            .listed(node, "in_sync", |record| record["status"] == "in_sync")
            .await;
        content(node);
    }
    let ids: BTreeSet<String> = applied
        .iter()
        .map(|applied| applied.find("parameters", "cluster_id").unwrap()["value"].to_string())
        .collect();
    assert_eq!(ids.len(), 1, "the cluster's id is one");
}

#[tokio::test]
async fn item_22_a_refused_configuration_shows_and_is_not_sent_again() {
    let world = World::begin().await;
    let mut nodes = Vec::new();
    for version in ["3.5.0", "3.9.1"] {
        let mut settings = world.settings(version);
        settings.dislikes.insert("bad".to_owned());
        nodes.push(DataPlane::start(settings));
    }
    world.reach(&nodes, "has the first one", |_| true).await;
    world.add_service("bad").await;
    for node in &nodes {
        node.sees("has refused it", |observed| observed.refusals.first().cloned())
            .await;
        let version = &node.settings().version_text;
        eventually(&format!("Kong {version} is shown as refusing"), async || {
            node.ping_now();
            let records = world.group.nodes().await;
            let id = node.settings().node_id.to_string();
            let record = records
                .iter()
                .find(|record| record["id"] == id.as_str())
                .cloned()
                .unwrap_or_default();
            if record["status"] == "refused" {
                Ok(())
            } else {
                Err(record.to_string())
            }
        })
        .await;
        assert_eq!(
            node.observed().refusals.len(),
            1,
            "Kong {version} was sent it again"
        );
    }
    // The next change is a new chance.
    world.group.delete("routes/bad").await.expect_status(204);
    world.group.delete("services/bad").await.expect_status(204);
    world.add_service("good").await;
    for node in &nodes {
        node.runs_with("services", "good").await;
        world
            .listed(node, "in_sync", |record| record["status"] == "in_sync")
            .await;
    }
}

#[tokio::test]
async fn item_23_a_burst_is_few_frames_and_the_last_change_always_arrives() {
    let world = World::begin().await;
    let node = world.node("3.9.1");
    node.applied().await;
    let arrivals = node.observed().arrivals;
    let begun = Instant::now();
    for number in 0..60 {
        let body = json!({ "host": format!("change-{number}.test") });
        world.group.put("services/orders", &body).await.expect_status(200);
    }
    node.runs("has the last change", |applied| {
        applied
            .find("services", "orders")
            .is_some_and(|service| service["host"] == "change-59.test")
    })
    .await;
    // One at once, one for each second that has begun, and one for what was on its way.
    let most = begun.elapsed().as_secs() + 3;
    let frames = node.observed().arrivals - arrivals;
    assert!(frames <= most, "{frames} frames, {most} at most");
    content(&node);
}

#[tokio::test]
async fn item_24_nodes_that_connect_while_the_group_changes_get_the_newest() {
    let world = World::begin().await;
    let mut nodes = Vec::new();
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let group = world.group.clone();
        writers.spawn(async move {
            for number in 0..15 {
                let body = json!({ "host": format!("{number}.test") });
                group
                    .put(&format!("services/s-{writer}-{number}"), &body)
                    .await
                    .expect_status(200);
            }
        });
    }
    while !writers.is_empty() {
        nodes.push(world.node(&versions()[nodes.len() % versions().len()]));
        writers.join_next().await.unwrap().unwrap();
    }
    let all = |applied: &tests::data_plane::Configuration| applied.all("services").len() == 60;
    world.reach(&nodes, "has every service", all).await;
    nodes.iter().for_each(content);
}
