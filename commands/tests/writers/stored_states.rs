//! A writer starts from a stored state, if the log vouches for it.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use commands::log::MemoryLog;
use domain::codec::Envelope;
use domain::group::{Group, stored};
use domain::state_store::{StateStore, StateStoreError, StoredState};
use domain::{Boundary, Digest, Position, Timestamp};

use crate::parts::{BIG, SmallRecords, big_change};
use crate::site::{Desk, Site};

/// Stored states in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryStates(Mutex<HashMap<Boundary, StoredState>>);

#[async_trait]
impl StateStore for MemoryStates {
    async fn load(
        &self,
        boundary: Boundary,
        state_version: u32,
    ) -> Result<Option<StoredState>, StateStoreError> {
        let states = self.0.lock().unwrap();
        let state = states.get(&boundary).cloned();
        Ok(state.filter(|state| state.state_version == state_version))
    }

    async fn save(&self, boundary: Boundary, state: StoredState) -> Result<(), StateStoreError> {
        self.0.lock().unwrap().insert(boundary, state);
        Ok(())
    }
}

/// Keeps this state as that of the desk's group up to a position.
async fn keep(site: &Site, desk: &Desk, state: &Group, position: Position) {
    let record = site.log.record_at(position).await.unwrap().unwrap();
    let stored = StoredState {
        position,
        digest: Digest::of(&record.bytes),
        state_version: stored::STATE_VERSION,
        bytes: stored::encode(state, desk.boundary(), &*site.keyring).unwrap(),
    };
    site.states.save(desk.boundary(), stored).await.unwrap();
}

#[tokio::test]
async fn a_stored_state_is_continued_with_the_changes_after_it() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.create("billing").await.unwrap();
    let middle = desk.bus.group_state(desk.group).await.unwrap();
    // Marked, so that a fold of the whole log would show.
    let mut marked = middle.state.clone();
    marked.at = Timestamp(7);
    keep(&site, &desk, &marked, middle.position).await;
    let later = site.desk().await;
    let state = later.bus.group_state(later.group).await.unwrap();
    assert_eq!(state.state.at, Timestamp(7));
    desk.create("orders").await.unwrap();
    assert_eq!(later.create("search").await.unwrap().version, 3);
    assert_eq!(later.services().await, ["billing", "orders", "search"]);
}

#[tokio::test]
async fn a_stored_state_of_another_log_is_not_used() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let first = desk.create("billing").await.unwrap();
    let mut foreign = Group::default();
    foreign.version = 70;
    keep(&site, &desk, &foreign, Position(first.position.0 - 1)).await;
    assert_eq!(site.desk().await.create("orders").await.unwrap().version, 2);
}

#[tokio::test]
async fn a_state_stored_between_the_parts_of_a_change_is_continued_with_the_whole_change() {
    let log = MemoryLog::new();
    let site = Site::on(SmallRecords(log.clone()));
    let desk = site.desk().await;
    let before = desk.create("before").await.unwrap();
    let middle = desk.bus.group_state(desk.group).await.unwrap();
    desk.send(big_change()).await.unwrap();
    let between = Position(before.position.0 + 1);
    let part = site.log.record_at(between).await.unwrap().unwrap();
    assert!(Envelope::decode(&part.bytes).unwrap().part.is_some());
    keep(&site, &desk, &middle.state, between).await;
    let later = site.desk().await;
    assert_eq!(later.services().await.len(), BIG + 1);
    assert_eq!(later.create("after").await.unwrap().version, 3);
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_not_written_to() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    desk.create("billing").await.unwrap();
    let before = site.log.tail().await.unwrap();
    desk.create("orders").await.unwrap();
    log.lose_tail(before);
    let refused = desk.bus.group_state(desk.group).await.unwrap_err();
    assert!(refused.to_string().contains("lost its tail"), "{refused}");
}
