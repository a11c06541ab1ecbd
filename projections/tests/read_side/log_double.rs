//! A log in memory that can be cut, altered and stretched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::log::{AppendError, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

/// Records in memory. Clones share them.
#[derive(Clone)]
pub(crate) struct LogDouble {
    records: Arc<Mutex<Vec<Record>>>,
    tail: watch::Sender<Position>,
}

impl LogDouble {
    pub(crate) fn new() -> Self {
        Self {
            records: Arc::default(),
            tail: watch::Sender::new(Position::START),
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends whatever it is given.
    pub(crate) fn push(&self, boundary: Boundary, bytes: Bytes) -> Position {
        let position = self
            .records()
            .last()
            .map_or(Position(1), |last| last.position.next());
        self.push_at(position, boundary, bytes);
        position
    }

    /// Appends at a position of the caller's choice.
    pub(crate) fn push_at(&self, position: Position, boundary: Boundary, bytes: Bytes) {
        self.records().push(Record {
            position,
            boundary,
            bytes,
        });
        self.tail.send_replace(position);
    }

    /// A copy that ends here and goes its own way.
    pub(crate) fn cut_after(&self, position: Position) -> Self {
        let kept: Vec<_> = self.after(Position::START, position);
        Self {
            records: Arc::new(Mutex::new(kept)),
            tail: watch::Sender::new(position),
        }
    }

    fn after(&self, after: Position, until: Position) -> Vec<Record> {
        let wanted = |record: &&Record| record.position > after && record.position <= until;
        self.records().iter().filter(wanted).cloned().collect()
    }

    pub(crate) fn last(&self) -> Position {
        *self.tail.borrow()
    }
}

#[async_trait]
impl EventLog for LogDouble {
    async fn append(
        &self,
        boundary: Boundary,
        _expected: Expected,
        _id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError> {
        Ok(self.push(boundary, record))
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        let (log, tail) = (self.clone(), self.tail.subscribe());
        stream::unfold((log, tail, after), |(log, mut tail, after)| async move {
            let until = *tail.wait_for(|tail| *tail > after).await.ok()?;
            let page = log.after(after, until);
            Some((stream::iter(page.into_iter().map(Ok)), (log, tail, until)))
        })
        .flatten()
        .boxed()
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        let mut records = self.after(after, self.last());
        records.retain(|record| record.boundary == boundary);
        stream::iter(records.into_iter().map(Ok)).boxed()
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        Ok(self
            .records()
            .iter()
            .find(|record| record.position == position)
            .cloned())
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        Ok(self.last())
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        let records = self.records();
        let last = records.iter().rev().find(|record| record.boundary == boundary);
        Ok(last.map(|record| record.position))
    }
}
