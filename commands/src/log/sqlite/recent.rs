//! What the writer shows to the readers: the durable tail and the newest records.

use std::sync::{Mutex, PoisonError};

use domain::{Position, Record};
use tokio::sync::watch;

use super::ring::Ring;

/// The durable tail and the newest records up to it.
#[derive(Debug)]
pub(super) struct Recent {
    ring: Mutex<Ring>,
    tail: watch::Sender<Position>,
}

impl Recent {
    /// Nothing recent: the file ends at `tail`.
    pub(super) fn new(tail: Position) -> Self {
        Self {
            ring: Mutex::default(),
            tail: watch::Sender::new(tail),
        }
    }

    /// Shows records that have just become durable, up to the new tail.
    pub(super) fn publish(&self, records: impl Iterator<Item = Record>, tail: Position) {
        self.with_ring(|ring| records.for_each(|record| ring.push(record)));
        self.tail.send_replace(tail);
    }

    /// The file holds records up to `tail` that never passed through here: readers find them there.
    pub(super) fn skip_to(&self, tail: Position) {
        self.with_ring(Ring::clear);
        self.tail.send_replace(tail);
    }

    /// The newest durable position.
    pub(super) fn tail(&self) -> Position {
        *self.tail.borrow()
    }

    /// Tells when the tail moves.
    pub(super) fn watch(&self) -> watch::Receiver<Position> {
        self.tail.subscribe()
    }

    /// Records after a position, if they are all still in memory.
    pub(super) fn after(&self, position: Position) -> Option<Vec<Record>> {
        self.with_ring(|ring| ring.after(position))
    }

    fn with_ring<T>(&self, use_ring: impl FnOnce(&mut Ring) -> T) -> T {
        use_ring(&mut self.ring.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
