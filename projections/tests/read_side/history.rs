//! Every version stays readable: what the views answer for it is what folding the log up to it gives.

use domain::group::{Group, Operation, Selector};
use domain::{Boundary, EntityId, Version};
use projections::EntityQuery;
use proptest::prelude::*;
use serde_json::json;

use crate::world::{Running, World, create, delete, entities, group, kind, patch, put};

/// Something that happens to one of a few entities.
#[derive(Clone, Debug)]
enum Step {
    Service(u8, u8),
    Rename(u8, u8),
    Retag(u8, u8),
    Drop(u8),
    Route(u8, u8),
    Replace(u8),
}

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        (0..6_u8, 0..3_u8).prop_map(|(id, tag)| Step::Service(id, tag)),
        (0..6_u8, 0..8_u8).prop_map(|(id, name)| Step::Rename(id, name)),
        (0..6_u8, 0..3_u8).prop_map(|(id, tag)| Step::Retag(id, tag)),
        (0..6_u8).prop_map(Step::Drop),
        (0..4_u8, 0..6_u8).prop_map(|(id, service)| Step::Route(id, service)),
        (0..6_u8).prop_map(Step::Replace),
    ];
    prop::collection::vec(prop::collection::vec(step, 1..4), 1..24)
}

fn id(number: u8) -> EntityId {
    EntityId(uuid::Uuid::from_u128(
        0x4000_8000_0000_0000_0000 + u128::from(number),
    ))
}

fn operations(step: &Step) -> Vec<Operation> {
    match step {
        Step::Service(number, tag) => vec![put(
            "services",
            id(*number),
            json!({"name": format!("n{number}"), "host": "a.test", "tags": [format!("t{tag}")]}),
        )],
        Step::Rename(number, name) => vec![patch(
            "services",
            id(*number),
            json!({"name": format!("n{name}")}),
        )],
        Step::Retag(number, tag) => vec![patch(
            "services",
            id(*number),
            json!({"tags": [format!("t{tag}")]}),
        )],
        Step::Drop(number) => vec![delete("services", id(*number))],
        Step::Route(number, service) => vec![put(
            "routes",
            id(*number),
            json!({"paths": [format!("/{number}")], "service": {"id": id(*service)}}),
        )],
        // Within one change an entity goes and comes again.
        Step::Replace(number) => vec![
            delete("services", id(*number)),
            create(
                "services",
                json!({"id": id(*number), "name": format!("r{number}"), "host": "b.test"}),
            ),
        ],
    }
}

async fn happen(world: &mut World, changes: &[Vec<Step>]) {
    for steps in changes {
        world
            .operate(group(1), steps.iter().flat_map(operations).collect())
            .await;
    }
}

/// Everything the views say about a version.
async fn assert_equals_fold(running: &Running, expected: &Group, at: Option<Version>) {
    let views = running.projections.views();
    let configuration = views.configuration(group(1), at).await.expect("a query");
    assert_eq!(configuration, entities(expected), "configuration at {at:?}");
    for kind in [kind("services"), kind("routes")] {
        let query = EntityQuery {
            size: 100,
            at,
            ..EntityQuery::default()
        };
        let page = views.entities(group(1), kind, &query).await.expect("a query");
        assert_eq!(page.entities, expected.of_kind(kind).cloned().collect::<Vec<_>>());
        for number in 0..6 {
            let selector = Selector::Id(id(number));
            let found = views
                .entity(group(1), kind, &selector, None, at)
                .await
                .expect("a query");
            assert_eq!(
                found.as_ref(),
                expected.entity(kind, id(number)),
                "{kind} {number} at {at:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_version_reads_as_folding_up_to_it_gives(changes in steps(), later in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new();
            happen(&mut world, &changes).await;
            // One batch holds everything so far; what follows comes in batches of its own.
            let running = world.opened().await;
            happen(&mut world, &later).await;
            running.caught_up(&world).await;
            let newest = world.newest(group(1));
            assert_equals_fold(&running, &newest, None).await;
            for version in 0..=newest.version {
                assert_equals_fold(&running, &world.group_at(group(1), version), Some(version)).await;
            }
        });
    }
}

