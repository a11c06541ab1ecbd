//! What holds of undoing whatever was done before: rollback is the old state, a revert is the history without the change.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::{
    Action, Decision, Entity, Group, GroupCommand, GroupError, LeftOutReason, Target, decide, rehearse,
};
use domain::{Context, Digest, EntityId, Kind, SnapshotDigest, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::custom_plugins::{HELLO, schema_body};
use crate::given::{Given, judged, object, target, transact};

/// What is done, to which of a few things, and with which of a few values.
type Step = (u8, u8, u8);

/// How many things of each kind there are.
const THINGS: u8 = 4;

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..16, 0..THINGS, 0_u8..4), 1..most)
}

/// One operation. Names move between things, parents and children come and go, schemas change under their plugins.
fn operation((what, thing, value): Step) -> (Action, Target) {
    let named = |prefix: &str| format!("{prefix}{thing}");
    let put = |body: Value| Action::Put(object(body));
    let patch = |body: Value| Action::Patch(object(body));
    let id = |kind: u128| {
        format!(
            "{}",
            uuid::Uuid::from_u128(1 << 96 | kind << 16 | u128::from(thing) | 8 << 60)
        )
    };
    let service = |action| (action, target("services", Some(&id(1))));
    let consumer = json!({ "username": named("c") });
    match what {
        0 | 1 => service(put(json!({"name": format!("s{value}"), "host": named("h")}))),
        2 => service(patch(json!({"port": 8000 + u32::from(value)}))),
        3 => service(patch(json!({"retries": value, "tags": [named("t")]}))),
        4 => service(patch(json!({"name": format!("s{value}")}))),
        5 => service(Action::Delete),
        6 => {
            let body = json!({"paths": [format!("/{value}")], "service": {"name": format!("s{value}")}});
            (put(body), target("routes", Some(&named("r"))))
        }
        7 => (
            patch(json!({"hosts": [format!("{value}.example")]})),
            target("routes", Some(&named("r"))),
        ),
        8 => (Action::Delete, target("routes", Some(&named("r")))),
        9 => (
            put(json!({"tags": [format!("t{value}")]})),
            target("consumers", Some(&named("c"))),
        ),
        10 => (Action::Delete, target("consumers", Some(&named("c")))),
        11 => (
            put(json!({"consumer": consumer, "key": format!("k{value}")})),
            target("key-auths", Some(&id(2))),
        ),
        12 => {
            let body = json!({"name": "rate-limiting", "config": {"minute": 1 + value}, "route": {"name": named("r")}});
            (put(body), target("plugins", Some(&id(3))))
        }
        13 => {
            let greeting = format!("default = \"hi{}\"", "i".repeat(usize::from(value)));
            let body = schema_body(&HELLO.replace("default = \"hi\"", &greeting));
            (put(body), target("plugin-schemas", Some("hello")))
        }
        14 => (
            put(json!({"name": "hello", "consumer": null, "config": {"times": 1 + value}})),
            target("plugins", Some(&id(4))),
        ),
        _ => match value {
            0 => (Action::Delete, target("plugins", Some(&id(4)))),
            1 => (Action::Delete, target("plugins", Some(&id(3)))),
            2 => (Action::Delete, target("plugin-schemas", Some("hello"))),
            _ => (
                put(json!({"target": format!("{}.example:80", named("t")), "upstream": {"name": "u"}})),
                target("targets", Some(&id(5))),
            ),
        },
    }
}

fn bodies(group: &Group) -> BTreeMap<(Kind, EntityId), Arc<str>> {
    let one = |entity: &Arc<Entity>| ((entity.kind, entity.id), entity.body.clone());
    group.entities().map(one).collect()
}

/// The same without the time of the last write, which undoing is.
fn essence(group: &Group) -> BTreeMap<(Kind, EntityId), Value> {
    let one = |entity: &Arc<Entity>| {
        let mut body = entity.map();
        body.shift_remove("updated_at");
        ((entity.kind, entity.id), Value::Object(body))
    };
    group.entities().map(one).collect()
}

fn digest(group: &Group) -> Digest {
    let mut digest = SnapshotDigest::default();
    for entity in group.entities() {
        digest.put(entity.kind, entity.id, &entity.body);
    }
    digest.digest()
}

/// Everything that is referred to exists, and every unique key finds its only holder.
fn is_whole(group: &Group) -> Result<(), TestCaseError> {
    for entity in group.entities() {
        for to in &entity.references {
            prop_assert!(
                group.entity(to.kind, to.id).is_some(),
                "{entity:?} refers to nothing"
            );
        }
        for key in &entity.unique {
            prop_assert_eq!(
                group.holder(*key),
                Some(entity.id),
                "{:?} has lost a name",
                entity
            );
        }
    }
    Ok(())
}

/// The group after each accepted step, the empty one first, and what each did.
fn history(steps: &[Step]) -> (Given, Vec<Group>, Vec<Decision>) {
    let mut given = Given::default();
    let (mut states, mut decisions) = (vec![Group::default()], Vec::new());
    for step in steps {
        if let Ok(decision) = given.when(transact(vec![operation(*step)]))
            && !decision.events.is_empty()
        {
            states.push(given.group.clone());
            decisions.push(decision);
        }
    }
    (given, states, decisions)
}

