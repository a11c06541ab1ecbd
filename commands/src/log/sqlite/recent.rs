//! What the writer shows to the readers: the durable tail and the newest records.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Boundary, Position, Record};
use tokio::sync::watch;

use super::ring::Ring;

/// The durable tail and the newest records up to it.
#[derive(Debug)]
pub(super) struct Recent {
    newest: Mutex<Newest>,
    tail: watch::Sender<Position>,
}

#[derive(Debug, Default)]
struct Newest {
    ring: Ring,
    /// Where boundaries end that were written or asked for since the file was opened.
    ends: HashMap<Boundary, Position>,
    /// How often the file got records that never passed through here.
    skips: u64,
}

/// What is known of a boundary's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ends here.
    Known(Position),
    /// Nothing; [`Recent::remember`] takes what the file says, with this.
    Unknown { skips: u64 },
}

impl Recent {
    /// Nothing recent: the file ends at `tail`.
    pub(super) fn new(tail: Position) -> Self {
        Self {
            newest: Mutex::default(),
            tail: watch::Sender::new(tail),
        }
    }

    /// Shows records that have just become durable, up to the new tail.
    pub(super) fn publish(&self, records: impl Iterator<Item = Record>, tail: Position) {
        self.with_newest(|newest| {
            for record in records {
                newest.ends.insert(record.boundary, record.position);
                newest.ring.push(record);
            }
        });
        self.tail.send_replace(tail);
    }

    /// The file holds records up to `tail` that never passed through here: readers find them there.
    pub(super) fn skip_to(&self, tail: Position) {
        self.with_newest(|newest| {
            newest.ring.clear();
            newest.ends.clear();
            newest.skips += 1;
        });
        self.tail.send_replace(tail);
    }

    /// Where a boundary ends, without touching the file.
    pub(super) fn boundary_end(&self, boundary: Boundary) -> End {
        self.with_newest(|newest| match newest.ends.get(&boundary) {
            Some(position) => End::Known(*position),
            None => End::Unknown { skips: newest.skips },
        })
    }

    /// Keeps what the file said of a boundary's end, unless more is known by now.
    pub(super) fn remember(&self, boundary: Boundary, position: Position, skips: u64) {
        self.with_newest(|newest| {
            if newest.skips == skips {
                newest.ends.entry(boundary).or_insert(position);
            }
        });
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
        self.with_newest(|newest| newest.ring.after(position))
    }

    fn with_newest<T>(&self, use_newest: impl FnOnce(&mut Newest) -> T) -> T {
        use_newest(&mut self.newest.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn record(position: u64) -> Record {
        Record {
            position: Position(position),
            boundary: Boundary::System,
            bytes: Bytes::new(),
        }
    }

    #[test]
    fn what_the_file_said_never_hides_a_newer_record() {
        let recent = Recent::new(Position(1));
        let End::Unknown { skips } = recent.boundary_end(Boundary::System) else {
            panic!("nothing was published");
        };
        recent.publish(std::iter::once(record(2)), Position(2));
        recent.remember(Boundary::System, Position(1), skips);
        assert_eq!(recent.boundary_end(Boundary::System), End::Known(Position(2)));
    }

    #[test]
    fn what_the_file_said_before_it_was_opened_again_is_forgotten() {
        let recent = Recent::new(Position(1));
        recent.skip_to(Position(3));
        recent.remember(Boundary::System, Position(1), 0);
        assert_eq!(recent.boundary_end(Boundary::System), End::Unknown { skips: 1 });
        recent.remember(Boundary::System, Position(3), 1);
        assert_eq!(recent.boundary_end(Boundary::System), End::Known(Position(3)));
    }
}
