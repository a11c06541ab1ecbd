//! Items 47 to 51: `/v2/outlet`.

use serde_json::{Value, json};
use tests::data_plane::{DataPlane, Order, Protocol, Settings};

use crate::world::{World, content};

/// The settings of a node with `cluster_rpc`, and with `cluster_rpc_sync` if it is to synchronise.
fn rpc(world: &World, version: &str, sync: bool) -> Settings {
    Settings {
        rpc: true,
        rpc_sync: sync,
        ..world.settings(version)
    }
}

#[tokio::test]
async fn item_47_without_synchronisation_a_node_goes_on_to_v1() {
    let world = World::begin().await;
    world.add_service("orders").await;
    for version in ["3.9.1", "3.10.0"] {
        let node = DataPlane::start(rpc(&world, version, false));
        node.runs_with("services", "orders").await;
        assert_eq!(node.observed().protocol, Some(Protocol::V1), "Kong {version}");
        world.add_service(&format!("after-{version}")).await;
        node.runs_with("services", &format!("after-{version}")).await;
        content(&node);
    }
    assert_eq!(
        world.group.nodes().await.len(),
        2,
        "two connections of a node are one node"
    );
}

#[tokio::test]
async fn item_47_a_3_10_node_with_synchronisation_gets_its_configuration() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let node = DataPlane::start(rpc(&world, "3.10.0", true));
    node.runs_with("services", "orders").await;
    content(&node);
}

#[tokio::test]
async fn item_48_the_protocol_is_named_in_the_answer() {
    let world = World::begin().await;
    let node = DataPlane::start(rpc(&world, "3.10.0", true));
    let answer = node
        .sees("has its answer", |observed| observed.answer.clone())
        .await;
    assert_eq!(answer.header("sec-websocket-protocol"), Some("kong.meta.v1"));
    node.applied().await;
}

#[tokio::test]
async fn item_49_the_request_with_id_0_is_answered_and_notifications_are_not() {
    let world = World::begin().await;
    let node = DataPlane::start(rpc(&world, "3.10.0", true));
    node.applied().await;
    if node.observed().protocol != Some(Protocol::Rpc) {
        return;
    }
    let answers = |id: Value| {
        let heard = node.observed().heard;
        heard
            .iter()
            .filter(|message| message["id"] == id && message["method"].is_null())
            .count()
    };
    assert_eq!(answers(json!(0)), 1);
    let silent = json!({ "jsonrpc": "2.0", "method": "kong.sync.v2.get_delta", "params": [{ "default": { "version": node.observed().hash().unwrap() } }] });
    node.order(Order::Say(silent.to_string().into_bytes()));
    let unknown = json!({ "jsonrpc": "2.0", "id": 77, "method": "kong.nonesuch.v1.nothing", "params": [] });
    node.order(Order::Say(unknown.to_string().into_bytes()));
    let error = node
        .sees("hears of the unknown method", |observed| {
            observed.heard.iter().find(|message| message["id"] == 77).cloned()
        })
        .await;
    assert_eq!(error["error"]["code"], -32601);
    let batch = json!([
        { "jsonrpc": "2.0", "id": 78, "method": "kong.nonesuch.v1.nothing", "params": [] },
        { "jsonrpc": "2.0", "method": "kong.nonesuch.v1.nothing", "params": [] },
        { "jsonrpc": "2.0", "id": 79, "method": "kong.nonesuch.v1.nothing", "params": [] },
    ]);
    node.order(Order::Say(batch.to_string().into_bytes()));
    for id in [78, 79] {
        node.sees("hears of the batch", |observed| {
            observed.heard.iter().find(|message| message["id"] == id).cloned()
        })
        .await;
    }
    assert_eq!(answers(Value::Null), 0, "notifications aren't answered");
}