fn revert(given: &mut Given, change: &Decision) -> Result<Decision, GroupError> {
    given.when(GroupCommand::Revert {
        version: 1,
        changes: change.outcome.changes.clone(),
        expected_version: None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_rollback_is_the_old_state_byte_for_byte_and_its_digest(steps in steps(40), to in any::<prop::sample::Index>()) {
        let (mut given, states, _) = history(&steps);
        let old = &states[to.index(states.len())];
        let decision = given
            .when(GroupCommand::RollBack {
                from: old.version,
                entities: old.entities().cloned().collect(),
                expected_version: None,
            })
            .expect("a rollback is accepted");
        prop_assert!(decision.outcome.left_out.is_empty());
        prop_assert_eq!(bodies(&given.group), bodies(old));
        prop_assert_eq!(digest(&given.group), digest(old));
        is_whole(&given.group)?;
        // The schemas of plugins are back, too: what could be made then can be made now.
        let plugin = || transact(vec![operation((14, 0, 1))]);
        prop_assert_eq!(given.when(plugin()).is_ok(), Given::at(old.clone()).when(plugin()).is_ok());
    }

    #[test]
    fn a_rollback_leaves_out_what_is_lost_for_ever_and_all_that_refers_to_it(
        steps in steps(40),
        to in any::<prop::sample::Index>(),
        lost in any::<prop::sample::Index>(),
    ) {
        let (mut given, states, _) = history(&steps);
        let old = &states[to.index(states.len())];
        let mut entities: Vec<_> = old.entities().cloned().collect();
        if entities.is_empty() {
            return Ok(());
        }
        let lost = lost.index(entities.len());
        entities[lost] = Arc::new(Entity { erased: true, ..Entity::clone(&entities[lost]) });
        let all = entities.len();
        let command = GroupCommand::RollBack { from: old.version, entities, expected_version: None };
        let decision = given.when(command).expect("a rollback is accepted");
        let left_out = &decision.outcome.left_out;
        prop_assert_eq!(left_out.iter().filter(|one| one.reason == LeftOutReason::Erased).count(), 1);
        prop_assert_eq!(given.group.len() + left_out.len(), all);
        is_whole(&given.group)?;
    }

    #[test]
    fn a_revert_either_keeps_the_configuration_whole_or_changes_nothing_and_says_why(
        steps in steps(40),
        which in any::<prop::sample::Index>(),
    ) {
        let (mut given, _, decisions) = history(&steps);
        if decisions.is_empty() {
            return Ok(());
        }
        let before = given.group.clone();
        match revert(&mut given, &decisions[which.index(decisions.len())]) {
            Ok(decision) => {
                is_whole(&given.group)?;
                if !decision.events.is_empty() {
                    revert(&mut given, &decision).expect("the newest change can be reverted");
                    prop_assert_eq!(bodies(&given.group), bodies(&before));
                }
            }
            Err(GroupError::Conflicts(conflicts)) => {
                prop_assert!(!conflicts.is_empty());
                prop_assert_eq!(bodies(&given.group), bodies(&before));
            }
            Err(other) => prop_assert!(false, "refused for another reason: {}", other),
        }
    }

    #[test]
    fn the_newest_change_reverted_is_the_state_before_it(steps in steps(40)) {
        let (mut given, states, decisions) = history(&steps);
        if let Some(newest) = decisions.last() {
            revert(&mut given, newest).expect("the newest change can be reverted");
            prop_assert_eq!(digest(&given.group), digest(&states[states.len() - 2]));
        }
    }

    #[test]
    fn a_change_reverted_after_unrelated_ones_is_the_history_without_it(
        common in steps(30),
        thing in 0..THINGS,
        change in prop::sample::select(vec![2_u8, 3, 9, 10, 12]),
        value in 0_u8..4,
        later in steps(20),
    ) {
        // Others touch other things, or other fields of the same service.
        let others: Vec<Step> = later
            .into_iter()
            .filter(|(what, other, _)| match (change, what) {
                (2, 3) | (3, 2) => true,
                _ => *other != thing && !matches!(what, 0 | 1 | 4 | 6 | 11 | 13..),
            })
            .collect();
        let run = |with: bool| {
            let (mut given, ..) = history(&common);
            let change = match with {
                true => given.when(transact(vec![operation((change, thing, value))])).ok(),
                false => {
                    given.skip();
                    None
                }
            };
            for step in &others {
                drop(given.when(transact(vec![operation(*step)])));
            }
            (given, change)
        };
        let ((mut with, change), (without, _)) = (run(true), run(false));
        if let Some(change) = change {
            revert(&mut with, &change).expect("nothing related came later");
            prop_assert_eq!(essence(&with.group), essence(&without.group));
            is_whole(&with.group)?;
        }
    }

    #[test]
    fn a_transaction_is_all_or_nothing_and_a_rehearsal_says_which(common in steps(20), batch in steps(12)) {
        let (mut given, ..) = history(&common);
        let command = || transact(batch.iter().map(|step| operation(*step)).collect());
        let at = Timestamp(1_900_000_000_000);
        let context = || Context::new(at, [9; 32]);
        let rehearsed = judged(|known| rehearse(&given.group, &command(), &mut context().knowing(known)));
        let rehearsed = rehearsed.expect("nothing is refused as a whole");
        let decided = judged(|known| decide(&given.group, &command(), &mut context().knowing(known)));
        match decided {
            Ok(decision) => {
                prop_assert!(rehearsed.refused.is_empty());
                prop_assert_eq!(decision.events, rehearsed.decision.events);
            }
            Err(GroupError::InOperation { index, error }) => {
                prop_assert_eq!(&rehearsed.refused[0], &(index, *error));
            }
            Err(error) => prop_assert_eq!(&rehearsed.refused[0].1, &error),
        }
        is_whole(&rehearsed.outcome)?;
        let before = bodies(&given.group);
        if given.when(command()).is_err() {
            prop_assert_eq!(bodies(&given.group), before);
        }
    }
}
