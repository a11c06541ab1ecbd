//! A log in memory, for tests: nothing is durable, and faults come when asked for.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::log::{AppendError, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;

use super::invariants::{check_size, check_tail};

/// What the next append meets instead of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered `Unknown`, although it is stored.
    UnknownStored,
    /// Answered `Unknown`; stored when [`MemoryLog::deliver_delayed`] is called, if its guard still holds then.
    UnknownStoredLater,
    /// Answered `Unknown` and never stored.
    UnknownLost,
    /// Answered `Conflict` without a look at the guard.
    Conflict,
    /// Answered `Full`; nothing is stored.
    Full,
}

/// An [`EventLog`] in memory. Clones share the records.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    tail: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    last: HashMap<Boundary, Position>,
    faults: VecDeque<Fault>,
    delayed: Vec<Delayed>,
}

/// An append that is still under way after its caller was told `Unknown`.
#[derive(Debug)]
struct Delayed {
    boundary: Boundary,
    expected: Expected,
    bytes: Bytes,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::default(),
            tail: watch::Sender::new(Position::START),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Lets the next append without a fault of its own meet this one; several faults queue up.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push_back(fault);
    }

    /// Stores the appends that were answered `Unknown` and delayed, where their guards still hold.
    pub fn deliver_delayed(&self) {
        let mut state = self.shared.state();
        for append in std::mem::take(&mut state.delayed) {
            if state.guard_holds(append.boundary, append.expected) {
                self.shared.store(&mut state, append.boundary, append.bytes);
            }
        }
    }

    /// Forgets every record after this position, as a broken disk would.
    pub fn lose_tail(&self, keep: Position) {
        let mut state = self.shared.state();
        state.records.truncate(keep.0 as usize);
        state.last = state
            .records
            .iter()
            .map(|record| (record.boundary, record.position))
            .collect();
        self.shared.tail.send_replace(keep);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self, state: &mut State, boundary: Boundary, bytes: Bytes) -> Position {
        let position = Position(state.records.len() as u64).next();
        state.records.push(Record {
            position,
            boundary,
            bytes,
        });
        state.last.insert(boundary, position);
        self.tail.send_replace(position);
        position
    }
}

impl State {
    fn guard_holds(&self, boundary: Boundary, expected: Expected) -> bool {
        Expected::after(self.last.get(&boundary).copied()) == expected
    }

    fn record_after(&self, position: Position) -> Option<&Record> {
        self.records.get(position.0 as usize)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        _id: CommitId,
        record: Bytes,
    ) -> Result<Position, AppendError> {
        check_size(record.len(), self.record_limit())?;
        let mut state = self.shared.state();
        let fault = state.faults.pop_front();
        match fault {
            Some(Fault::Conflict) => return Err(AppendError::Conflict),
            Some(Fault::Full) => return Err(AppendError::Full("a fault was injected".to_owned())),
            _ if !state.guard_holds(boundary, expected) => return Err(AppendError::Conflict),
            Some(Fault::UnknownStoredLater) => {
                state.delayed.push(Delayed {
                    boundary,
                    expected,
                    bytes: record,
                });
            }
            Some(Fault::UnknownLost) => {}
            None | Some(Fault::UnknownStored) => {
                let position = self.shared.store(&mut state, boundary, record);
                if fault.is_none() {
                    return Ok(position);
                }
            }
        }
        Err(AppendError::Unknown("a fault was injected".to_owned()))
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        let shared = self.shared.clone();
        let tail = shared.tail.subscribe();
        let start = check_tail(*tail.borrow(), after);
        if let Err(error) = start {
            return stream::once(async { Err(error) }).boxed();
        }
        stream::unfold((shared, tail, after), |(shared, mut tail, last)| async move {
            loop {
                let next = shared.state().record_after(last).cloned();
                if let Some(record) = next {
                    let last = record.position;
                    return Some((Ok(record), (shared, tail, last)));
                }
                tail.changed().await.ok()?;
            }
        })
        .boxed()
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        let state = self.shared.state();
        let records: Vec<_> = state
            .records
            .iter()
            .skip(after.0 as usize)
            .filter(|record| record.boundary == boundary)
            .cloned()
            .map(Ok)
            .collect();
        stream::iter(records).boxed()
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        let Some(before) = position.0.checked_sub(1) else {
            return Ok(None);
        };
        Ok(self.shared.state().record_after(Position(before)).cloned())
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        Ok(*self.shared.tail.borrow())
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        Ok(self.shared.state().last.get(&boundary).copied())
    }
}
