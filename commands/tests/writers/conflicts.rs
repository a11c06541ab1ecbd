//! Several processes on one log: everybody makes progress and no update is lost.

use std::collections::BTreeMap;

use domain::gateway::{CommandError, Commands};
use domain::group::GroupCommand;
use domain::organization::{NewGroup, OrganizationCommand};
use futures::future;

use crate::site::{Desk, Site, cause, put_service};

#[tokio::test]
async fn a_writer_that_another_process_overtook_catches_up_and_decides_again() {
    let (site, _) = Site::in_memory();
    let (one, other) = (site.desk().await, site.desk().await);
    for round in 0..10 {
        one.create(&format!("one-{round}")).await.unwrap();
        other.create(&format!("other-{round}")).await.unwrap();
    }
    assert_eq!(site.versions(one.group).await, (1..=20).collect::<Vec<_>>());
    assert_eq!(one.services().await, other.services().await);
    assert_eq!(one.services().await.len(), 20);
}

#[tokio::test]
async fn a_refusal_is_decided_on_what_other_processes_have_made_durable() {
    let (site, _) = Site::in_memory();
    let (one, other) = (site.desk().await, site.desk().await);
    other.create("billing").await.unwrap();
    one.create("orders").await.unwrap();
    let refused = other.create("orders").await;
    assert!(matches!(refused, Err(CommandError::Group(_))), "{refused:?}");
    one.put("billing", "/new").await.unwrap();
    assert!(!other.put("billing", "/new").await.unwrap().changed);
    assert!(!one.put("billing", "/new").await.unwrap().changed);
}

#[tokio::test]
async fn a_group_made_by_another_process_is_found() {
    let (site, _) = Site::in_memory();
    let (one, other) = (site.desk().await, site.desk().await);
    let command = OrganizationCommand::CreateGroup(NewGroup {
        name: "payments".to_owned(),
        ..NewGroup::default()
    });
    let made = one.bus.organization(one.organization, command, cause()).await;
    let group = made.unwrap().outcome.group.unwrap().id;
    assert_eq!(other.at(group).create("billing").await.unwrap().version, 1);
}

/// Adds one to a counter: reads the version, and puts the next number only if the group is still at that version.
async fn increment(desk: &Desk) -> u64 {
    loop {
        let durable = desk.bus.group_state(desk.group).await.unwrap();
        let version = durable.state.version;
        let GroupCommand::Operate { operations, .. } = put_service("counter", &format!("/{}", version + 1))
        else {
            unreachable!("a put is an operation")
        };
        let command = GroupCommand::Operate {
            operations,
            expected_version: Some(version),
        };
        match desk.send(command).await {
            Ok(accepted) => {
                assert_eq!(accepted.version, version + 1);
                return accepted.version;
            }
            Err(CommandError::Group(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_callers_of_each_of_two_processes_lose_no_update() {
    let (site, _) = Site::in_memory();
    let desks = [site.desk().await, site.desk().await];
    let callers = (0..32).map(|caller| {
        let desk = &desks[caller % 2];
        async move {
            let mut versions = Vec::new();
            for _ in 0..5 {
                versions.push(increment(desk).await);
            }
            versions
        }
    });
    let answers = future::join_all(callers).await;
    let mut seen = BTreeMap::new();
    for version in answers.into_iter().flatten() {
        *seen.entry(version).or_insert(0) += 1;
    }
    let expected: Vec<_> = (1..=160).collect();
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), expected);
    assert!(
        seen.values().all(|times| *times == 1),
        "a version was given twice"
    );
    assert_eq!(site.versions(desks[0].group).await, expected);
}
