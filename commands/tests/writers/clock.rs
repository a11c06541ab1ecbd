//! A clock that was ahead for a while and is right again: the order of changes stays, and what has a lifetime counts by the
//! clock and not by the order.

use domain::Kind;
use domain::group::GroupCommand;

use crate::deletion::{delete, is_deleted, new_group};
use crate::erasure::is_purged;
use crate::expiry::{credential_with_ttl, credentials};
use crate::site::{Desk, RETENTION, Site, create_service, keyed, until};

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;

/// What the clock that was ahead leaves behind: the last change of the group says next year.
async fn after_a_clock_was_ahead(site: &Site) -> Desk {
    let desk = site.desk().await;
    desk.create("before").await.unwrap();
    site.clock.advance(YEAR);
    desk.create("ahead").await.unwrap();
    site.clock.advance(-YEAR);
    desk
}

#[tokio::test]
async fn changes_keep_their_order_and_say_what_the_clock_said() {
    let (site, _) = Site::in_memory();
    let desk = after_a_clock_was_ahead(&site).await;
    desk.create("after").await.unwrap();
    let changes = site.changes(desk.group).await;
    let [before, ahead, after] = changes.try_into().expect("three changes");
    assert_eq!((before.at, ahead.at), (before.clock, ahead.clock));
    assert_eq!(ahead.at, before.at.plus_seconds(YEAR));
    assert_eq!(after.at, ahead.at);
    assert_eq!(after.clock, before.clock);
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_ends_when_it_should_whatever_earlier_changes_say() {
    let (site, _) = Site::in_memory();
    let desk = after_a_clock_was_ahead(&site).await;
    desk.send(credential_with_ttl(60)).await.unwrap();
    site.run_reactors(&desk.bus);
    site.clock.advance(59);
    desk.create("nudge").await.unwrap();
    assert_eq!(credentials(&desk).await, 1);
    site.clock.advance(2);
    until(&site, async || credentials(&desk).await == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_life_that_a_clock_began_which_was_ahead_is_counted_anew() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    site.clock.advance(YEAR);
    desk.send(credential_with_ttl(HOUR)).await.unwrap();
    site.clock.advance(-YEAR);
    site.run_reactors(&desk.bus);
    until(&site, async || site.versions(desk.group).await.len() == 2).await;
    let last = site.changes(desk.group).await.pop().unwrap();
    assert_eq!(last.actor.label(), "system:times to live");
    site.clock.advance(HOUR - 1);
    desk.create("nudge").await.unwrap();
    assert_eq!(credentials(&desk).await, 1);
    site.clock.advance(2);
    until(&site, async || credentials(&desk).await == 0).await;
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_minutes_count_nothing_anew() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    site.clock.advance(4 * 60);
    desk.send(credential_with_ttl(HOUR)).await.unwrap();
    site.clock.advance(-4 * 60);
    let kind = Kind::named("keyauth_credentials").unwrap();
    let expiry = async || {
        let durable = desk.bus.group_state(desk.group).await.unwrap();
        durable.state.of_kind(kind).next().map(|entity| entity.expires_at)
    };
    let before = expiry().await;
    site.run_reactors(&desk.bus);
    site.clock.advance(HOUR + 1);
    desk.send(GroupCommand::Expire { entities: Vec::new() })
        .await
        .unwrap();
    assert_eq!(expiry().await, before);
    site.clock.advance(4 * 60);
    until(&site, async || credentials(&desk).await == 0).await;
    assert_eq!(site.versions(desk.group).await, [1, 2], "its birth and its end");
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_deleted_by_a_clock_which_was_ahead_is_purged_after_its_retention() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    site.clock.advance(YEAR);
    delete(&desk).await.unwrap();
    site.clock.advance(-YEAR);
    let now = domain::Clock::now(&*site.clock);
    site.run_reactors(&desk.bus);
    let deleted_at = async || {
        let organization = desk.bus.organization_state(desk.organization).await.unwrap();
        organization.state.groups[&desk.group].deleted_at.unwrap()
    };
    until(&site, async || deleted_at().await == now).await;
    assert!(!is_purged(&desk).await);
    site.clock.advance(RETENTION.as_secs().cast_signed() + 1);
    until(&site, async || is_purged(&desk).await).await;
}

#[tokio::test]
async fn a_request_is_remembered_for_a_day_by_the_clock() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    site.clock.advance(YEAR);
    let send = async |name: &str| desk.send_as(create_service(name), keyed(name, name)).await;
    assert!(send("ahead").await.unwrap().changed);
    site.clock.advance(-YEAR);
    assert!(send("after").await.unwrap().changed);
    site.clock.advance(23 * HOUR);
    assert!(send("later").await.unwrap().changed);
    for name in ["ahead", "after"] {
        assert!(send(name).await.unwrap().replayed, "{name}");
    }
    site.clock.advance(2 * HOUR);
    assert!(send("next-day").await.unwrap().changed);
    for name in ["ahead", "after"] {
        assert!(
            send(name).await.is_err(),
            "{name} is there and nobody remembers the request"
        );
    }
    assert!(send("later").await.unwrap().replayed);
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_was_cut_while_the_clock_was_ahead_is_finished() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    site.clock.advance(YEAR);
    desk.send(GroupCommand::Seal).await.unwrap();
    site.clock.advance(-YEAR);
    let desk = site.desk().await.at(desk.group);
    site.run_reactors(&desk.bus);
    until(&site, async || is_deleted(&desk).await).await;
}
