//! The past of a group in which much has happened: states, pages and differences, found by the versions in which rows
//! were valid and not by what came and went since.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::{Entity, EntityChange, Group, Operation, Selector};
use domain::{EntityId, Kind, Version};
use projections::{EntityQuery, TagFilter, Views};
use proptest::prelude::*;
use serde_json::json;

use crate::world::{World, create, delete, entities, group, kind, patch, put};

/// How many services may be there at a time.
const NUMBERS: u8 = 12;
const TAGS: u8 = 3;

/// Something that happens to one of a few services.
#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u8, u8),
    Rename(u8, u8),
    Drop(u8),
    Route(u8, u8),
    Unroute(u8),
    Again(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..NUMBERS, 0..TAGS).prop_map(|(number, tag)| Step::Put(number, tag)),
        3 => (0..NUMBERS, 0..NUMBERS).prop_map(|(number, name)| Step::Rename(number, name)),
        3 => (0..NUMBERS).prop_map(Step::Drop),
        3 => (0..NUMBERS, 0..NUMBERS).prop_map(|(number, service)| Step::Route(number, service)),
        2 => (0..NUMBERS).prop_map(Step::Unroute),
        1 => (0..NUMBERS).prop_map(Step::Again),
    ]
}

/// Enough changes that neighbours are compared entity by entity and versions far apart are not.
fn long_history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 150..300)
}

fn id(number: u8) -> EntityId {
    EntityId(uuid::Uuid::from_u128(
        0x4000_8000_0000_0000_0000 + u128::from(number),
    ))
}

fn name(number: u8) -> String {
    format!("n{number}")
}

fn service(number: u8, tag: u8) -> Operation {
    let body = json!({"name": name(number), "host": "a.test", "tags": [format!("t{tag}")]});
    put("services", id(number), body)
}

fn operations(step: Step) -> Vec<Operation> {
    match step {
        Step::Put(number, tag) => vec![service(number, tag)],
        Step::Rename(number, to) => vec![patch("services", id(number), json!({"name": name(to)}))],
        Step::Drop(number) => vec![delete("services", id(number))],
        Step::Route(number, service) => vec![put(
            "routes",
            id(number),
            json!({"paths": [format!("/{number}")], "service": {"id": id(service)}}),
        )],
        Step::Unroute(number) => vec![delete("routes", id(number))],
        // Within one change it goes and comes again.
        Step::Again(number) => vec![delete("services", id(number)), service(number, 0)],
    }
}

fn sorted(mut entities: Vec<Arc<Entity>>) -> Vec<Arc<Entity>> {
    entities.sort_by_key(|entity| (entity.kind, entity.id));
    entities
}

/// All pages of what a query finds, one after another.
async fn pages(views: &Views, kind: Kind, query: &EntityQuery) -> Vec<Arc<Entity>> {
    let (mut seen, mut query) = (Vec::new(), query.clone());
    loop {
        let page = views.entities(group(1), kind, &query).await.expect("a page");
        query.after = page.entities.last().map(|entity| entity.id);
        seen.extend(page.entities);
        if !page.has_more {
            return seen;
        }
    }
}

async fn assert_configuration_as_folded(views: &Views, expected: &Group, version: Version) {
    let configuration = views.configuration(group(1), Some(version)).await;
    assert_eq!(
        configuration.expect("a query"),
        entities(expected),
        "configuration at {version}"
    );
}

/// Every page of a version, by kind, tag and parent, says what folding the log up to it says.
async fn assert_pages_as_folded(views: &Views, expected: &Group, version: Version) {
    let query = EntityQuery {
        size: 3,
        at: Some(version),
        ..EntityQuery::default()
    };
    let of_kind = |kind| expected.of_kind(kind).cloned().collect::<Vec<_>>();
    for kind in [kind("services"), kind("routes")] {
        assert_eq!(
            pages(views, kind, &query).await,
            of_kind(kind),
            "{kind} at {version}"
        );
    }
    for tag in (0..TAGS).map(|tag| format!("t{tag}")) {
        let has = |entity: &Arc<Entity>| entity.has_tags(std::slice::from_ref(&tag));
        let wanted: Vec<_> = of_kind(kind("services")).into_iter().filter(has).collect();
        let tagged = EntityQuery {
            tags: TagFilter::All(vec![tag.clone()]),
            ..query.clone()
        };
        let found = pages(views, kind("services"), &tagged).await;
        assert_eq!(found, wanted, "{tag} at {version}");
    }
    for number in 0..NUMBERS {
        let parent = (kind("services"), id(number));
        let refers = |entity: &Arc<Entity>| entity.references.iter().any(|to| (to.kind, to.id) == parent);
        let wanted: Vec<_> = of_kind(kind("routes")).into_iter().filter(refers).collect();
        let children = EntityQuery {
            parent: Some(parent),
            ..query.clone()
        };
        let found = pages(views, kind("routes"), &children).await;
        assert_eq!(found, wanted, "routes of {number} at {version}");
    }
}

