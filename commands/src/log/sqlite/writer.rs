//! The one task that appends: everything that waits, whatever its boundary, becomes one durable transaction.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::log::{AppendError, Placed};
use domain::{Boundary, Expected, Position, Record};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::recent::Recent;
use super::storage::{Row, Storage, StorageError};

/// How many appends may wait before a caller has to wait for its place.
pub(super) const QUEUE: usize = 4_096;

/// How many records one transaction takes at most.
const BATCH_RECORDS: usize = 1_000;

/// After how many bytes a transaction takes no further record.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// One append and the way back to its caller.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) boundary: Boundary,
    pub(super) expected: Expected,
    pub(super) bytes: Bytes,
    pub(super) answer: oneshot::Sender<Result<Position, AppendError>>,
}

/// Records of an import, which get their positions or are refused together.
#[derive(Debug)]
pub(super) struct Placement {
    pub(super) records: Vec<Placed>,
    pub(super) answer: oneshot::Sender<Result<Position, AppendError>>,
}

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Append(Append),
    Place(Placement),
}

/// The writer's state: what it knows to be durable.
pub(super) struct Writer<S> {
    storage: S,
    recent: Arc<Recent>,
    tail: Position,
    /// The newest positions of the boundaries written since the file was opened.
    last: HashMap<Boundary, Position>,
    /// Why the file must be opened again before anything else is acknowledged.
    broken: Option<String>,
}

impl<S: Storage> Writer<S> {
    /// A writer that continues after `tail`.
    pub(super) fn new(storage: S, recent: Arc<Recent>, tail: Position) -> Self {
        Self {
            storage,
            recent,
            tail,
            last: HashMap::new(),
            broken: None,
        }
    }

