//! What is accepted is durable, and what isn't changes nothing.

use domain::gateway::CommandError;
use domain::group::{Action, GroupError};
use domain::{GroupId, OrganizationId};
use futures::future;
use serde_json::json;
use uuid::Uuid;

use crate::site::{Site, create_service, delete_service, object, operate, operation};

#[tokio::test]
async fn an_accepted_command_stands_in_the_log() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let accepted = desk.create("billing").await.unwrap();
    assert!(accepted.changed && !accepted.replayed);
    assert_eq!(accepted.version, 1);
    assert!(accepted.outcome.results[0].created);
    let commits = site.commits(desk.boundary()).await;
    assert_eq!(commits.last().unwrap().position, accepted.position);
    assert_eq!(desk.bus.position(desk.boundary()), Some(accepted.position));
}

#[tokio::test]
async fn commands_that_wait_together_share_commits_and_have_versions_without_gaps() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let names: Vec<_> = (0..200).map(|number| format!("service-{number:03}")).collect();
    let answers = future::join_all(names.iter().map(|name| desk.create(name))).await;
    let mut versions: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=200).collect::<Vec<_>>());
    assert_eq!(site.versions(desk.group).await, versions);
    assert!(site.commits(desk.boundary()).await.len() < 20);
    assert_eq!(desk.services().await, names);
}

#[tokio::test]
async fn a_command_is_decided_on_what_the_commands_before_it_in_the_same_commit_did() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let (first, second) = future::join(desk.create("billing"), desk.create("billing")).await;
    assert_eq!(first.unwrap().version, 1);
    assert!(matches!(
        second,
        Err(CommandError::Group(
            GroupError::InOperation { .. } | GroupError::Unique { .. }
        ))
    ));
    assert_eq!(site.versions(desk.group).await, [1]);
}

#[tokio::test]
async fn what_is_already_so_succeeds_without_a_change() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let put = desk.put("billing", "/a").await.unwrap();
    let again = desk.put("billing", "/a").await.unwrap();
    assert!(put.changed && !again.changed && !again.replayed);
    assert_eq!((again.version, again.position), (1, put.position));
    assert_eq!(again.outcome.results[0].id, put.outcome.results[0].id);
    let gone = desk.send(delete_service("nobody")).await.unwrap();
    assert_eq!((gone.changed, gone.version), (false, 1));
    assert_eq!(site.versions(desk.group).await, [1]);
}

#[tokio::test]
async fn a_secret_that_is_stored_hashed_and_sent_again_is_already_so() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let anna = object(json!({"username": "anna"}));
    desk.send(operate(vec![operation("consumers", None, Action::Create(anna))]))
        .await
        .unwrap();
    let put = || {
        let client = object(json!({
            "consumer": {"username": "anna"}, "name": "app", "hash_secret": true, "client_secret": "plain",
        }));
        operate(vec![operation(
            "oauth2_credentials",
            Some("app"),
            Action::Put(client),
        )])
    };

    let first = desk.send(put()).await.unwrap();
    let dry = desk
        .bus
        .dry_run(desk.organization, desk.group, &put())
        .await
        .unwrap();
    let again = desk.send(put()).await.unwrap();

    let stored = first.outcome.results[0].entity.as_ref().unwrap().map();
    let secret = stored["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("$pbkdf2-sha512$"), "{secret}");
    assert!(dry.decision.events.is_empty());
    assert!(first.changed && !again.changed);
}

#[tokio::test]
async fn a_new_process_finds_everything() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.create("billing").await.unwrap();
    desk.create("orders").await.unwrap();
    let later = site.desk().await;
    assert_eq!((later.organization, later.group), (desk.organization, desk.group));
    assert_eq!(later.services().await, ["billing", "orders"]);
    assert_eq!(later.create("search").await.unwrap().version, 3);
}

#[tokio::test]
async fn time_never_runs_backwards() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    site.clock.advance(60);
    let late = desk.create("billing").await.unwrap();
    site.clock.advance(-30);
    let early = desk.create("orders").await.unwrap();
    assert_eq!(early.at, late.at);
}

#[tokio::test]
async fn a_group_that_the_organization_does_not_have_is_refused() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let stranger = desk.at(GroupId(Uuid::from_u128(99)));
    assert_eq!(
        stranger.create("billing").await.unwrap_err(),
        CommandError::NoSuchGroup
    );
    let mut other = desk.clone();
    other.organization = OrganizationId(Uuid::from_u128(98));
    assert_eq!(
        other.create("billing").await.unwrap_err(),
        CommandError::NoSuchGroup
    );
    assert!(site.versions(desk.group).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_tells_what_would_happen_and_stores_nothing() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.create("billing").await.unwrap();
    let run = |command| {
        let desk = &desk;
        async move { desk.bus.dry_run(desk.organization, desk.group, &command).await }
    };
    let would = run(create_service("orders")).await.unwrap();
    assert_eq!((would.version, would.decision.events.len()), (1, 1));
    let refused = run(create_service("billing")).await.unwrap();
    assert!(matches!(refused.refused[..], [(0, GroupError::Unique { .. })]));
    assert_eq!((would.before.len(), would.after.len()), (1, 2));
    assert_eq!(desk.services().await, ["billing"]);
    assert_eq!(site.versions(desk.group).await, [1]);
}