/// A name that nobody holds now means its holder then.
async fn assert_names_mean_their_holders(views: &Views, newest: &Group, then: &Group, version: Version) {
    let held = |group: &Group, name: &str| {
        let mut services = group.of_kind(kind("services"));
        services
            .find(|service| service.map()["name"] == name)
            .map(|service| service.id)
    };
    for name in (0..NUMBERS).map(name) {
        let key = Selector::Key(name.clone());
        let found = views.entity(group(1), kind("services"), &key, None, Some(version));
        let found = found.await.expect("a query").map(|entity| entity.id);
        let expected = match held(newest, &name) {
            Some(today) => then.entity(kind("services"), today).map(|entity| entity.id),
            None => held(then, &name),
        };
        assert_eq!(found, expected, "{name} at {version}");
    }
}

/// The state that a difference leads to.
fn applied(difference: &[EntityChange], to: &Group) -> Vec<Arc<Entity>> {
    let mut state: BTreeMap<_, _> = entities(to)
        .into_iter()
        .map(|entity| ((entity.kind, entity.id), entity))
        .collect();
    for change in difference {
        let key = (change.kind, change.id);
        assert_eq!(state.get(&key), change.before.as_ref(), "what stood there before");
        match &change.after {
            Some(after) => state.insert(key, Arc::clone(after)),
            None => state.remove(&key),
        };
    }
    state.into_values().collect()
}

fn bodies(entities: &[Arc<Entity>]) -> Vec<(Kind, EntityId, Arc<str>)> {
    let one = |entity: &Arc<Entity>| (entity.kind, entity.id, Arc::clone(&entity.body));
    entities.iter().map(one).collect()
}

async fn assert_difference_leads_from_one_to_the_other(
    views: &Views,
    world: &World,
    from: Version,
    to: Version,
) {
    let difference = views.difference(group(1), from, to).await.expect("a difference");
    let (before, after) = (world.group_at(group(1), from), world.group_at(group(1), to));
    assert_eq!(
        bodies(&applied(&difference, &before)),
        bodies(&entities(&after)),
        "from {from} to {to}"
    );
    let unchanged = |change: &&EntityChange| {
        let body = |entity: &Option<Arc<Entity>>| entity.as_ref().map(|entity| entity.body.clone());
        body(&change.before) == body(&change.after)
    };
    assert_eq!(difference.iter().find(unchanged).map(|change| change.id), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, ..ProptestConfig::default() })]

    #[test]
    fn every_version_of_a_long_history_reads_as_folded_and_differences_lead_to_each_other(
        steps in long_history(),
        pairs in prop::collection::vec((0..300_u64, 0..300_u64), 40),
        near in prop::collection::vec((0..300_u64, 0..12_u64), 20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new();
            for step in &steps {
                world.operate(group(1), operations(*step)).await;
            }
            let running = world.opened().await;
            let views = running.projections.views();
            let newest = world.newest(group(1));
            for version in 0..=newest.version {
                let then = world.group_at(group(1), version);
                assert_configuration_as_folded(views, &then, version).await;
                if version % 5 != 0 {
                    continue;
                }
                assert_pages_as_folded(views, &then, version).await;
                assert_names_mean_their_holders(views, &newest, &then, version).await;
            }
            let near = near.iter().map(|(from, further)| (*from, from + further));
            for (from, to) in pairs.iter().copied().chain(near) {
                let (from, to) = (from.min(newest.version), to.min(newest.version));
                assert_difference_leads_from_one_to_the_other(views, &world, from, to).await;
                assert_difference_leads_from_one_to_the_other(views, &world, to, from).await;
            }
        });
    }
}

#[tokio::test]
async fn a_page_of_the_past_passes_a_thousand_that_are_gone() {
    let mut world = World::new();
    let body = |number: usize| json!({"name": format!("s{number}"), "host": "s.test"});
    let batch = |numbers: std::ops::Range<usize>| {
        numbers
            .map(|number| create("services", body(number)))
            .collect::<Vec<_>>()
    };
    world.operate(group(1), batch(0..1_000)).await;
    let gone: Vec<_> = entities(&world.newest(group(1)))
        .iter()
        .map(|entity| delete("services", entity.id))
        .collect();
    world.operate(group(1), gone).await;
    world.operate(group(1), batch(1_000..1_010)).await;
    world.operate(group(1), batch(1_010..1_060)).await;
    let running = world.opened().await;
    let views = running.projections.views();
    for version in 1..=4 {
        let query = EntityQuery {
            size: 7,
            at: Some(version),
            ..EntityQuery::default()
        };
        let found = pages(views, kind("services"), &query).await;
        let then = world.group_at(group(1), version);
        assert_eq!(found, sorted(entities(&then)), "at {version}");
    }
    for (from, to) in [(0, 1), (1, 2), (1, 4), (4, 1), (3, 4)] {
        assert_difference_leads_from_one_to_the_other(views, &world, from, to).await;
    }
}