#[tokio::test]
async fn a_change_shows_each_entity_before_and_after() {
    let mut world = World::new();
    let service = world
        .post(group(1), "services", json!({"name": "billing", "host": "a.test"}))
        .await;
    world
        .operate(
            group(1),
            vec![patch("services", service, json!({"host": "b.test"}))],
        )
        .await;
    world.operate(group(1), vec![delete("services", service)]).await;
    let running = world.opened().await;
    let views = running.projections.views();
    let boundary = Boundary::Group(group(1));
    let body = |version| {
        world
            .group_at(group(1), version)
            .entity(kind("services"), service)
            .cloned()
    };
    for version in 1..=3 {
        let detail = views
            .change(boundary, version)
            .await
            .expect("a query")
            .expect("a change");
        assert_eq!(detail.events.len(), 1);
        assert_eq!(detail.events[0].before, body(version - 1), "before {version}");
        assert_eq!(detail.events[0].after, body(version), "after {version}");
        assert_eq!(detail.events[0].summary.name.as_deref(), Some("billing"));
        assert_eq!(detail.change.reason, Some(format!("change {version}")));
    }
    let updated = views
        .change(boundary, 2)
        .await
        .expect("a query")
        .expect("a change");
    assert!(updated.events[0].summary.changed.contains(&"host".to_owned()));
    assert_eq!(views.change(boundary, 4).await, Ok(None));
    let history = views
        .entity_history(group(1), kind("services"), service, None, 10)
        .await
        .expect("a query");
    let seen: Vec<_> = history
        .iter()
        .map(|change| (change.change.version, change.after.is_some()))
        .collect();
    assert_eq!(seen, [(3, false), (2, true), (1, true)]);
    let older = views
        .entity_history(group(1), kind("services"), service, Some(2), 10)
        .await
        .expect("a query");
    assert_eq!(older.len(), 1);
}

#[tokio::test]
async fn the_history_is_listed_newest_first_in_pages() {
    let mut world = World::new();
    for number in 0..5 {
        world
            .post(
                group(1),
                "services",
                json!({"name": format!("s{number}"), "host": "a.test"}),
            )
            .await;
    }
    let running = world.opened().await;
    let views = running.projections.views();
    let boundary = Boundary::Group(group(1));
    let first = views.changes(boundary, None, 3).await.expect("a query");
    let rest = views
        .changes(boundary, Some(first[2].version), 10)
        .await
        .expect("a query");
    let versions: Vec<_> = first.iter().chain(&rest).map(|change| change.version).collect();
    assert_eq!(versions, [5, 4, 3, 2, 1]);
    assert_eq!(first[0].events[0].name.as_deref(), Some("s4"));
    assert_eq!(first[0].event_count, 1);
    assert_eq!(views.version_at(group(1), first[0].at).await, Ok(5));
    assert_eq!(
        views
            .version_at(group(1), domain::Timestamp(first[0].at.0 - 1))
            .await,
        Ok(4)
    );
    assert_eq!(views.version_at(group(1), domain::Timestamp(0)).await, Ok(0));
    assert_eq!(views.group_version(group(1)).await, Ok(5));
}

#[tokio::test]
async fn a_deleted_consumer_keeps_its_name_in_the_history() {
    let mut world = World::new();
    let consumer = world
        .post(group(1), "consumers", json!({"username": "ada"}))
        .await;
    world.operate(group(1), vec![delete("consumers", consumer)]).await;
    let running = world.opened().await;
    let changes = running
        .projections
        .views()
        .changes(Boundary::Group(group(1)), None, 10)
        .await
        .expect("a query");
    let names: Vec<_> = changes
        .iter()
        .map(|change| change.events[0].name.as_deref())
        .collect();
    assert_eq!(names, [Some("ada"), Some("ada")]);
}