    /// Appends until the token is cancelled or the log is dropped, then finishes what waits.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>, stop: CancellationToken) {
        let mut waiting = Vec::with_capacity(BATCH_RECORDS);
        loop {
            tokio::select! {
                received = queue.recv_many(&mut waiting, BATCH_RECORDS) => {
                    if received == 0 {
                        return self.finish().await;
                    }
                    self.commit_all(&mut waiting).await;
                }
                () = stop.cancelled(), if !queue.is_closed() => queue.close(),
            }
        }
    }

    /// After the last record: whoever copies the file then has all of it.
    async fn finish(&mut self) {
        if let Err(failure) = self.storage.finish().await {
            warn!(%failure, "log.db's write-ahead log stays beside it at the end; keep them together, nothing is lost");
        }
    }

    /// Commits everything that waits, in as few transactions as its size allows.
    async fn commit_all(&mut self, waiting: &mut Vec<Request>) {
        let mut bytes = 0;
        let mut batch = Vec::with_capacity(waiting.len());
        for request in waiting.drain(..) {
            match request {
                Request::Append(append) => {
                    bytes += append.bytes.len();
                    batch.push(append);
                    if bytes > BATCH_BYTES {
                        self.commit(std::mem::take(&mut batch)).await;
                        bytes = 0;
                    }
                }
                Request::Place(placement) => {
                    self.commit(std::mem::take(&mut batch)).await;
                    bytes = 0;
                    let placed = self.place(placement.records).await;
                    drop(placement.answer.send(placed));
                }
            }
        }
        self.commit(batch).await;
    }

    /// One transaction with the records of an import.
    async fn place(&mut self, records: Vec<Placed>) -> Result<Position, AppendError> {
        self.recover().await.map_err(AppendError::Unknown)?;
        let mut rows = Vec::with_capacity(records.len());
        for Placed { record, expected, .. } in records {
            let checked = self.check_guard(record.boundary, expected).await;
            match checked {
                Ok(previous) if record.position.0 == self.tail.0 + rows.len() as u64 + 1 => {
                    rows.push(self.row(record.boundary, record.bytes, previous, rows.len()));
                }
                refused => {
                    // The rows before this one moved the boundaries' ends in memory only.
                    self.last.clear();
                    return Err(refused.err().unwrap_or(AppendError::Conflict));
                }
            }
        }
        self.store(&rows).await.map(|()| self.tail)
    }

    /// One transaction: checks the guards, stores what they allow, answers every caller.
    async fn commit(&mut self, batch: Vec<Append>) {
        if batch.is_empty() {
            return;
        }
        if let Err(reason) = self.recover().await {
            return answer_all(
                batch.into_iter().map(|append| append.answer),
                &AppendError::Unknown(reason),
            );
        }
        let mut rows = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for append in batch {
            match self.check_guard(append.boundary, append.expected).await {
                Ok(previous) => {
                    rows.push(self.row(append.boundary, append.bytes, previous, rows.len()));
                    answers.push(append.answer);
                }
                Err(refusal) => drop(append.answer.send(Err(refusal))),
            }
        }
        if rows.is_empty() {
            return;
        }
        match self.store(&rows).await {
            Ok(()) => {
                for (row, answer) in rows.iter().zip(answers) {
                    drop(answer.send(Ok(row.record.position)));
                }
            }
            Err(failure) => answer_all(answers.into_iter(), &failure),
        }
    }

    /// The boundary's newest position, if it is what the caller expects.
    async fn check_guard(&mut self, boundary: Boundary, expected: Expected) -> Result<Position, AppendError> {
        let last = match self.last.get(&boundary) {
            Some(last) => *last,
            None => match self.storage.boundary_tail(boundary).await {
                Ok(last) => last,
                Err(error) => {
                    return Err(AppendError::Unknown(format!("log.db can't be read: {error}")));
                }
            },
        };
        self.last.insert(boundary, last);
        if Expected::after(Some(last)) == expected {
            Ok(last)
        } else {
            Err(AppendError::Conflict)
        }
    }

    /// The row for the next position after the `before` ones of this transaction; its boundary now ends there.
    fn row(&mut self, boundary: Boundary, bytes: Bytes, previous: Position, before: usize) -> Row {
        let position = Position(self.tail.0 + before as u64 + 1);
        self.last.insert(boundary, position);
        Row {
            record: Record {
                position,
                boundary,
                bytes,
            },
            previous,
        }
    }

    /// Stores the rows and shows them to the followers; on a failure finds out what is certain.
    async fn store(&mut self, rows: &[Row]) -> Result<(), AppendError> {
        let failure = match self.storage.insert(rows).await {
            Ok(()) => {
                self.tail = Position(self.tail.0 + rows.len() as u64);
                self.recent
                    .publish(rows.iter().map(|row| row.record.clone()), self.tail);
                return Ok(());
            }
            Err(failure) => failure,
        };
        self.last.clear();
        if let StorageError::Full(reason) = &failure
            && matches!(self.storage.tail().await, Ok(tail) if tail == self.tail)
        {
            return Err(AppendError::Full(format!("log.db: {reason}")));
        }
        error!(%failure, "appending to log.db failed; the file is opened again before anything is acknowledged");
        self.broken = Some(failure.to_string());
        drop(self.recover().await);
        Err(AppendError::Unknown(format!("log.db: {failure}")))
    }

    /// After a failure: opens the file again and learns what became durable. Nothing to do otherwise.
    async fn recover(&mut self) -> Result<(), String> {
        let Some(reason) = &self.broken else { return Ok(()) };
        let reopened = async {
            self.storage.reopen().await?;
            self.storage.tail().await
        };
        let tail = match reopened.await {
            Ok(tail) if tail >= self.tail => tail,
            Ok(tail) => {
                error!(acknowledged = %self.tail, found = %tail, "log.db lost acknowledged records; nothing is appended");
                return Err(format!(
                    "log.db ends at {tail}, but {} was acknowledged",
                    self.tail
                ));
            }
            Err(error) => {
                return Err(format!(
                    "log.db failed ({reason}) and can't be opened again: {error}"
                ));
            }
        };
        info!(position = %tail, "log.db is open again");
        self.broken = None;
        self.last.clear();
        if tail > self.tail {
            self.tail = tail;
            self.recent.skip_to(tail);
        }
        Ok(())
    }
}

fn answer_all(
    answers: impl Iterator<Item = oneshot::Sender<Result<Position, AppendError>>>,
    failure: &AppendError,
) {
    for answer in answers {
        drop(answer.send(Err(failure.clone())));
    }
}
