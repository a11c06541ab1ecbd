//! Items 52 to 54: the records of nodes.

use serde_json::Value;
use tests::data_plane::{DataPlane, Pair};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

use crate::world::World;

#[tokio::test]
async fn item_52_a_record_is_renewed_by_each_ping_and_expires_after_its_time() {
    let server = ServerProcess::prepare(Log::Sqlite).with_arguments(&["--node-retention", "60"]);
    let world = World::begin_with(server).await;
    let mut node = world.node("3.9.1");
    let hash = node.applied().await.hash;
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["config_hash"], hash.as_str());
    let last = record["last_ping"].as_i64().unwrap();
    eventually("a later ping is a later last_ping", async || {
        node.ping_now();
        let record = world.listed(&node, "a record", |_| true).await;
        if record["last_ping"].as_i64().unwrap_or_default() > last {
            Ok(())
        } else {
            Err(record.to_string())
        }
    })
    .await;
    world.add_service("orders").await;
    let hash = node.runs_with("services", "orders").await.hash;
    world
        .listed(&node, "the new hash", |record| {
            record["config_hash"] == hash.as_str()
        })
        .await;
    node.stop().await;
    eventually("the record has expired", async || {
        let nodes = world.group.nodes().await;
        if nodes.is_empty() {
            Ok(())
        } else {
            Err(format!("{nodes:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn item_53_data_planes_and_status_have_the_shape_of_kongs_admin_api() {
    let world = World::begin().await;
    let node = world.node("3.9.1");
    let hash = node.applied().await.hash;
    world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    let id = node.settings().node_id.to_string();
    let listed = world
        .api()
        .get("/groups/default/admin/clustering/data-planes")
        .await
        .expect_status(200)
        .json();
    assert_eq!(listed["next"], Value::Null);
    let row = &listed["data"][0];
    for (field, expected) in [
        ("id", id.as_str()),
        ("hostname", "kong-3-9"),
        ("version", "3.9.1"),
        ("ip", "127.0.0.1"),
        ("config_hash", &hash),
        ("sync_status", "normal"),
    ] {
        assert_eq!(row[field], expected, "{field}");
    }
    assert!(
        row["last_seen"].is_i64() && row["ttl"].as_i64().is_some_and(|ttl| ttl > 0),
        "{row}"
    );
    assert!(row["labels"].is_object() || row["labels"].is_null(), "{row}");
    let status = world
        .api()
        .get("/groups/default/admin/clustering/status")
        .await
        .expect_status(200);
    assert_eq!(status.header("deprecation"), Some("true"));
    let status = status.json();
    assert_eq!(status[&id]["config_hash"], hash.as_str());
    assert_eq!(
        (&status[&id]["hostname"], &status[&id]["ip"]),
        (&row["hostname"], &row["ip"])
    );
    assert!(status[&id]["last_seen"].is_i64());
}

#[tokio::test]
async fn item_54_a_record_has_the_expiry_of_the_nodes_certificate() {
    let world = World::begin().await;
    let pair = Pair::valid_until("edge-node", 2041);
    world.pin("default", &pair).await;
    let node = DataPlane::start(world.settings_of("3.9.1", &pair));
    node.applied().await;
    let record = world
        .listed(&node, "its certificate", |record| {
            record["cert_details"].is_object()
        })
        .await;
    // The 2nd of January 2041, 0:00.
    assert_eq!(
        record["cert_details"]["expiry_timestamp"], 2_240_697_600_i64,
        "{record}"
    );
}

#[tokio::test]
async fn the_expected_hash_of_a_group_is_that_of_its_newest_nodes() {
    let world = World::begin().await;
    world.add_service("orders").await;
    let node = world.node("3.10.0");
    let hash = node.runs_with("services", "orders").await.hash;
    let expected = world
        .group
        .read("expected-config-hash")
        .await
        .expect_status(200)
        .json();
    assert_eq!(expected["expected_hash"], hash.as_str());
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["expected_config_hash"], hash.as_str());
}

#[tokio::test]
async fn the_nodes_of_a_deleted_group_are_orphans_until_their_certificate_belongs_elsewhere() {
    let world = World::begin().await;
    world.api().create_group("edge").await;
    let pair = Pair::of("edge-node");
    world.pin("edge", &pair).await;
    let node = DataPlane::start(world.settings_of("3.9.1", &pair));
    let hash = node.applied().await.hash;
    world
        .api()
        .delete("/v2/runtime-groups/edge")
        .await
        .expect_status(204);
    node.sees("is let out", |observed| {
        (!observed.connected && !observed.endings.is_empty()).then_some(())
    })
    .await;
    let id = node.settings().node_id.to_string();
    eventually("it is listed as an orphan", async || {
        let orphans = world
            .api()
            .get("/v2/orphaned-nodes")
            .await
            .expect_status(200)
            .text();
        if orphans.contains(&id) {
            Ok(())
        } else {
            Err(orphans)
        }
    })
    .await;
    assert_eq!(node.observed().hash(), Some(hash.as_str()), "it keeps serving");
    world.pin("default", &pair).await;
    world.add_service("orders").await;
    node.runs_with("services", "orders").await;
    world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    let orphans = world
        .api()
        .get("/v2/orphaned-nodes")
        .await
        .expect_status(200)
        .text();
    assert!(!orphans.contains(&id), "another group has adopted it: {orphans}");
}

#[tokio::test]
async fn a_revoked_certificate_closes_its_connections() {
    let world = World::begin().await;
    let pair = Pair::of("edge-node");
    let certificate = world.pin("default", &pair).await;
    let node = DataPlane::start(world.settings_of("3.9.1", &pair));
    let other = world.node("3.9.1");
    node.applied().await;
    other.applied().await;
    let path = format!(
        "/v2/runtime-groups/default/dp-client-certificates/{}",
        certificate["id"].as_str().unwrap()
    );
    world.api().delete(&path).await.expect_status(204);
    node.sees("is let out and stays out", |observed| {
        (!observed.connected && observed.endings.len() >= 2).then_some(())
    })
    .await;
    world.add_service("orders").await;
    other.runs_with("services", "orders").await;
    assert!(
        node.observed()
            .applied
            .unwrap()
            .find("services", "orders")
            .is_none()
    );
    assert_eq!(other.observed().connections, 1);
}
