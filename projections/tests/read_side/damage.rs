//! A log that lost records, was rewritten or comes from a newer program is noticed and named.

use bytes::Bytes;
use domain::codec::{DecodeError, EventCodec, EventRecord};
use domain::keyring::KeyNotLoaded;
use domain::{Boundary, DataKeys, KeyId, Position};
use projections::ProjectionError;
use serde_json::json;

use crate::world::{World, change, entities, group};

async fn three_changes() -> World {
    let mut world = World::new();
    for name in ["one", "two", "three"] {
        world
            .post(group(1), "services", json!({"name": name, "host": "s.test"}))
            .await;
    }
    world
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_refused() {
    let world = three_changes().await;
    world.opened().await.kill().await;
    let shorter = world.log.cut_after(Position(2));
    let refused = world
        .open_at(world.database().await.location(), shorter)
        .await
        .err();
    let expected = ProjectionError::LostTail {
        checkpoint: Position(3),
        tail: Position(2),
    };
    assert_eq!(refused, Some(expected));
}

#[tokio::test]
async fn a_lost_tail_that_was_written_over_is_refused() {
    let world = three_changes().await;
    world.opened().await.kill().await;
    let other = world.log.cut_after(Position(2));
    other.push(Boundary::Group(group(1)), Bytes::from_static(b"something else"));
    let refused = world
        .open_at(world.database().await.location(), other)
        .await
        .err();
    assert_eq!(
        refused,
        Some(ProjectionError::Rewritten {
            checkpoint: Position(3)
        })
    );
}

#[tokio::test]
async fn a_gap_stops_the_projector_and_reads_go_on() {
    let world = three_changes().await;
    let running = world.opened().await;
    world.log.push_at(
        Position(5),
        Boundary::Group(group(1)),
        Bytes::from_static(b"far away"),
    );
    let reason = running.halted().await;
    assert!(reason.contains("expected position 4, found 5"), "{reason}");
    let configuration = running
        .projections
        .views()
        .configuration(group(1), None)
        .await
        .expect("a query");
    assert_eq!(configuration, entities(&world.newest(group(1))));
    let waiting = running.projections.caught_up(Boundary::Group(group(1))).await;
    let refused = waiting.expect_err("the views will never hold it");
    assert!(refused.reason.contains("found 5"), "{}", refused.reason);
}

#[tokio::test]
async fn a_broken_chain_stops_the_projector() {
    let world = three_changes().await;
    let running = world.opened().await;
    let mut stranger = World::new();
    stranger
        .post(
            group(1),
            "services",
            json!({"name": "stranger", "host": "s.test"}),
        )
        .await;
    let record = domain::EventLog::record_at(&stranger.log, Position(1))
        .await
        .expect("a record")
        .expect("a record");
    world.log.push(record.boundary, record.bytes);
    let reason = running.halted().await;
    assert!(reason.contains("the hash chain is broken"), "{reason}");
}

/// An event that this program doesn't know.
#[derive(Clone)]
struct FromTheFuture;

impl EventCodec for FromTheFuture {
    fn encode(&self, _: Boundary, _: &dyn DataKeys) -> Result<EventRecord, KeyNotLoaded> {
        Ok(EventRecord::new("entity.teleported", 1, &json!({})))
    }

    fn decode(_: &EventRecord, _: Boundary, _: &dyn DataKeys) -> Result<Self, DecodeError> {
        Ok(Self)
    }

    fn owner_keys(&self, _: Boundary) -> Vec<KeyId> {
        Vec::new()
    }
}

#[tokio::test]
async fn an_unknown_event_stops_the_projector_and_is_never_skipped() {
    let mut world = three_changes().await;
    let running = world.opened().await;
    let unknown = change(4, domain::Timestamp(1), vec![FromTheFuture]);
    world
        .commit(Boundary::Group(group(1)), &[unknown], crate::world::RECORD_LIMIT)
        .await;
    let reason = running.halted().await;
    assert!(
        reason.contains("entity.teleported") && reason.contains("position 4"),
        "{reason}"
    );
    assert_eq!(running.projections.status().position, Position(3));
    assert_eq!(running.projections.views().group_version(group(1)).await, Ok(3));
    running.kill().await;
    let again = world.open().await.expect("it opens and serves what it has");
    assert!(again.halted().await.contains("entity.teleported"));
}
