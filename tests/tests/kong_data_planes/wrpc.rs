//! Items 45 and 46: Kong 3.1.

use serde_json::json;
use tests::data_plane::{DataPlane, Protocol};
use tests::eventually::eventually;

use crate::world::{World, content};

#[tokio::test]
async fn item_45_a_3_1_node_negotiates_reports_and_is_synchronised() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let node = world.node("3.1.1");
    node.runs_with("services", "orders").await;
    assert_eq!(node.observed().protocol, Some(Protocol::Wrpc));
    for number in 0..3 {
        let name = format!("s-{number}");
        world.add_service(&name).await;
        node.runs_with("services", &name).await;
    }
    let versions = node.observed().versions;
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    for _ in 0..3 {
        node.ping_now();
    }
    node.sees("has its answers", |observed| (observed.pongs >= 4).then_some(()))
        .await;
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["protocol"], "kong-wrpc");
    assert_eq!(record["config_hash"], node.observed().hash().unwrap());
    content(&node);
}

#[tokio::test]
async fn item_45_a_3_1_node_that_comes_back_is_current_without_a_reload() {
    let mut world = World::begin().await;
    world.add_service("orders").await;
    let node = world.node("3.1.1");
    node.runs_with("services", "orders").await;
    world.server.restart().await;
    node.sees("is back", |observed| {
        (observed.connections == 2 && observed.pongs >= 2).then_some(())
    })
    .await;
    world.add_service("later").await;
    node.runs_with("services", "later").await;
    assert_eq!(node.observed().applications, 2);
}

#[tokio::test]
async fn item_46_accepted_is_not_taken_for_applied() {
    let world = World::begin().await;
    let mut settings = world.settings("3.1.1");
    settings.dislikes.insert("bad".to_owned());
    let node = DataPlane::start(settings);
    let hash = node.applied().await.hash;
    node.ping_now();
    world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    world.add_service("bad").await;
    node.sees("has refused what it accepted", |observed| {
        observed.refusals.first().cloned()
    })
    .await;
    let record = world
        .listed(&node, "not in_sync", |record| record["status"] != "in_sync")
        .await;
    assert_eq!(record["config_hash"], hash.as_str());
    eventually("it is shown as refusing", async || {
        node.ping_now();
        let record = world.listed(&node, "a record", |_| true).await;
        if record["status"] == "refused" {
            Ok(())
        } else {
            Err(record.to_string())
        }
    })
    .await;
    assert_eq!(node.observed().refusals.len(), 1, "it isn't sent again");
    let file = json!({ "_format_version": "3.0", "services": [{ "name": "good", "host": "good.test" }] });
    world
        .group
        .apply(&file.to_string(), "?prune=true")
        .await
        .expect_status(200);
    node.runs_with("services", "good").await;
}
