//! What has expired is deleted by a change of its own.

use domain::Kind;
use domain::group::{Action, DeletionCause, GroupCommand, GroupEvent, Operation, Selector};
use serde_json::json;

use crate::site::{Desk, Site, object, operate, operation, until};

pub(crate) fn credential_with_ttl(seconds: i64) -> GroupCommand {
    let consumer = object(json!({"username": "ada"}));
    let credential = object(json!({"key": "secret", "ttl": seconds}));
    let mut create = operation("keyauth_credentials", None, Action::Create(credential));
    create.target.parent = Some((Kind::named("consumers").unwrap(), Selector::Key("ada".to_owned())));
    let consumer: Operation = operation("consumers", None, Action::Create(consumer));
    operate(vec![consumer, create])
}

pub(crate) async fn credentials(desk: &Desk) -> usize {
    let durable = desk.bus.group_state(desk.group).await.unwrap();
    let kind = Kind::named("keyauth_credentials").unwrap();
    durable.state.of_kind(kind).count()
}

#[tokio::test(start_paused = true)]
async fn an_expired_credential_is_deleted() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.send(credential_with_ttl(60)).await.unwrap();
    site.run_reactors(&desk.bus);
    site.clock.advance(61);
    until(&site, async || credentials(&desk).await == 0).await;
    let changes = site.changes(desk.group).await;
    let last = changes.last().unwrap();
    assert_eq!(last.actor.label(), "system:expiry");
    assert!(matches!(
        last.events[0],
        GroupEvent::EntityDeleted {
            cause: DeletionCause::Expired,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_not_touched_the_group_knows_what_expires_in_it() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.send(credential_with_ttl(60)).await.unwrap();
    let later = site.bus();
    site.clock.advance(61);
    site.run_reactors(&later);
    until(&site, async || credentials(&desk).await == 0).await;
    assert_eq!(site.versions(desk.group).await, [1, 2]);
}
