//! A log that tells when it has no room left: whatever the engine, as soon as somebody is refused for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use domain::health::{Condition, Health, Severity};
use domain::log::{AppendError, Placed, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record};
use futures::stream::BoxStream;

/// The condition that tells it.
const CONDITION: &str = "log space";

/// A log whose refusals are heard.
pub struct WatchedLog {
    log: Arc<dyn EventLog>,
    health: Arc<dyn Health>,
    full: AtomicBool,
}

impl WatchedLog {
    /// Listens to what this log answers.
    pub fn new(log: Arc<dyn EventLog>, health: Arc<dyn Health>) -> Self {
        Self {
            log,
            health,
            full: AtomicBool::new(false),
        }
    }

    fn hear<T>(&self, answer: Result<T, AppendError>) -> Result<T, AppendError> {
        match &answer {
            Ok(_) if self.full.swap(false, Ordering::Relaxed) => self.health.clear(CONDITION),
            Err(full @ AppendError::Full(_)) => {
                self.full.store(true, Ordering::Relaxed);
                self.health.raise(Condition {
                    name: CONDITION,
                    severity: Severity::Degraded,
                    reason: format!(
                        "{full}. Changes are refused until one is stored again; queries and instances go on"
                    ),
                });
            }
            _ => {}
        }
        answer
    }
}

#[async_trait]
impl EventLog for WatchedLog {
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError> {
        self.hear(self.log.append(boundary, expected, id, record).await)
    }

    async fn append_at(&self, records: Vec<Placed>) -> Result<(), AppendError> {
        self.hear(self.log.append_at(records).await)
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        self.log.follow(after)
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        self.log.read_boundary(boundary, after)
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        self.log.record_at(position).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.log.tail().await
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        self.log.boundary_tail(boundary).await
    }

    async fn check_storage(&self) -> Result<(), ReadError> {
        self.log.check_storage().await
    }

    fn record_limit(&self) -> usize {
        self.log.record_limit()
    }
}

#[cfg(test)]
mod tests {
    use commands::log::SqliteLog;
    use commands::tasks::Tasks;
    use uuid::Uuid;

    use super::*;
    use crate::health::Conditions;

    #[tokio::test]
    async fn a_log_without_room_is_told_until_it_takes_a_record_again() {
        let home = tempfile::tempdir().unwrap();
        let limit = Some(64 * 1024);
        let log = SqliteLog::open(&home.path().join("log.db"), limit, &Tasks::default()).await;
        let health = Arc::new(Conditions::default());
        let log = WatchedLog::new(Arc::new(log.unwrap()), health.clone());
        let append = async |bytes: usize| {
            let record = Bytes::from(vec![1; bytes]);
            let id = CommitId(Uuid::nil());
            log.append(Boundary::System, Expected::Empty, id, record).await
        };
        assert!(matches!(append(512 * 1024).await, Err(AppendError::Full(_))));
        let told = health.all();
        assert_eq!((told[0].name, told[0].severity), (CONDITION, Severity::Degraded));
        append(16).await.unwrap();
        assert_eq!(health.all(), []);
    }
}
