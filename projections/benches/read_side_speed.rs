//! How fast the read side is here, over a log in memory: projecting, folding, a page of a list, the way of a change to
//! a live group.
//!
//! `cargo bench -p projections --bench read_side_speed [-- CHANGES]`

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/read_side/log_double.rs"]
mod log_double;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/read_side/surroundings.rs"]
mod surroundings;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/read_side/views_database.rs"]
mod views_database;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/read_side/world.rs"]
mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::group::{Entity, GroupEvent, Selector};
use domain::{Boundary, Change, EntityId, Timestamp};
use projections::EntityQuery;
use serde_json::json;
use uuid::Uuid;
use world::{RECORD_LIMIT, Running, World, change, group, kind};

/// How many changes happen unless told otherwise.
const CHANGES: u64 = 200_000;
/// How many entities they are spread over.
const ENTITIES: u64 = 50_000;
/// How many changes a commit has.
const PER_COMMIT: usize = 64;

#[tokio::main]
async fn main() {
    let changes = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(CHANGES);
    let mut world = World::new();
    happen(&mut world, changes).await;
    let running = project(&world, changes).await;
    pages(&running).await;
    fold(&running, changes).await;
    latency(&mut world, &running, changes).await;
}

/// The n-th change: entities are created first and then updated, round and round.
fn nth(template: &Entity, number: u64) -> Change<GroupEvent> {
    let id = EntityId(Uuid::from_u128(
        0x4000_8000_0000_0000_0000 + u128::from(number % ENTITIES),
    ));
    let mut body = template.map();
    body.insert("id".to_owned(), json!(id));
    body.insert("name".to_owned(), json!(format!("service-{}", number % ENTITIES)));
    body.insert("port".to_owned(), json!(1 + number % 60_000));
    let entity = Arc::new(Entity::from_map(template.kind, id, &body));
    let event = if number < ENTITIES {
        GroupEvent::EntityCreated { entity }
    } else {
        GroupEvent::EntityUpdated {
            entity,
            changed: vec!["port".to_owned()],
        }
    };
    change(
        number + 1,
        Timestamp(1_800_000_000_000 + number.cast_signed()),
        vec![event],
    )
}

async fn template() -> Entity {
    let mut world = World::new();
    let body = json!({"name": "template", "host": "service.test", "tags": ["all"]});
    let id = world.post(group(1), "services", body).await;
    let group = world.newest(group(1));
    group
        .entity(kind("services"), id)
        .expect("it was created")
        .as_ref()
        .clone()
}

async fn happen(world: &mut World, changes: u64) {
    let template = template().await;
    let numbers: Vec<_> = (0..changes).collect();
    for numbers in numbers.chunks(PER_COMMIT) {
        let changes: Vec<_> = numbers.iter().map(|number| nth(&template, *number)).collect();
        world
            .commit(Boundary::Group(group(1)), &changes, RECORD_LIMIT)
            .await;
    }
}

async fn project(world: &World, changes: u64) -> Running {
    let start = Instant::now();
    let running = world.open().await.expect("the read side opens");
    while running.projections.caught_up_to(world.log.last()).await.is_err() {}
    let took = start.elapsed();
    println!(
        "projecting {changes} small changes into an empty database: {:.0} changes/s",
        rate(changes, took)
    );
    running
}

async fn pages(running: &Running) {
    let views = running.projections.views();
    for (what, at) in [("now", None), ("half-way through the past", Some(ENTITIES + 10))] {
        let query = EntityQuery {
            size: 100,
            at,
            after: Some(EntityId(Uuid::from_u128(
                0x4000_8000_0000_0000_0000 + u128::from(ENTITIES / 2),
            ))),
            ..EntityQuery::default()
        };
        let start = Instant::now();
        for _ in 0..50 {
            let page = views
                .entities(group(1), kind("services"), &query)
                .await
                .expect("a query");
            assert!(page.has_more);
        }
        println!(
            "a page of 100 of {ENTITIES} entities, {what}: {:?}",
            start.elapsed() / 50
        );
    }
    let start = Instant::now();
    for _ in 0..200 {
        let key = Selector::Key("service-17".to_owned());
        views
            .entity(group(1), kind("services"), &key, None, None)
            .await
            .expect("a query");
    }
    println!("an entity by name: {:?}", start.elapsed() / 200);
}

async fn fold(running: &Running, changes: u64) {
    let start = Instant::now();
    let live = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    assert_eq!(live.current().group.version, changes);
    println!(
        "folding {changes} changes into a live group: {:?}",
        start.elapsed()
    );
}

async fn latency(world: &mut World, running: &Running, changes: u64) {
    let template = template().await;
    let live = running
        .projections
        .live()
        .open(group(1))
        .await
        .expect("a live group");
    let mut states = live.subscribe();
    let mut times = Vec::new();
    for number in changes..changes + 1_000 {
        let change = nth(&template, number);
        let mut parts = world
            .parts(Boundary::Group(group(1)), &[change], RECORD_LIMIT)
            .await;
        let start = Instant::now();
        world.append(&mut parts, 0);
        let arrived = states.wait_for(|state| state.group.version == number + 1).await;
        assert!(arrived.is_ok(), "the group lives");
        times.push(start.elapsed());
        // Projecting it must not disturb the next.
        running
            .projections
            .caught_up_to(world.log.last())
            .await
            .expect("the views catch up");
    }
    times.sort();
    println!("log to live group: p50 {:?}, p99 {:?}", times[500], times[990]);
}

fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
