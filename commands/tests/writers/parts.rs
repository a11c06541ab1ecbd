//! A change that is too big for one record is there whole or not at all.

use async_trait::async_trait;
use bytes::Bytes;
use commands::log::{Fault, MemoryLog};
use domain::gateway::CommandError;
use domain::group::{Action, GroupCommand};
use domain::log::{AppendError, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record};
use futures::future;
use futures::stream::BoxStream;
use serde_json::json;

use crate::site::{Site, object, operate, operation, until};

/// A log in memory whose records are small, so that changes soon take several.
pub(crate) struct SmallRecords(pub(crate) MemoryLog);

#[async_trait]
impl EventLog for SmallRecords {
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError> {
        self.0.append(boundary, expected, id, record).await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        self.0.follow(after)
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        self.0.read_boundary(boundary, after)
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        self.0.record_at(position).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.0.tail().await
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        self.0.boundary_tail(boundary).await
    }

    fn record_limit(&self) -> usize {
        3 * 1024
    }
}

fn site() -> (Site, MemoryLog) {
    let log = MemoryLog::new();
    (Site::on(SmallRecords(log.clone())), log)
}

pub(crate) const BIG: usize = 200;

/// One change of many services.
pub(crate) fn big_change() -> GroupCommand {
    let service = |number| {
        let body = object(json!({"name": format!("service-{number:03}"), "host": "example.com"}));
        operation("services", None, Action::Create(body))
    };
    operate((0..BIG).map(service).collect())
}

#[tokio::test]
async fn a_big_change_travels_in_parts_and_counts_once() {
    let (site, log) = site();
    let desk = site.desk().await;
    desk.create("before").await.unwrap();
    let before = log.tail().await.unwrap();
    let accepted = desk.send(big_change()).await.unwrap();
    assert!(accepted.position.0 > before.0 + 2, "it took several records");
    assert_eq!(log.tail().await.unwrap(), accepted.position);
    assert_eq!(desk.create("after").await.unwrap().version, 3);
    assert_eq!(site.versions(desk.group).await, [1, 2, 3]);
    assert_eq!(site.desk().await.services().await.len(), BIG + 2);
}

#[tokio::test]
async fn a_big_change_cut_by_a_full_log_counts_for_nobody() {
    let (site, log) = site();
    let desk = site.desk().await;
    log.inject(Fault::UnknownStored);
    log.inject(Fault::Conflict);
    log.inject(Fault::Full);
    let cut = desk.send(big_change()).await;
    assert!(matches!(cut, Err(CommandError::LogFull(_))));
    assert!(site.desk().await.services().await.is_empty());
    assert_eq!(desk.create("after").await.unwrap().version, 1);
    assert_eq!(site.desk().await.services().await, ["after"]);
    assert_eq!(desk.send(big_change()).await.unwrap().version, 2);
    assert_eq!(site.versions(desk.group).await, [1, 2]);
}

#[tokio::test]
async fn a_process_that_dies_between_two_parts_leaves_nothing_behind() {
    let (site, log) = site();
    let desk = site.desk().await;
    desk.create("before").await.unwrap();
    let before = log.tail().await.unwrap();
    desk.send(big_change()).await.unwrap();
    log.lose_tail(Position(before.0 + 2));
    let later = site.desk().await;
    assert_eq!(later.services().await, ["before"]);
    assert_eq!(later.create("after").await.unwrap().version, 2);
    assert_eq!(later.send(big_change()).await.unwrap().version, 3);
    assert_eq!(site.versions(desk.group).await, [1, 2, 3]);
}

#[tokio::test]
async fn another_process_between_two_parts_voids_them_and_the_change_is_decided_again() {
    let (site, log) = site();
    let (one, other) = (site.desk().await, site.desk().await);
    other.create("first").await.unwrap();
    let before = log.tail().await.unwrap();
    log.inject(Fault::UnknownStored);
    for _ in 0..4 {
        log.inject(Fault::UnknownLost);
    }
    let meanwhile = async {
        until(&site, async || log.tail().await.unwrap() > before).await;
        other.create("second").await
    };
    let (big, small) = future::join(one.send(big_change()), meanwhile).await;
    let mut versions = [big.unwrap().version, small.unwrap().version];
    versions.sort_unstable();
    assert_eq!(versions, [2, 3]);
    assert_eq!(site.versions(one.group).await, [1, 2, 3]);
    assert_eq!(one.services().await.len(), BIG + 2);
}
