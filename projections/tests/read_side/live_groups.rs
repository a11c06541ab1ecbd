//! Live groups: as the fold has them, at once, and from stored states.

use domain::group::Group;
use domain::{Digest, SnapshotDigest};
use serde_json::json;

use crate::world::{World, delete, entities, group, kind, patch};

fn digest(group: &Group) -> Digest {
    let mut digest = SnapshotDigest::default();
    for entity in group.entities() {
        digest.put(entity.kind, entity.id, &entity.body);
    }
    digest.digest()
}

#[tokio::test]
async fn a_live_group_follows_every_change() {
    let mut world = World::new();
    let service = world
        .post(group(1), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    let running = world.opened().await;
    let live = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    let mut states = live.subscribe();
    assert_eq!(live.current().group.version, 1);
    let other = world
        .post(group(1), "services", json!({"name": "two", "host": "s.test"}))
        .await;
    world.operate(group(1), vec![delete("services", service)]).await;
    let newest = states
        .wait_for(|state| state.group.version == 3)
        .await
        .expect("it lives")
        .clone();
    assert_eq!(entities(&newest.group), entities(&world.newest(group(1))));
    assert_eq!(newest.digest, digest(&world.newest(group(1))));
    assert_eq!(newest.position, world.log.last());
    assert_eq!(newest.changed_since(2), Some(vec![(kind("services"), service)]));
    let mut both = vec![(kind("services"), service), (kind("services"), other)];
    both.sort();
    assert_eq!(newest.changed_since(1), Some(both));
    assert_eq!(
        (newest.changed_since(3), newest.changed_since(4)),
        (Some(vec![]), None)
    );
    for version in 0..=3 {
        assert_eq!(
            newest.digest_at(version),
            Some(digest(&world.group_at(group(1), version))),
            "{version}"
        );
    }
    assert_eq!(newest.digest_at(4), None);
}

#[tokio::test]
async fn a_group_without_a_change_is_empty_and_alive() {
    let mut world = World::new();
    let running = world.opened().await;
    let live = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    assert_eq!((live.current().group.version, live.current().group.len()), (0, 0));
    assert_eq!(live.current().digest_at(0), Some(digest(&Group::default())));
    let mut states = live.subscribe();
    world
        .post(group(1), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    assert!(states.wait_for(|state| state.group.version == 1).await.is_ok());
}

#[tokio::test]
async fn opening_while_changes_pour_in_misses_none() {
    let mut world = World::new();
    let running = world.opened().await;
    let mut handles = Vec::new();
    for number in 0..50 {
        world
            .post(
                group(1),
                "services",
                json!({"name": format!("s{number}"), "host": "s.test"}),
            )
            .await;
        if number % 10 == 0 {
            handles.push(
                running
                    .projections
                    .live()
                    .open(group(1))
                    .await
                    .expect("a live group"),
            );
        }
        tokio::task::yield_now().await;
    }
    for live in handles {
        let mut states = live.subscribe();
        let newest = states
            .wait_for(|state| state.group.version == 50)
            .await
            .expect("it lives")
            .clone();
        assert_eq!(newest.digest, digest(&world.newest(group(1))));
    }
}

#[tokio::test]
async fn only_so_many_changes_are_remembered() {
    let mut world = World::new();
    let service = world
        .post(group(1), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    let running = world.opened().await;
    let early = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    let mut changes = Vec::new();
    for number in 0..9_000 {
        let operations = vec![patch("services", service, json!({"port": 1 + number % 60_000}))];
        let command = domain::group::GroupCommand::Operate {
            operations,
            expected_version: None,
        };
        changes.extend(world.decide(group(1), &command));
        if changes.len() == 1_000 {
            let full = std::mem::take(&mut changes);
            world
                .commit(
                    domain::Boundary::Group(group(1)),
                    &full,
                    crate::world::RECORD_LIMIT,
                )
                .await;
        }
    }
    let mut states = early.subscribe();
    let newest = states
        .wait_for(|state| state.group.version > 9_000)
        .await
        .expect("it lives")
        .clone();
    let version = newest.group.version;
    assert!(newest.changed_since(version - 4_096).is_some());
    assert_eq!(newest.changed_since(1), None);
    assert_eq!(newest.digest_at(version), Some(digest(&world.newest(group(1)))));
    assert_eq!(newest.digest_at(newest.oldest_remembered() - 1), None);
}
