//! The same request twice is one change.

use domain::gateway::{CommandError, Commands};
use domain::organization::{NewGroup, OrganizationCommand};
use futures::future;

use crate::site::{Site, create_service, keyed, put_service};

#[tokio::test]
async fn the_same_key_with_the_same_request_is_answered_from_the_first_change() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let ask = || desk.send_as(create_service("billing"), keyed("k", "billing"));
    let first = ask().await.unwrap();
    desk.create("orders").await.unwrap();
    let again = ask().await.unwrap();
    assert!(again.replayed && !again.changed);
    assert_eq!((again.version, again.at), (first.version, first.at));
    assert_eq!(again.outcome.results[0].id, first.outcome.results[0].id);
    assert_eq!(site.versions(desk.group).await, [1, 2]);
}

#[tokio::test]
async fn a_replay_does_not_show_what_a_later_change_made_of_the_entity() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let ask = || desk.send_as(put_service("billing", "/a"), keyed("k", "billing"));
    ask().await.unwrap();
    assert!(ask().await.unwrap().outcome.results[0].entity.is_some());
    desk.put("billing", "/b").await.unwrap();
    assert!(ask().await.unwrap().outcome.results[0].entity.is_none());
}

#[tokio::test]
async fn two_at_once_with_the_same_key_are_one_change() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let ask = || desk.send_as(create_service("billing"), keyed("k", "billing"));
    let answers = future::join_all((0..5).map(|_| ask())).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.changed).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.replayed).count(), 4);
    assert_eq!(site.versions(desk.group).await, [1]);
}

#[tokio::test]
async fn the_same_key_with_another_request_is_refused() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.send_as(create_service("billing"), keyed("k", "billing"))
        .await
        .unwrap();
    let other = desk.send_as(create_service("orders"), keyed("k", "orders")).await;
    assert_eq!(
        other.unwrap_err(),
        CommandError::IdempotencyMismatch { version: 1 }
    );
    assert_eq!(desk.services().await, ["billing"]);
}

#[tokio::test]
async fn another_process_remembers_the_keys() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let first = desk
        .send_as(create_service("billing"), keyed("k", "billing"))
        .await
        .unwrap();
    let again = site
        .desk()
        .await
        .send_as(create_service("billing"), keyed("k", "billing"))
        .await
        .unwrap();
    assert!(again.replayed);
    assert_eq!(again.version, first.version);
}

#[tokio::test]
async fn an_organization_answers_a_repeated_request_with_the_group_it_made() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let ask = || {
        let new = NewGroup {
            name: "payments".to_owned(),
            ..NewGroup::default()
        };
        let command = OrganizationCommand::CreateGroup(new);
        desk.bus
            .organization(desk.organization, command, keyed("k", "payments"))
    };
    let first = ask().await.unwrap();
    let again = ask().await.unwrap();
    assert!(first.changed && again.replayed);
    assert_eq!(again.outcome.group.unwrap().id, first.outcome.group.unwrap().id);
}
