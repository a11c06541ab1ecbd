//! Changes too big for one record: they count when all parts stand one after another, also across a restart.

use domain::group::GroupCommand;
use domain::{Boundary, Change, group::GroupEvent};
use serde_json::json;

use crate::world::{Parts, World, create, entities, group};

const SMALL_RECORDS: usize = 1_400;

/// A change that takes several small records.
async fn big_change(world: &mut World) -> (Change<GroupEvent>, Parts) {
    let service = |number| {
        create(
            "services",
            json!({"name": format!("s{number}"), "host": format!("h{}.test", number * 7919)}),
        )
    };
    let command = GroupCommand::Operate {
        operations: (0..40).map(service).collect(),
        expected_version: None,
    };
    let change = world.decide(group(1), &command).expect("a change");
    let boundary = Boundary::Group(group(1));
    let parts = world
        .parts(boundary, std::slice::from_ref(&change), SMALL_RECORDS)
        .await;
    assert!(parts.encoded.parts() > 2, "{} parts", parts.encoded.parts());
    (change, parts)
}

#[tokio::test]
async fn a_change_in_parts_appears_with_its_last_part() {
    let mut world = World::new();
    let running = world.opened().await;
    let (_, mut parts) = big_change(&mut world).await;
    for index in 0..parts.encoded.parts() {
        assert_eq!(running.projections.views().group_version(group(1)).await, Ok(0));
        world.append(&mut parts, index);
        running.caught_up(&world).await;
    }
    let configuration = running
        .projections
        .views()
        .configuration(group(1), None)
        .await
        .expect("a query");
    assert_eq!(configuration, entities(&world.newest(group(1))));
}

#[tokio::test]
async fn a_restart_between_parts_loses_nothing() {
    let mut world = World::new();
    let (_, mut parts) = big_change(&mut world).await;
    for index in 0..parts.encoded.parts() {
        let running = world.opened().await;
        world.append(&mut parts, index);
        running.caught_up(&world).await;
        running.kill().await;
    }
    let running = world.opened().await;
    let configuration = running
        .projections
        .views()
        .configuration(group(1), None)
        .await
        .expect("a query");
    assert_eq!(configuration, entities(&world.newest(group(1))));
    let live = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    assert_eq!(entities(&live.current().group), configuration);
}

#[tokio::test]
async fn parts_that_something_came_between_never_count() {
    let mut world = World::new();
    let (_, mut parts) = big_change(&mut world).await;
    world.append(&mut parts, 0);
    let before = world.group_at(group(1), 0);
    let (change, _) = {
        // Another writer, which knows nothing of the unfinished change, wins.
        let mut other = World::new();
        let change = other.decide(
            group(1),
            &GroupCommand::Operate {
                operations: vec![create("services", json!({"name": "winner", "host": "w.test"}))],
                expected_version: None,
            },
        );
        (change.expect("a change"), ())
    };
    world
        .commit(Boundary::Group(group(1)), &[change], crate::world::RECORD_LIMIT)
        .await;
    for index in 1..parts.encoded.parts() {
        world.append(&mut parts, index);
    }
    let running = world.opened().await;
    let configuration = running
        .projections
        .views()
        .configuration(group(1), None)
        .await
        .expect("a query");
    assert_eq!((configuration.len(), before.len()), (1, 0));
    assert_eq!(running.projections.status().halted, None);
}
