//! A timeout means unknown: nobody is told anything before the log has answered definitely.

use std::time::Duration;

use commands::log::Fault;
use domain::gateway::CommandError;

use crate::site::{Desk, Site, create_service, keyed};

#[tokio::test]
async fn an_unknown_append_that_was_stored_is_found_to_be_ours() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::UnknownStored);
    let accepted = desk.create("billing").await.unwrap();
    assert_eq!(accepted.version, 1);
    assert_eq!(site.versions(desk.group).await, [1]);
    assert_eq!(desk.create("orders").await.unwrap().version, 2);
}

#[tokio::test]
async fn an_unknown_append_that_was_lost_is_sent_again() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::UnknownLost);
    log.inject(Fault::UnknownLost);
    assert_eq!(desk.create("billing").await.unwrap().version, 1);
    assert_eq!(site.versions(desk.group).await, [1]);
}

#[tokio::test]
async fn an_unknown_append_that_is_stored_later_is_stored_once() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::UnknownStoredLater);
    log.inject(Fault::UnknownStoredLater);
    assert_eq!(desk.create("billing").await.unwrap().version, 1);
    log.deliver_delayed();
    assert_eq!(site.versions(desk.group).await, [1]);
    assert_eq!(desk.create("orders").await.unwrap().version, 2);
}

#[tokio::test]
async fn a_full_log_after_an_unknown_append_settles_nothing() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::UnknownStored);
    log.inject(Fault::Full);
    log.inject(Fault::Conflict);
    assert_eq!(desk.create("billing").await.unwrap().version, 1);
    assert_eq!(site.versions(desk.group).await, [1]);
}

#[tokio::test]
async fn a_full_log_changes_nothing_and_writing_resumes() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::Full);
    assert!(matches!(
        desk.create("billing").await,
        Err(CommandError::LogFull(_))
    ));
    assert!(site.versions(desk.group).await.is_empty());
    assert_eq!(desk.create("orders").await.unwrap().version, 1);
    assert_eq!(desk.services().await, ["orders"]);
}

#[tokio::test]
async fn what_was_decided_on_changes_that_failed_is_decided_again() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    log.inject(Fault::Full);
    let (first, second) = futures::future::join(desk.put("billing", "/a"), desk.put("billing", "/a")).await;
    assert!(matches!(first, Err(CommandError::LogFull(_))));
    assert!(
        second.unwrap().changed,
        "what it found already so was never stored"
    );
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_a_caller_learns_that_the_outcome_is_unknown_and_later_what_it_is() {
    let (mut site, log) = Site::in_memory();
    let desk = site.desk().await;
    site.deadline = Duration::from_millis(100);
    let hasty = Desk {
        bus: site.bus(),
        ..desk.clone()
    };
    for _ in 0..10 {
        log.inject(Fault::UnknownLost);
    }
    let cause = || keyed("k1", "create billing");
    hasty.bus.group_state(hasty.group).await.unwrap();
    let answer = hasty.send_as(create_service("billing"), cause()).await;
    assert_eq!(answer.unwrap_err(), CommandError::OutcomeUnknown);
    let meanwhile = hasty.create("orders").await;
    assert!(matches!(meanwhile, Err(CommandError::Unavailable(_))));
    let learned = loop {
        match hasty.send_as(create_service("billing"), cause()).await {
            Ok(learned) => break learned,
            Err(CommandError::OutcomeUnknown | CommandError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert!(learned.replayed && !learned.changed);
    assert_eq!(learned.version, 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_never_taken_by_its_deadline_changes_nothing() {
    let (mut site, log) = Site::in_memory();
    site.deadline = Duration::from_millis(100);
    let desk = site.desk().await;
    for _ in 0..10 {
        log.inject(Fault::UnknownLost);
    }
    let (first, second) = futures::future::join(desk.create("billing"), async {
        // The writer has taken the first by the time the log was asked once.
        tokio::time::sleep(Duration::from_millis(1)).await;
        desk.create("orders").await
    })
    .await;
    assert_eq!(first.unwrap_err(), CommandError::OutcomeUnknown);
    assert!(matches!(second, Err(CommandError::Unavailable(_))));
    while desk
        .bus
        .position(desk.boundary())
        .is_none_or(|position| position.0 < 3)
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(desk.services().await, ["billing"]);
}
