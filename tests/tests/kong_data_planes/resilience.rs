//! Items 55 and 56: what outlives whom.

use std::time::Duration;

use tests::data_plane::DataPlane;

use crate::world::{World, content, versions};

/// How many nodes make the herd: `NODES=10000` for the long run.
fn herd() -> usize {
    let asked = std::env::var("NODES").ok();
    asked.and_then(|asked| asked.parse().ok()).unwrap_or(100)
}

#[tokio::test(flavor = "multi_thread")]
async fn item_55_a_herd_returns_after_a_kill_and_nobody_reloads() {
    let mut world = World::begin().await;
    world.add_service("orders").await;
    let nodes: Vec<DataPlane> = (0..herd())
        .map(|number| {
            let mut settings = world.settings(&versions()[number % versions().len()]);
            settings.reconnect = (Duration::from_millis(500), Duration::from_millis(1000));
            DataPlane::start(settings)
        })
        .collect();
    let before = world
        .reach(&nodes, "has the service", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    world.server.restart().await;
    for (node, before) in nodes.iter().zip(before) {
        node.sees("is back", |observed| {
            (observed.connected && observed.connections >= 2).then_some(())
        })
        .await;
        node.ping_now();
        world
            .listed(node, "in_sync", |record| record["status"] == "in_sync")
            .await;
        let observed = node.observed();
        assert_eq!(
            observed.applications,
            1,
            "Kong {} has reloaded",
            node.settings().version_text
        );
        assert_eq!(observed.hash(), Some(before.hash.as_str()));
        content(node);
    }
    world.add_service("later").await;
    world
        .reach(&nodes, "has the next service", |applied| {
            applied.find("services", "later").is_some()
        })
        .await;
}

#[tokio::test]
async fn item_56_a_node_that_restarts_while_the_control_plane_is_away_serves_what_it_has() {
    let mut world = World::begin().await;
    world.add_service("orders").await;
    let mut nodes = world.every_version();
    world
        .reach(&nodes, "has the service", |applied| {
            applied.find("services", "orders").is_some()
        })
        .await;
    world.server.kill9();
    for node in &mut nodes {
        node.restart().await;
        let applied = node.observed().applied.unwrap();
        assert!(applied.find("services", "orders").is_some());
        node.sees("has tried in vain", |observed| {
            (observed.endings.len() >= 2).then_some(())
        })
        .await;
    }
    world.server.start_again();
    world.server.ready().await;
    world.add_service("later").await;
    world
        .reach(&nodes, "has the next service", |applied| {
            applied.find("services", "later").is_some()
        })
        .await;
    nodes.iter().for_each(content);
}

#[tokio::test]
async fn item_56_a_node_that_was_upgraded_in_place_is_sent_what_its_new_version_takes() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let limited = serde_json::json!({ "name": "rate-limiting", "config": { "minute": 5, "policy": "redis", "redis": { "host": "redis.test" } } });
    world.group.post("plugins", &limited).await.expect_status(201);
    let mut node = world.node("3.5.0");
    let old = node.runs_with("plugins", "rate-limiting").await;
    let settings = world.settings("3.6.1");
    node.restart_as(|own| {
        own.version = settings.version;
        own.version_text = settings.version_text;
        own.plugins = settings.plugins;
    })
    .await;
    let new = node
        .runs("runs another configuration", |applied| applied.hash != old.hash)
        .await;
    let config = |applied: &tests::data_plane::Configuration| {
        applied.find("plugins", "rate-limiting").unwrap()["config"].clone()
    };
    assert!(config(&old).get("redis_host").is_some() && config(&new).get("redis").is_some());
    content(&node);
}
