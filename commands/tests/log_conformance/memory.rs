//! The log in memory.

use std::sync::Arc;

use bytes::Bytes;
use commands::log::{Fault, MemoryLog};
use domain::log::{AppendError, ReadError};
use domain::{EventLog, Expected, Position};
use futures::StreamExt;

use crate::suite::{Site, append_many, commit_id, conformance, group};

struct Memory(MemoryLog);

impl Site for Memory {
    async fn fresh() -> Self {
        Self(MemoryLog::new())
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.0.clone())
    }

    async fn restart(self) -> Self {
        self
    }
}

conformance!(Memory);

/// One append to an empty boundary that meets a fault, and how the log ends then.
async fn after_fault(fault: Fault) -> (MemoryLog, Result<Position, AppendError>) {
    let log = MemoryLog::new();
    log.inject(fault);
    let answer = log
        .append(
            group(1),
            Expected::Empty,
            commit_id(1, 1),
            Bytes::from_static(b"one"),
        )
        .await;
    (log, answer)
}

#[tokio::test]
async fn an_unknown_append_may_be_stored() {
    let (log, answer) = after_fault(Fault::UnknownStored).await;
    assert!(matches!(answer, Err(AppendError::Unknown(_))));
    assert_eq!(log.tail().await, Ok(Position(1)));
}

#[tokio::test]
async fn an_unknown_append_may_be_lost() {
    let (log, answer) = after_fault(Fault::UnknownLost).await;
    assert!(matches!(answer, Err(AppendError::Unknown(_))));
    assert_eq!(log.tail().await, Ok(Position::START));
}

#[tokio::test]
async fn an_unknown_append_may_be_stored_later() {
    let (log, answer) = after_fault(Fault::UnknownStoredLater).await;
    assert!(matches!(answer, Err(AppendError::Unknown(_))));
    assert_eq!(log.tail().await, Ok(Position::START));
    log.deliver_delayed();
    assert_eq!(log.tail().await, Ok(Position(1)));
}

#[tokio::test]
async fn a_delayed_append_is_dropped_when_its_repeat_was_stored() {
    let (log, _) = after_fault(Fault::UnknownStoredLater).await;
    let again = log
        .append(
            group(1),
            Expected::Empty,
            commit_id(1, 1),
            Bytes::from_static(b"one"),
        )
        .await;
    assert_eq!(again, Ok(Position(1)));
    log.deliver_delayed();
    assert_eq!(log.tail().await, Ok(Position(1)));
}

#[tokio::test]
async fn conflicts_and_a_full_log_store_nothing() {
    let (log, answer) = after_fault(Fault::Conflict).await;
    assert_eq!(
        (answer, log.tail().await),
        (Err(AppendError::Conflict), Ok(Position::START))
    );
    let (log, answer) = after_fault(Fault::Full).await;
    assert!(matches!(answer, Err(AppendError::Full(_))));
    assert_eq!(log.tail().await, Ok(Position::START));
}

#[tokio::test]
async fn a_lost_tail_is_damage_to_whoever_read_it() {
    let log = MemoryLog::new();
    append_many(&log, group(1), 5).await;
    log.lose_tail(Position(3));
    assert!(matches!(
        log.follow(Position(5)).next().await,
        Some(Err(ReadError::Damaged(_)))
    ));
    assert_eq!(log.boundary_tail(group(1)).await, Ok(Some(Position(3))));
}
