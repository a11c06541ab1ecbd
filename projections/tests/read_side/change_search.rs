//! What a filtered history has is what going through the whole history finds, page by page, each change once.

use std::collections::BTreeSet;

use domain::group::{Group, GroupCommand, GroupEvent, Operation, Selector};
use domain::{Actor, Boundary, Change, EntityId, Kind, TokenId, Version};
use projections::{ChangeFilter, Views};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::world::{RECORD_LIMIT, World, create, delete, group, kind, patch, put};

const ADA: TokenId = TokenId(Uuid::from_u128(0xada));
const REASONS: [&str; 4] = ["Fix the timeout", "timeout: raise", "new route", ""];

/// Who does something to which entity and says what.
#[derive(Clone, Debug)]
struct Deed {
    actor: u8,
    reason: u8,
    steps: Vec<(u8, u8, u8)>,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let steps = prop::collection::vec((0..4_u8, 0..5_u8, 0..3_u8), 1..4);
    let deed = (0..3_u8, 0..4_u8, steps).prop_map(|(actor, reason, steps)| Deed { actor, reason, steps });
    prop::collection::vec(deed, 1..40)
}

fn id(number: u8) -> EntityId {
    EntityId(Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number)))
}

fn operation((what, number, tag): &(u8, u8, u8)) -> Operation {
    let tags = json!([format!("t{tag}")]);
    match what {
        0 => put(
            "services",
            id(*number),
            json!({"name": format!("s{number}"), "host": "a.test", "tags": tags}),
        ),
        1 => patch("services", id(*number), json!({"tags": tags})),
        2 => delete("services", id(*number)),
        _ => put(
            "consumers",
            id(*number),
            json!({"username": format!("c{number}"), "tags": tags}),
        ),
    }
}

fn actor(number: u8) -> Actor {
    match number {
        0 => Actor::System {
            part: "expiry".to_owned(),
        },
        number => Actor::Token {
            id: if number == 1 {
                ADA
            } else {
                TokenId(Uuid::from_u128(7))
            },
            name: format!("n{number}"),
        },
    }
}

/// A change that happened, and what stood there before it.
struct Happened {
    change: Change<GroupEvent>,
    before: Group,
}

async fn happen(world: &mut World, deeds: &[Deed], history: &mut Vec<Happened>) {
    for deed in deeds {
        let before = world.newest(group(1));
        let command = GroupCommand::Operate {
            operations: deed.steps.iter().map(operation).collect(),
            expected_version: None,
        };
        let Some(mut change) = world.decide(group(1), &command) else {
            continue;
        };
        change.actor = actor(deed.actor);
        change.reason = Some(REASONS[deed.reason as usize].to_owned()).filter(|reason| !reason.is_empty());
        world
            .commit(
                Boundary::Group(group(1)),
                std::slice::from_ref(&change),
                RECORD_LIMIT,
            )
            .await;
        history.push(Happened { change, before });
    }
}

/// Kinds, ids and tags of what a change touched: as its events have it, and as it was before.
fn touched(happened: &Happened) -> Vec<(Kind, EntityId, BTreeSet<String>)> {
    let tags = |entity: &domain::group::Entity| {
        entity
            .tags
            .iter()
            .map(|tag| tag.to_string())
            .collect::<BTreeSet<_>>()
    };
    let one = |event: &GroupEvent| match event {
        GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => {
            let mut tags_of_both = tags(entity);
            tags_of_both.extend(
                happened
                    .before
                    .entity(entity.kind, entity.id)
                    .map(|entity| tags(entity))
                    .unwrap_or_default(),
            );
            Some((entity.kind, entity.id, tags_of_both))
        }
        GroupEvent::EntityDeleted { kind, id, .. } => {
            let before = happened.before.entity(*kind, *id);
            Some((*kind, *id, before.map(|entity| tags(entity)).unwrap_or_default()))
        }
        _ => None,
    };
    happened.change.events.iter().filter_map(one).collect()
}

