//! Which of two records of a node holds: the one in this process's memory, or the one that the observed state has.
//! Pure; [`crate::nodes`] asks it for each stored record.
//!
//! A process knows best what is connected to it; of everything else the observed state knows best, because there the
//! record that was heard of later stays.

use domain::Timestamp;

use crate::node_record::{NodeRecord, ProcessId};

/// A node as this process remembers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remembered<'record> {
    /// Its record.
    pub(crate) record: &'record NodeRecord,
    /// Whether its connection is held by this process.
    pub(crate) here: bool,
    /// Whether the observed state doesn't have this record yet.
    pub(crate) unwritten: bool,
}

/// Whether a stored record replaces the remembered one.
pub(crate) fn replaces(stored: &NodeRecord, remembered: Remembered<'_>, process: Option<ProcessId>) -> bool {
    let ours = remembered.record;
    if ours.process != process {
        // A copy of what another process wrote.
        return true;
    }
    if stored.process == process {
        // What this process wrote itself is never newer than its memory.
        return false;
    }
    if remembered.here {
        return stored.connected_since > ours.connected_since;
    }
    stored.last_seen > ours.last_seen
}

/// Whether a node that the observed state doesn't have was forgotten, on this or another process.
pub(crate) fn was_forgotten(remembered: Remembered<'_>, process: Option<ProcessId>) -> bool {
    remembered.record.process != process || !(remembered.here || remembered.unwritten)
}

/// A stored record as it is to be understood: the process that says it holds the connection may have died, and what
/// names this process without being in its memory is of an earlier life.
pub(crate) fn understood(mut stored: NodeRecord, process: Option<ProcessId>, now: Timestamp) -> NodeRecord {
    if stored.process.is_none() || stored.process == process || stored.is_lost(now) {
        stored.connected_since = None;
    }
    if stored.last_seen > now.latest_plausible() {
        // A clock wrote it that was ahead: nobody knows when that was.
        (stored.last_seen, stored.connected_since) = (now, None);
        stored.first_seen = stored.first_seen.min(now);
    }
    stored
}

#[cfg(test)]
#[path = "fleet_merge_tests.rs"]
mod tests;
