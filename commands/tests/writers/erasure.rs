//! A consumer's erasure, whole or cut in half by a crash.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use commands::keyring::{KeyPages, MasterKey, MemoryKeyring, MemoryPages};
use domain::gateway::{CommandError, Commands};
use domain::group::{Action, Condition, Entity, GroupCommand, GroupEvent};
use domain::keyring::{KeyNotLoaded, KeyState, KeyringError};
use domain::organization::{OrganizationCommand, OrganizationError};
use domain::{Boundary, DataKeys, EntityId, KeyId, Keyring};
use serde_json::json;
use tokio::sync::Notify;

use crate::certificates;
use crate::deletion::{delete, new_group};
use crate::site::{Desk, RETENTION, Site, cause, keyed, object, operate, operation, until};

/// A keyring that destroys nothing while it can't be reached, and says when it has destroyed something.
struct FailingKeyring {
    keys: MemoryKeyring,
    is_away: AtomicBool,
    destroyed: Notify,
}

impl FailingKeyring {
    fn new() -> Arc<Self> {
        Self::over(MemoryKeyring::in_memory())
    }

    fn over(keys: MemoryKeyring) -> Arc<Self> {
        Arc::new(Self {
            keys,
            is_away: AtomicBool::new(false),
            destroyed: Notify::new(),
        })
    }
}

impl DataKeys for FailingKeyring {
    fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        self.keys.data_key(id)
    }
}

#[async_trait]
impl Keyring for FailingKeyring {
    async fn ensure(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        self.keys.ensure(ids).await
    }

    async fn load(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        self.keys.load(ids).await
    }

    async fn destroy(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(KeyringError::Unavailable("the test took it away".to_owned()));
        }
        self.keys.destroy(ids).await?;
        self.destroyed.notify_one();
        Ok(())
    }

    async fn destroy_boundary(&self, boundary: Boundary) -> Result<(), KeyringError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(KeyringError::Unavailable("the test took it away".to_owned()));
        }
        self.keys.destroy_boundary(boundary).await?;
        self.destroyed.notify_one();
        Ok(())
    }
}

async fn consumer(desk: &Desk, name: &str) -> EntityId {
    let body = object(json!({ "username": name }));
    let create = operate(vec![operation("consumers", None, Action::Create(body))]);
    desk.send(create).await.unwrap().outcome.results[0].id
}

fn erase(consumer: EntityId) -> GroupCommand {
    GroupCommand::EraseConsumer {
        consumer,
        condition: Condition::Always,
    }
}

fn is_destroyed(site: &Site, desk: &Desk, consumer: EntityId) -> bool {
    let key = KeyId {
        boundary: desk.boundary(),
        owner: Some(consumer.0),
    };
    matches!(site.keyring.data_key(key), Ok(KeyState::Destroyed))
}

/// Every body that the history of the group holds.
async fn bodies(site: &Site, desk: &Desk) -> Vec<Arc<Entity>> {
    let changes = site.changes(desk.group).await;
    let events = changes.into_iter().flat_map(|change| change.events);
    let body = |event| match event {
        GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => Some(entity),
        _ => None,
    };
    events.filter_map(body).collect()
}

#[tokio::test]
async fn what_an_erased_consumers_key_sealed_is_gone_when_the_erasure_is_answered() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let (ann, bob) = (consumer(&desk, "ann").await, consumer(&desk, "bob").await);
    let erased = desk
        .send_as(erase(ann), keyed("once", "erase ann"))
        .await
        .unwrap();
    assert!(erased.changed && is_destroyed(&site, &desk, ann));
    assert!(!is_destroyed(&site, &desk, bob));
    let told: Vec<_> = bodies(&site, &desk)
        .await
        .iter()
        .map(|entity| entity.map()["username"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ["{erased}", "bob"]);
    let again = desk
        .send_as(erase(ann), keyed("once", "erase ann"))
        .await
        .unwrap();
    assert!(again.replayed);
    assert!(!desk.send(erase(ann)).await.unwrap().changed, "already so");
}

#[tokio::test]
async fn an_erasure_that_was_cut_before_its_key_was_destroyed_is_finished() {
    let (mut site, _) = Site::in_memory();
    let keyring = FailingKeyring::new();
    site.keyring = Arc::clone(&keyring) as Arc<dyn Keyring>;
    let desk = site.desk().await;
    let ann = consumer(&desk, "ann").await;
    keyring.is_away.store(true, Ordering::SeqCst);
    let cut = desk.send_as(erase(ann), cause()).await;
    assert_eq!(cut.unwrap_err(), CommandError::OutcomeUnknown);
    assert!(!is_destroyed(&site, &desk, ann));
    keyring.is_away.store(false, Ordering::SeqCst);
    site.run_reactors(&site.bus());
    keyring.destroyed.notified().await;
    assert!(is_destroyed(&site, &desk, ann));
}