/// Whether going through the history finds this change.
fn satisfies(happened: &Happened, after: &Group, filter: &ChangeFilter) -> bool {
    let change = &happened.change;
    let touched = touched(happened);
    let actor = |wanted: &String| {
        let id = match &change.actor {
            Actor::Token { id, .. } => id.to_string(),
            Actor::System { .. } => String::new(),
        };
        *wanted == change.actor.label() || *wanted == id
    };
    let differs = |kind: &String, id: Uuid| {
        let (kind, id) = (Kind::named(kind).expect("a kind"), EntityId(id));
        let is_touched = touched
            .iter()
            .any(|(known, other, _)| (*known, *other) == (kind, id));
        let (before, after) = (happened.before.entity(kind, id), after.entity(kind, id));
        is_touched && (before.is_some() || after.is_some())
    };
    let has_word = |word: &str| {
        let reason = change.reason.as_deref().unwrap_or_default().to_lowercase();
        reason
            .split(|letter: char| !letter.is_alphanumeric())
            .any(|known| known == word)
    };
    filter.actor.as_ref().is_none_or(actor)
        && filter
            .kind
            .as_ref()
            .is_none_or(|kind| touched.iter().any(|(known, ..)| known.name() == kind))
        && filter
            .touched
            .as_ref()
            .is_none_or(|(kind, id)| differs(kind, *id))
        && filter
            .tags
            .iter()
            .all(|tag| touched.iter().any(|(.., tags)| tags.contains(tag)))
        && filter
            .message
            .as_deref()
            .is_none_or(|text| text.to_lowercase().split(' ').all(has_word))
        && filter.since.is_none_or(|since| change.version >= since)
        && filter.until.is_none_or(|until| change.version <= until)
}

/// Every version that satisfies a filter, read in pages of this size.
async fn read(views: &Views, boundary: Boundary, filter: &ChangeFilter, size: usize) -> Vec<Version> {
    let (mut versions, mut before) = (Vec::new(), None);
    loop {
        let page = views
            .history(boundary, filter, before, size)
            .await
            .expect("a query");
        assert!(page.changes.len() <= size);
        versions.extend(page.changes.iter().map(|change| change.version));
        match page.next {
            Some(next) => {
                assert!(before.is_none_or(|before| next < before), "a page goes back");
                before = Some(next);
            }
            None => return versions,
        }
    }
}

