//! A group's deletion and restoration, whole or cut in half by a crash.

use commands::log::{Fault, MemoryLog};
use domain::Boundary;
use domain::gateway::{CommandError, Commands};
use domain::group::{GroupCommand, GroupError, GroupEvent};
use domain::organization::{NewGroup, OrganizationCommand, OrganizationError};

use crate::site::{Desk, Site, cause, keyed, until};

pub(crate) async fn new_group(desk: &Desk, name: &str) -> Desk {
    let command = OrganizationCommand::CreateGroup(NewGroup {
        name: name.to_owned(),
        ..NewGroup::default()
    });
    let made = desk.bus.organization(desk.organization, command, cause()).await;
    desk.at(made.unwrap().outcome.group.unwrap().id)
}

pub(crate) async fn delete(desk: &Desk) -> Result<(), CommandError> {
    let command = OrganizationCommand::DeleteGroup {
        group: desk.group,
        expected: None,
    };
    let deleted = desk.bus.organization(desk.organization, command, cause()).await;
    deleted.map(drop)
}

async fn is_sealed(desk: &Desk) -> bool {
    desk.bus.group_state(desk.group).await.unwrap().state.sealed
}

pub(crate) async fn is_deleted(desk: &Desk) -> bool {
    let organization = desk.bus.organization_state(desk.organization).await.unwrap();
    organization.state.group(desk.group).is_none()
}

/// The next append is stored after some doubt, the one after it finds no room.
pub(crate) fn second_append_finds_no_room(log: &MemoryLog) {
    log.inject(Fault::UnknownStored);
    log.inject(Fault::Conflict);
    log.inject(Fault::Full);
}

#[tokio::test]
async fn a_deleted_group_is_sealed_and_a_restored_one_open_again() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    desk.create("billing").await.unwrap();
    delete(&desk).await.unwrap();
    assert!(is_sealed(&desk).await && is_deleted(&desk).await);
    assert_eq!(
        desk.create("orders").await.unwrap_err(),
        CommandError::NoSuchGroup
    );
    let restored = desk
        .bus
        .restore_group(desk.organization, desk.group, Some("refunds".to_owned()), cause())
        .await
        .unwrap();
    assert_eq!(restored.outcome.group.unwrap().name, "refunds");
    desk.create("orders").await.unwrap();
    assert_eq!(desk.services().await, ["billing", "orders"]);
}

#[tokio::test]
async fn a_process_that_does_not_know_of_the_deletion_yet_is_refused_by_the_seal() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    let other = Desk {
        bus: site.bus(),
        ..desk.clone()
    };
    other.create("billing").await.unwrap();
    delete(&desk).await.unwrap();
    assert_eq!(
        other.create("orders").await.unwrap_err(),
        CommandError::Group(GroupError::Sealed)
    );
}

#[tokio::test]
async fn a_refused_deletion_leaves_the_group_open() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    assert_eq!(
        delete(&desk).await.unwrap_err(),
        CommandError::Organization(OrganizationError::DefaultGroup)
    );
    assert!(site.versions(desk.group).await.is_empty(), "it was never sealed");
    let desk = new_group(&desk, "payments").await;
    let stale = desk
        .bus
        .delete_group(desk.organization, desk.group, Some(vec![77]), cause())
        .await;
    assert!(matches!(
        stale,
        Err(CommandError::Organization(OrganizationError::Precondition { .. }))
    ));
    assert_eq!(desk.create("billing").await.unwrap().version, 1);
}

#[tokio::test]
async fn a_deletion_for_whose_record_the_log_has_no_room_is_taken_back() {
    let (site, log) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    second_append_finds_no_room(&log);
    assert!(matches!(delete(&desk).await, Err(CommandError::LogFull(_))));
    assert!(!is_sealed(&desk).await && !is_deleted(&desk).await);
    desk.create("billing").await.unwrap();
}

#[tokio::test]
async fn a_repeated_deletion_does_not_touch_a_group_restored_since() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    let ask = || {
        desk.bus
            .delete_group(desk.organization, desk.group, None, keyed("k", "delete"))
    };
    ask().await.unwrap();
    desk.bus
        .restore_group(desk.organization, desk.group, None, cause())
        .await
        .unwrap();
    assert!(ask().await.unwrap().replayed);
    desk.create("billing").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deletion_cut_before_its_record_is_finished() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    site.clock.advance(1);
    desk.send(GroupCommand::Seal).await.unwrap();
    let desk = site.desk().await.at(desk.group);
    site.run_reactors(&desk.bus);
    assert!(!is_deleted(&desk).await, "it might still be under way");
    site.clock.advance(60);
    until(&site, async || is_deleted(&desk).await).await;
    assert!(is_sealed(&desk).await);
}

#[tokio::test(start_paused = true)]
async fn a_restoration_cut_before_its_unsealing_is_finished() {
    let (site, log) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    delete(&desk).await.unwrap();
    site.clock.advance(60);
    second_append_finds_no_room(&log);
    let restored = desk
        .bus
        .restore_group(desk.organization, desk.group, None, cause())
        .await;
    assert_eq!(restored.unwrap_err(), CommandError::OutcomeUnknown);
    let later = site.desk().await.at(desk.group);
    assert!(is_sealed(&later).await && !is_deleted(&later).await);
    site.clock.advance(60);
    site.run_reactors(&later.bus);
    until(&site, async || !is_sealed(&later).await).await;
    later.create("billing").await.unwrap();
}

#[tokio::test]
async fn sealing_and_unsealing_are_changes_with_versions_of_their_own() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    desk.create("billing").await.unwrap();
    delete(&desk).await.unwrap();
    let changes = site.changes(desk.group).await;
    assert_eq!(changes[1].events, [GroupEvent::GroupSealed]);
    assert_eq!(changes[1].version, 2);
    let tail = site.log.boundary_tail(Boundary::Group(desk.group)).await;
    assert_eq!(desk.bus.position(desk.boundary()), tail.unwrap());
}
