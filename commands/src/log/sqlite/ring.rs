//! The newest records in memory: a follower that has caught up gets a commit without touching the file.

use std::collections::VecDeque;

use domain::{Position, Record};

/// How many bytes of records are kept.
const RING_BYTES: usize = 8 * 1024 * 1024;

/// What a record costs beside its bytes, roughly.
const RECORD_OVERHEAD: usize = 128;

/// How many records one look takes at most, so that the lock is held for microseconds.
const MOST_AT_ONCE: usize = 1_000;

/// Consecutive records up to the newest.
#[derive(Debug, Default)]
pub(super) struct Ring {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Ring {
    /// Adds the next record and forgets the oldest ones beyond the limit.
    pub(super) fn push(&mut self, record: Record) {
        self.bytes += record.bytes.len() + RECORD_OVERHEAD;
        self.records.push_back(record);
        while self.bytes > RING_BYTES && self.records.len() > 1 {
            if let Some(oldest) = self.records.pop_front() {
                self.bytes -= oldest.bytes.len() + RECORD_OVERHEAD;
            }
        }
    }

    /// Forgets everything: the records that follow don't continue these.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }

    /// The records after a position, if the ring still holds the first of them; empty if there is none yet.
    pub(super) fn after(&self, position: Position) -> Option<Vec<Record>> {
        let first = self.records.front()?.position;
        let skip = position.next().0.checked_sub(first.0)?;
        let skip = usize::try_from(skip).ok()?;
        Some(
            self.records
                .iter()
                .skip(skip)
                .take(MOST_AT_ONCE)
                .cloned()
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::Boundary;

    use super::*;

    fn record(position: u64, size: usize) -> Record {
        let bytes = Bytes::from(vec![0; size]);
        Record {
            position: Position(position),
            boundary: Boundary::System,
            bytes,
        }
    }

    #[test]
    fn it_serves_only_what_follows_without_a_gap() {
        let mut ring = Ring::default();
        assert_eq!(ring.after(Position(4)), None);
        ring.push(record(5, 10));
        ring.push(record(6, 10));
        assert_eq!(ring.after(Position(3)), None);
        assert_eq!(ring.after(Position(4)), Some(vec![record(5, 10), record(6, 10)]));
        assert_eq!(ring.after(Position(5)), Some(vec![record(6, 10)]));
        assert_eq!(ring.after(Position(6)), Some(vec![]));
    }

    #[test]
    fn it_forgets_the_oldest_beyond_its_limit() {
        let mut ring = Ring::default();
        for position in 1..=20 {
            ring.push(record(position, 1024 * 1024));
        }
        assert_eq!(ring.after(Position(10)), None);
        assert!(ring.after(Position(15)).is_some());
        assert!(ring.bytes <= RING_BYTES);
    }
}
