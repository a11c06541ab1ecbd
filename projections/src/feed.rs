//! What the reader read, for whoever follows it without holding it up: a bounded broadcast. Who falls behind finds out
//! and reads the log by itself.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::Position;
use tokio::sync::broadcast;

use crate::decoding::Decoded;

/// How many records wait for a follower before it has fallen behind.
pub(crate) const CAPACITY: usize = 1_024;

/// What the reader read.
pub(crate) struct Feed {
    position: AtomicU64,
    sender: broadcast::Sender<Decoded>,
}

impl Feed {
    /// The reader begins after a position.
    pub(crate) fn new(position: Position) -> Self {
        Self {
            position: AtomicU64::new(position.0),
            sender: broadcast::Sender::new(CAPACITY),
        }
    }

    /// The last record that the reader took. Who subscribed before asking is sent every later one.
    pub(crate) fn position(&self) -> Position {
        Position(self.position.load(Ordering::SeqCst))
    }

    /// Notes that the reader takes a record; says whether anybody wants to be sent it.
    pub(crate) fn takes(&self, position: Position) -> bool {
        self.position.store(position.0, Ordering::SeqCst);
        self.sender.receiver_count() > 0
    }

    /// Sends a record that was noted. Nobody may be there any more.
    pub(crate) fn send(&self, decoded: Decoded) {
        drop(self.sender.send(decoded));
    }

    /// Every record from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Decoded> {
        self.sender.subscribe()
    }
}