#[tokio::test]
async fn what_was_erased_is_erased_again_where_an_older_keyring_comes_back() {
    let (mut site, _) = Site::in_memory();
    let master = MasterKey::generate();
    let open = async || {
        MemoryKeyring::open(MemoryPages::default(), master.clone())
            .await
            .unwrap()
    };
    let (keyring, older) = (Arc::new(open().await), FailingKeyring::over(open().await));
    site.keyring = Arc::clone(&keyring) as Arc<dyn Keyring>;
    let desk = site.desk().await;
    let (ann, bob) = (consumer(&desk, "ann").await, consumer(&desk, "bob").await);
    for (address, sealed) in keyring.export().await.unwrap() {
        older.keys.import(address, &sealed).await.unwrap();
    }
    desk.send(erase(ann)).await.unwrap();
    site.keyring = Arc::clone(&older) as Arc<dyn Keyring>;
    assert!(!is_destroyed(&site, &desk, ann), "the backup is older");
    site.run_reactors(&site.bus());
    older.destroyed.notified().await;
    assert!(is_destroyed(&site, &desk, ann) && !is_destroyed(&site, &desk, bob));
}

async fn purge(desk: &Desk) -> Result<(), CommandError> {
    let command = OrganizationCommand::PurgeGroup {
        group: desk.group,
        expected: None,
    };
    let purged = desk.bus.organization(desk.organization, command, cause()).await;
    purged.map(drop)
}

pub(crate) async fn is_purged(desk: &Desk) -> bool {
    let organization = desk.bus.organization_state(desk.organization).await.unwrap();
    organization.state.groups[&desk.group].purged_at.is_some()
}

async fn restore(desk: &Desk) -> CommandError {
    let restored = desk
        .bus
        .restore_group(desk.organization, desk.group, None, cause());
    restored.await.unwrap_err()
}

#[tokio::test]
async fn a_purged_group_keeps_its_history_and_nothing_that_was_sealed_in_it() {
    let (site, _) = Site::in_memory();
    let desk = new_group(&site.desk().await, "payments").await;
    consumer(&desk, "ann").await;
    certificates::add(&desk, certificates::LEAF).await.unwrap();
    assert_eq!(
        purge(&desk).await.unwrap_err(),
        CommandError::Organization(OrganizationError::StillExists(desk.group))
    );
    delete(&desk).await.unwrap();
    purge(&desk).await.unwrap();
    let bodies = bodies(&site, &desk).await;
    assert_eq!(bodies[0].map()["username"], "{erased}");
    assert!(!certificates::is_recorded(&desk, certificates::LEAF).await);
    assert_eq!(certificates::holder(&desk, certificates::LEAF).await, None);
    assert!(matches!(
        restore(&desk).await,
        CommandError::Organization(OrganizationError::Purged { .. })
    ));
    let own = KeyId {
        boundary: desk.boundary(),
        owner: None,
    };
    assert!(matches!(site.keyring.data_key(own), Ok(KeyState::Destroyed)));
}

#[tokio::test]
async fn a_purge_that_was_cut_before_the_keys_were_destroyed_is_finished() {
    let (mut site, _) = Site::in_memory();
    let keyring = FailingKeyring::new();
    site.keyring = Arc::clone(&keyring) as Arc<dyn Keyring>;
    let desk = new_group(&site.desk().await, "payments").await;
    let ann = consumer(&desk, "ann").await;
    delete(&desk).await.unwrap();
    keyring.is_away.store(true, Ordering::SeqCst);
    assert_eq!(purge(&desk).await.unwrap_err(), CommandError::OutcomeUnknown);
    assert!(is_purged(&desk).await && !is_destroyed(&site, &desk, ann));
    keyring.is_away.store(false, Ordering::SeqCst);
    site.run_reactors(&site.bus());
    keyring.destroyed.notified().await;
    assert!(is_destroyed(&site, &desk, ann));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_group_is_purged_when_its_time_has_come_and_not_before() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let (first, second) = (new_group(&desk, "first").await, new_group(&desk, "second").await);
    let ann = consumer(&first, "ann").await;
    delete(&first).await.unwrap();
    site.clock.advance(60);
    delete(&second).await.unwrap();
    site.clock.advance(RETENTION.as_secs().cast_signed() - 60);
    site.run_reactors(&desk.bus);
    until(&site, async || is_purged(&first).await).await;
    assert!(!is_purged(&second).await, "its time comes later");
    site.clock.advance(60);
    until(&site, async || is_purged(&second).await).await;
    assert!(is_destroyed(&site, &first, ann));
    assert!(!is_purged_or_deleted(&desk).await, "what exists stays");
}

pub(crate) async fn is_purged_or_deleted(desk: &Desk) -> bool {
    let organization = desk.bus.organization_state(desk.organization).await.unwrap();
    organization.state.group(desk.group).is_none()
}