#[tokio::test]
async fn item_50_changes_arrive_as_deltas_of_a_size_that_depends_on_the_change() {
    let world = World::begin().await;
    let services: Vec<Value> = (0..500)
        .map(|number| json!({ "name": format!("s-{number}"), "host": "s.test", "routes": [{ "name": format!("r-{number}"), "paths": [format!("/{number}")] }] }))
        .collect();
    world
        .apply(&json!({ "_format_version": "3.0", "services": services }))
        .await;
    let node = DataPlane::start(rpc(&world, "3.10.0", true));
    let full = node.runs_with("services", "s-499").await;
    assert_eq!(
        node.observed().protocol,
        Some(Protocol::Rpc),
        "synchronisation is offered to 3.10"
    );
    assert_eq!(node.observed().message().unwrap()["full_sync"], true);
    assert!(full.find("parameters", "cluster_id").is_some());
    let route = full.find("routes", "r-7").unwrap();
    assert_eq!(
        route["service"]["id"],
        full.find("services", "s-7").unwrap()["id"]
    );
    let mut version = full.hash;
    assert!(version.starts_with("v02_") && version.len() == 32, "{version}");
    world
        .group
        .patch("services/s-7", &json!({ "retries": 1 }))
        .await
        .expect_status(200);
    let changed = node
        .runs("has the change", |applied| {
            applied
                .find("services", "s-7")
                .is_some_and(|service| service["retries"] == 1)
        })
        .await;
    let observed = node.observed();
    assert_eq!(observed.message().unwrap()["full_sync"], false);
    let deltas = observed.message().unwrap()["deltas"].as_array().unwrap();
    assert_eq!(deltas.len(), 1, "its route is as it was: {deltas:?}");
    let size = observed.received.as_ref().unwrap().payload.len();
    assert!(size <= 2_000, "{size} bytes for one changed service");
    assert!(changed.hash > version, "versions grow");
    version = changed.hash;
    world.group.delete("routes/r-7").await.expect_status(204);
    let deleted = node
        .runs("has one route less", |applied| {
            applied.find("routes", "r-7").is_none()
        })
        .await;
    assert!(deleted.hash > version, "versions grow");
    assert_eq!(deleted.all("routes").len(), 499);
    for delta in node.observed().message().unwrap()["deltas"].as_array().unwrap() {
        assert!(
            delta["ws_id"].is_string() && delta["version"].is_string(),
            "{delta}"
        );
    }
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(
        (&record["protocol"], &record["config_hash"]),
        (&json!("kong-sync-v2"), &json!(deleted.hash))
    );
    content(&node);
}

#[tokio::test]
async fn item_50_a_node_that_comes_back_gets_what_it_missed_and_nothing_when_it_missed_nothing() {
    let mut world = World::begin().await;
    world.add_service("orders").await;
    let mut node = DataPlane::start(rpc(&world, "3.10.0", true));
    node.runs_with("services", "orders").await;
    assert_eq!(node.observed().protocol, Some(Protocol::Rpc));
    world.server.restart().await;
    node.sees("is back", |observed| {
        (observed.connections == 2 && observed.pongs >= 2).then_some(())
    })
    .await;
    assert_eq!(node.observed().applications, 1, "it missed nothing");
    node.stop().await;
    world.add_service("later").await;
    node.restart().await;
    node.runs_with("services", "later").await;
    assert!(
        node.observed()
            .applied
            .unwrap()
            .find("services", "orders")
            .is_some()
    );
    content(&node);
}

#[tokio::test]
async fn item_50_what_a_node_finds_wrong_with_deltas_shows_at_once() {
    let world = World::begin().await;
    let mut settings = rpc(&world, "3.10.0", true);
    settings.dislikes.insert("bad".to_owned());
    let node = DataPlane::start(settings);
    node.applied().await;
    assert_eq!(node.observed().protocol, Some(Protocol::Rpc));
    world.add_service("bad").await;
    let record = world
        .listed(&node, "refused", |record| record["status"] == "refused")
        .await;
    assert!(
        record["errors"].to_string().contains("the router can't be built"),
        "{record}"
    );
    world.group.delete("routes/bad").await.expect_status(204);
    world.group.delete("services/bad").await.expect_status(204);
    world.add_service("good").await;
    node.runs_with("services", "good").await;
    world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
}

#[tokio::test]
async fn item_51_synchronisation_is_never_offered_to_3_9() {
    let world = World::begin().await;
    let node = DataPlane::start(rpc(&world, "3.9.1", true));
    let ended = node
        .sees("has given up", |observed| observed.endings.first().cloned())
        .await;
    assert_eq!(ended, "the control plane doesn't offer kong.sync.v2");
    assert!(node.observed().applied.is_none());
}
