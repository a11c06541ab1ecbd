//! Tests with a file that fails: between the writer and `log.db` stands something that breaks on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::log::AppendError;
use domain::{Boundary, CommitId, EventLog, Expected, Position};
use futures::TryStreamExt;
use tempfile::TempDir;
use uuid::Uuid;

use super::SqliteLog;
use super::storage::{Row, SqliteStorage, Storage, StorageError};
use crate::tasks::Tasks;

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// The rows become durable, then the answer is an error: as when the fsync's answer is lost.
    AfterStoring,
    /// Nothing is stored.
    BeforeStoring,
    /// The file has reached its limit; the limit is lifted afterwards.
    NoSpace,
    /// As [`Self::BeforeStoring`], and the file can't be opened again the first time.
    DiskGone,
}

struct FaultyStorage {
    inner: SqliteStorage,
    script: Arc<Mutex<VecDeque<Fault>>>,
    unavailable: bool,
}

async fn limit_pages(storage: &mut SqliteStorage, pragma: &'static str) {
    sqlx::query(pragma).execute(storage.connection()).await.unwrap();
}

impl Storage for FaultyStorage {
    async fn insert(&mut self, rows: &[Row]) -> Result<(), StorageError> {
        let fault = self.script.lock().unwrap().pop_front();
        let failed = || Err(StorageError::Failed("disk I/O error".to_owned()));
        match fault {
            None => self.inner.insert(rows).await,
            Some(Fault::AfterStoring) => {
                self.inner.insert(rows).await.unwrap();
                failed()
            }
            Some(Fault::BeforeStoring) => failed(),
            Some(Fault::DiskGone) => {
                self.unavailable = true;
                failed()
            }
            Some(Fault::NoSpace) => {
                limit_pages(&mut self.inner, "PRAGMA max_page_count = 1").await;
                let answer = self.inner.insert(rows).await;
                limit_pages(&mut self.inner, "PRAGMA max_page_count = 4294967294").await;
                answer
            }
        }
    }

    async fn tail(&mut self) -> Result<Position, StorageError> {
        self.inner.tail().await
    }

    async fn boundary_tail(&mut self, boundary: Boundary) -> Result<Position, StorageError> {
        self.inner.boundary_tail(boundary).await
    }

    async fn reopen(&mut self) -> Result<(), StorageError> {
        if std::mem::take(&mut self.unavailable) {
            return Err(StorageError::Failed("no such device".to_owned()));
        }
        self.inner.reopen().await
    }

    async fn finish(&mut self) -> Result<(), StorageError> {
        self.inner.finish().await
    }
}

struct Fixture {
    log: SqliteLog,
    _directory: TempDir,
}

/// A log with two records of one group, whose next transactions meet these faults.
async fn log_with(faults: &[Fault]) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let script = Arc::new(Mutex::new(VecDeque::new()));
    let wrapped = script.clone();
    let wrap = |inner| FaultyStorage {
        inner,
        script: wrapped,
        unavailable: false,
    };
    let log = SqliteLog::open_with(&directory.path().join("log.db"), None, &Tasks::default(), wrap)
        .await
        .unwrap();
    append(&log, 0, 10).await.unwrap();
    append(&log, 1, 10).await.unwrap();
    script.lock().unwrap().extend(faults);
    Fixture {
        log,
        _directory: directory,
    }
}

/// Appends a record of some bytes to the group after this position.
async fn append(log: &SqliteLog, after: u64, bytes: usize) -> Result<Position, AppendError> {
    let expected = Expected::after(Some(Position(after)));
    log.append(
        Boundary::System,
        expected,
        CommitId(Uuid::nil()),
        Bytes::from(vec![1; bytes]),
    )
    .await
}

async fn positions(log: &SqliteLog) -> Vec<u64> {
    let records: Vec<_> = log
        .read_boundary(Boundary::System, Position::START)
        .try_collect()
        .await
        .unwrap();
    records.iter().map(|record| record.position.0).collect()
}

fn is_unknown(answer: &Result<Position, AppendError>) -> bool {
    matches!(answer, Err(AppendError::Unknown(_)))
}

#[tokio::test]
async fn an_error_after_storing_is_unknown_and_the_repeat_conflicts() {
    let Fixture { log, _directory } = log_with(&[Fault::AfterStoring]).await;
    assert!(is_unknown(&append(&log, 2, 10).await));
    assert_eq!(append(&log, 2, 10).await, Err(AppendError::Conflict));
    assert_eq!(positions(&log).await, [1, 2, 3]);
    assert_eq!(log.tail().await, Ok(Position(3)));
    assert_eq!(append(&log, 3, 10).await, Ok(Position(4)));
}

#[tokio::test]
async fn a_follower_gets_a_record_whose_answer_was_lost() {
    let Fixture { log, _directory } = log_with(&[Fault::AfterStoring]).await;
    let mut follower = log.follow(Position(2));
    assert!(is_unknown(&append(&log, 2, 10).await));
    assert_eq!(follower.try_next().await.unwrap().unwrap().position, Position(3));
}

#[tokio::test]
async fn an_error_before_storing_is_unknown_and_the_repeat_succeeds() {
    let Fixture { log, _directory } = log_with(&[Fault::BeforeStoring]).await;
    assert!(is_unknown(&append(&log, 2, 10).await));
    assert_eq!(append(&log, 2, 10).await, Ok(Position(3)));
    assert_eq!(positions(&log).await, [1, 2, 3]);
}

#[tokio::test]
async fn nothing_is_acknowledged_until_the_file_is_open_again() {
    let Fixture { log, _directory } = log_with(&[Fault::DiskGone]).await;
    assert!(is_unknown(&append(&log, 2, 10).await));
    assert_eq!(append(&log, 2, 10).await, Ok(Position(3)));
    assert_eq!(positions(&log).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_full_disk_stores_nothing_and_writing_resumes_by_itself() {
    let Fixture { log, _directory } = log_with(&[Fault::NoSpace]).await;
    let answer = append(&log, 2, 100_000).await;
    assert!(matches!(answer, Err(AppendError::Full(_))), "{answer:?}");
    assert_eq!(log.tail().await, Ok(Position(2)));
    assert_eq!(append(&log, 2, 100_000).await, Ok(Position(3)));
}
