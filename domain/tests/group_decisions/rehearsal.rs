//! A rehearsal says what a command would do, and changes nothing.

use domain::group::{Action, GroupCommand, GroupError, rehearse};
use domain::{Context, Timestamp};
use serde_json::{Value, json};

use crate::given::{Given, names, object, target, transact};

fn service(name: &str, port: Value) -> (Action, domain::group::Target) {
    let body = json!({"name": name, "host": "a.example", "port": port});
    (Action::Create(object(body)), target("services", None))
}

fn context() -> Context {
    Context::new(Timestamp(1_900_000_000_000), [3; 32])
}

#[test]
fn every_operation_that_would_be_refused_is_named_and_the_others_go_on_without_it() {
    let given = Given::default();
    let route = object(json!({"name": "r", "paths": ["/"], "service": {"name": "two"}}));
    let command = transact(vec![
        service("one", json!(80)),
        service("two", json!("x")),
        service("one", json!(81)),
        (Action::Create(route), target("routes", None)),
        service("three", json!(80)),
    ]);
    let rehearsed = rehearse(&given.group, &command, &mut context()).unwrap();
    let refused: Vec<_> = rehearsed.refused.iter().map(|(number, _)| *number).collect();
    assert_eq!(refused, [1, 2, 3]);
    assert!(matches!(rehearsed.refused[1].1, GroupError::Unique { .. }));
    assert_eq!(
        names(&rehearsed.decision),
        ["created services", "created services"]
    );
    assert_eq!(rehearsed.decision.outcome.results.len(), 2);
    assert_eq!((given.group.len(), rehearsed.outcome.len()), (0, 2));
}

#[test]
fn nothing_of_a_refused_operation_stays() {
    let mut given = Given::default();
    given
        .post("services", json!({"name": "one", "host": "a.example"}))
        .unwrap();
    given
        .post("plugins", json!({"name": "cors", "service": {"name": "one"}}))
        .unwrap();
    let certificate = object(json!({
        "cert": include_str!("../node_certificates/leaf.pem"),
        "key": include_str!("../node_certificates/leaf.key"),
        "snis": ["a.example", "a.example"],
    }));
    // The certificate itself would be fine; its list of names isn't.
    let command = transact(vec![(Action::Create(certificate), target("certificates", None))]);
    let rehearsed = rehearse(&given.group, &command, &mut context()).unwrap();
    assert_eq!(rehearsed.refused.len(), 1);
    assert!(rehearsed.decision.events.is_empty());
    assert_eq!(rehearsed.outcome.len(), given.group.len());
}

#[test]
fn what_is_refused_as_a_whole_is_refused_in_a_rehearsal() {
    let mut given = Given::default();
    let stale = GroupCommand::Operate {
        operations: Vec::new(),
        expected_version: Some(7),
    };
    let refusal = rehearse(&given.group, &stale, &mut context()).unwrap_err();
    assert!(matches!(refusal, GroupError::Version { .. }));
    given.when(GroupCommand::Seal).unwrap();
    let command = transact(vec![service("one", json!(80))]);
    let refusal = rehearse(&given.group, &command, &mut context()).unwrap_err();
    assert_eq!(refusal, GroupError::Sealed);
}

#[test]
fn a_rehearsal_without_refusals_is_what_then_happens() {
    let mut given = Given::default();
    let command = transact(vec![service("one", json!(80)), service("two", json!(81))]);
    let at = Timestamp(1_800_000_000_000 + 1000);
    let mut seed = [0; 32];
    seed[0] = 1;
    let rehearsed = rehearse(&given.group, &command, &mut Context::new(at, seed)).unwrap();
    let done = given.when(command).unwrap();
    assert_eq!(rehearsed.decision.events, done.events);
    let bodies = |group: &domain::group::Group| {
        let entities = group.entities();
        entities
            .map(|entity| (entity.body.clone(), entity.touched))
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies(&rehearsed.outcome), bodies(&given.group));
}
