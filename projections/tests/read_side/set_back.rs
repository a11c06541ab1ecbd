//! Changes that a clock made which was ahead, and those after it was set right: when each was made, and what was so at a time.

use std::sync::Arc;

use domain::group::GroupCommand;
use domain::{Boundary, EventLog, Keyring, Timestamp};
use projections::Views;
use projections::audit::{Until, replay};
use serde_json::json;

use crate::world::{World, create, group};

/// What the clock said at each change, in seconds.
const CLOCK: [i64; 5] = [10, 20, 1_000, 30, 40];

/// Appends the change with this number.
async fn happen(world: &mut World, number: usize) {
    let name = format!("s{number}");
    let command = GroupCommand::Operate {
        operations: vec![create("services", json!({"name": name, "host": "s.test"}))],
        expected_version: None,
    };
    let mut change = world.decide(group(1), &command).expect("a change");
    let latest = CLOCK[..=number].iter().max().expect("a time");
    change.at = Timestamp(latest * 1_000);
    change.clock = Timestamp(CLOCK[number] * 1_000);
    world
        .commit(Boundary::Group(group(1)), &[change], usize::MAX)
        .await;
}

async fn version_at(views: &Views, seconds: i64) -> u64 {
    let at = views.version_at(group(1), Timestamp(seconds * 1_000)).await;
    at.expect("a query")
}

/// When each change was made, in seconds.
async fn times(views: &Views) -> Vec<i64> {
    let page = views.changes(Boundary::Group(group(1)), None, usize::MAX).await;
    let mut changes = page.expect("a query");
    changes.sort_by_key(|change| change.version);
    changes.iter().map(|change| change.at.seconds()).collect()
}

#[tokio::test]
async fn what_was_so_at_a_time_is_answered_right_after_a_clock_was_ahead() {
    let mut world = World::new();
    for number in 0..3 {
        happen(&mut world, number).await;
    }
    let running = world.opened().await;
    let views = running.projections.views();
    assert_eq!(times(views).await, [10, 20, 1_000]);
    assert_eq!(version_at(views, 500).await, 2);
    for number in 3..5 {
        happen(&mut world, number).await;
        running.caught_up(&world).await;
    }
    // The third was made before the fourth, whatever the clock said.
    let expected = [
        (5, 0),
        (10, 1),
        (20, 2),
        (29, 2),
        (30, 4),
        (39, 4),
        (40, 5),
        (2_000, 5),
    ];
    assert_eq!(times(views).await, [10, 20, 30, 30, 40]);
    for (seconds, version) in expected {
        assert_eq!(version_at(views, seconds).await, version, "at {seconds}");
    }
    running.projections.rebuild(|_, _| {}).await.expect("a rebuild");
    assert_eq!(times(views).await, [10, 20, 30, 30, 40]);
    let (log, keyring) = (Arc::new(world.log.clone()), Arc::<_>::clone(&world.keyring));
    let (log, keyring): (Arc<dyn EventLog>, Arc<dyn Keyring>) = (log, keyring);
    for (seconds, version) in expected {
        let until = Until::Time(Timestamp(seconds * 1_000));
        let replayed = replay(&*log, &keyring, group(1), until).await;
        assert_eq!(replayed.expect("a replay").group.version, version, "at {seconds}");
    }
}