fn filters() -> impl Strategy<Value = ChangeFilter> {
    let actors = prop_oneof![
        Just("system:expiry".to_owned()),
        Just("token:n1".to_owned()),
        Just(ADA.to_string()),
    ];
    let kinds = prop_oneof![Just("services".to_owned()), Just("consumers".to_owned())];
    let touched = (kinds.clone(), 0..5_u8).prop_map(|(kind, number)| (kind, id(number).0));
    let tags = prop::collection::vec((0..4_u8).prop_map(|tag| format!("t{tag}")), 0..3);
    let messages = prop_oneof![
        Just("timeout".to_owned()),
        Just("FIX timeout".to_owned()),
        Just("nobody".to_owned()),
    ];
    let sometimes = prop::option::weighted(0.3, 0..40_u64);
    (
        prop::option::weighted(0.4, actors),
        prop::option::weighted(0.4, kinds),
        prop::option::weighted(0.4, touched),
        tags,
        prop::option::weighted(0.4, messages),
        (sometimes.clone(), sometimes),
    )
        .prop_map(
            |(actor, kind, touched, tags, message, (since, until))| ChangeFilter {
                actor,
                kind,
                touched,
                tags,
                message,
                since,
                until,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_finds_what_going_through_the_history_finds(
        first in deeds(),
        later in deeds(),
        filters in prop::collection::vec(filters(), 8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut world = World::new();
            let mut history = Vec::new();
            happen(&mut world, &first, &mut history).await;
            // One batch holds everything so far; what follows comes in batches of its own.
            let running = world.opened().await;
            happen(&mut world, &later, &mut history).await;
            running.caught_up(&world).await;
            let views = running.projections.views();
            for filter in filters.iter().chain([&ChangeFilter::default()]) {
                let found = history.iter().rev().filter(|happened| {
                    let after = world.group_at(group(1), happened.change.version);
                    satisfies(happened, &after, filter)
                });
                let expected: Vec<_> = found.map(|happened| happened.change.version).collect();
                for size in [1, 3, 100] {
                    let versions = read(views, Boundary::Group(group(1)), filter, size).await;
                    assert_eq!(versions, expected, "{filter:?} in pages of {size}");
                }
            }
        });
    }
}

#[tokio::test]
async fn filters_find_changes_over_many_blocks_of_versions() {
    let mut world = World::new();
    let service = world
        .post(group(1), "services", json!({"name": "s", "host": "h"}))
        .await;
    let mut changes = Vec::new();
    for number in 2..=3_000_u64 {
        let operations = match number % 7 {
            0 => vec![patch("services", service, json!({"port": number}))],
            _ => vec![create("consumers", json!({"username": format!("c{number}")}))],
        };
        let command = GroupCommand::Operate {
            operations,
            expected_version: None,
        };
        let mut change = world.decide(group(1), &command).expect("a change");
        change.reason = (number % 500 == 0).then(|| "milestone".to_owned());
        changes.push(change);
    }
    let boundary = Boundary::Group(group(1));
    for some in changes.chunks(700) {
        world.commit(boundary, some, RECORD_LIMIT).await;
    }
    let running = world.opened().await;
    let views = running.projections.views();
    let of = |wanted: &dyn Fn(u64) -> bool| {
        (2..=3_000)
            .rev()
            .filter(|version| wanted(*version))
            .collect::<Vec<_>>()
    };
    let milestones = ChangeFilter {
        message: Some("milestone".to_owned()),
        ..ChangeFilter::default()
    };
    assert_eq!(
        read(views, boundary, &milestones, 2).await,
        of(&|version| version % 500 == 0)
    );
    let of_service = ChangeFilter {
        touched: Some(("services".to_owned(), service.0)),
        ..ChangeFilter::default()
    };
    let mut expected = of(&|version| version % 7 == 0);
    expected.push(1);
    assert_eq!(read(views, boundary, &of_service, 100).await, expected);
    let both = ChangeFilter {
        message: milestones.message.clone(),
        ..of_service
    };
    assert_eq!(read(views, boundary, &both, 2).await, [0_u64; 0]);
    let kinds = ChangeFilter {
        kind: Some("services".to_owned()),
        ..milestones
    };
    assert_eq!(read(views, boundary, &kinds, 2).await, [0_u64; 0]);
}

#[tokio::test]
async fn a_name_means_its_holder_of_today_or_else_its_last() {
    let mut world = World::new();
    let first = world
        .post(group(1), "services", json!({"name": "orders", "host": "h"}))
        .await;
    world
        .operate(
            group(1),
            vec![patch("services", first, json!({"name": "billing"}))],
        )
        .await;
    let second = world
        .post(group(1), "services", json!({"name": "orders", "host": "h"}))
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    let holder = async |name: &str| {
        let selector = Selector::parse(name);
        views
            .last_holder(group(1), kind("services"), &selector)
            .await
            .expect("a query")
    };
    assert_eq!(holder("orders").await, Some(second));
    assert_eq!(holder("billing").await, Some(first));
    assert_eq!(holder("nobody").await, None);
    world.operate(group(1), vec![delete("services", second)]).await;
    running.caught_up(&world).await;
    assert_eq!(holder("orders").await, Some(second));
}

#[tokio::test]
async fn a_large_change_is_read_in_pages_that_cover_each_entity_once() {
    let mut world = World::new();
    let names = 0..2_500_u32;
    let mut operations: Vec<_> = names
        .map(|number| create("consumers", json!({"username": format!("c{number}")})))
        .collect();
    // The same entity again, far from its first event.
    let twice = Uuid::from_u128(0x4000_8000_0000_0000_0000);
    operations.insert(
        0,
        put("services", EntityId(twice), json!({"name": "s", "host": "h"})),
    );
    operations.push(patch("services", EntityId(twice), json!({"port": 1})));
    assert!(world.operate(group(1), operations).await);
    let running = world.opened().await;
    let views = running.projections.views();
    let boundary = Boundary::Group(group(1));
    let whole = views
        .change(boundary, 1)
        .await
        .expect("a query")
        .expect("a change");
    assert_eq!(
        (whole.events.len(), whole.change.event_count, whole.next),
        (2_502, 2_502, None)
    );
    let mut events = Vec::new();
    let mut next = Some(0);
    while let Some(first) = next {
        let part = views
            .change_from(boundary, 1, first, 400)
            .await
            .expect("a query")
            .expect("a change");
        let things = part.events.iter().filter(|event| !event.summary.repeated).count();
        assert!(things == 400 || part.next.is_none(), "{things}");
        events.extend(part.events);
        next = part.next;
    }
    assert_eq!(events, whole.events);
    let ids: BTreeSet<_> = events
        .iter()
        .filter(|event| !event.summary.repeated)
        .map(|event| event.summary.id)
        .collect();
    assert_eq!(ids.len(), 2_501);
    assert!(events.iter().all(|event| event.summary.name.is_some()));
    let listed = views.changes(boundary, None, 1).await.expect("a query");
    assert_eq!(listed[0].events.len(), 20);
    assert!(listed[0].events.iter().all(|event| event.name.is_some()));
}
