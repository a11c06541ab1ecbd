//! Given what a process remembers, when it reads what the others wrote, then this holds.

use std::collections::BTreeMap;

use domain::{GroupId, NodeId};
use uuid::Uuid;

use super::*;
use crate::node_record::Protocol;

const HERE: ProcessId = ProcessId(Uuid::from_u128(1));
const THERE: ProcessId = ProcessId(Uuid::from_u128(2));

/// A node connected to a process at a time, and not heard of since.
fn connected(process: ProcessId, at: i64) -> NodeRecord {
    NodeRecord {
        id: NodeId(Uuid::from_u128(9)),
        group: GroupId(Uuid::nil()),
        hostname: "edge".to_owned(),
        version: "1".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        labels: BTreeMap::new(),
        credential: "token:1".to_owned(),
        protocol: Protocol::Native,
        kong: None,
        process: Some(process),
        first_seen: Timestamp(0),
        last_seen: Timestamp(at),
        connected_since: Some(Timestamp(at)),
        applied: None,
        refusal: None,
        refusals: 0,
        last_error: None,
    }
}

fn disconnected(process: ProcessId, last_seen: i64) -> NodeRecord {
    NodeRecord {
        connected_since: None,
        ..connected(process, last_seen)
    }
}

/// Connected to this process.
fn here(record: &NodeRecord) -> Remembered<'_> {
    Remembered {
        record,
        here: true,
        unwritten: false,
    }
}

/// Remembered, not connected to this process.
fn remembered(record: &NodeRecord) -> Remembered<'_> {
    Remembered {
        here: false,
        ..here(record)
    }
}

#[test]
fn given_a_node_connected_here_when_an_older_connection_elsewhere_is_read_then_it_stays_here() {
    let ours = connected(HERE, 20);
    assert!(!replaces(&connected(THERE, 10), here(&ours), Some(HERE)));
}

#[test]
fn given_a_node_connected_here_when_its_end_elsewhere_is_read_late_then_it_stays_here() {
    let ours = connected(HERE, 20);
    assert!(!replaces(&disconnected(THERE, 30), here(&ours), Some(HERE)));
}

#[test]
fn given_a_half_open_connection_here_when_the_node_is_connected_elsewhere_since_then_it_is_there() {
    let ours = connected(HERE, 20);
    assert!(replaces(&connected(THERE, 30), here(&ours), Some(HERE)));
}

#[test]
fn given_a_node_that_left_here_when_it_was_heard_of_elsewhere_later_then_it_is_there() {
    let ours = disconnected(HERE, 20);
    assert!(replaces(&connected(THERE, 30), remembered(&ours), Some(HERE)));
    assert!(!replaces(&connected(THERE, 10), remembered(&ours), Some(HERE)));
}

#[test]
fn given_what_this_process_wrote_when_it_is_read_again_then_the_memory_is_newer() {
    let ours = disconnected(HERE, 20);
    assert!(!replaces(&connected(HERE, 20), remembered(&ours), Some(HERE)));
}

#[test]
fn given_a_copy_of_anothers_record_when_it_is_read_again_then_the_store_knows_best() {
    let copy = connected(THERE, 30);
    assert!(replaces(&disconnected(THERE, 30), remembered(&copy), Some(HERE)));
}

#[test]
fn given_a_node_that_the_store_does_not_have_then_it_was_forgotten_unless_it_is_here_or_not_written_yet() {
    let (copy, ours) = (disconnected(THERE, 10), disconnected(HERE, 10));
    let unwritten = Remembered {
        unwritten: true,
        ..remembered(&ours)
    };
    assert!(was_forgotten(remembered(&copy), Some(HERE)));
    assert!(was_forgotten(remembered(&ours), Some(HERE)));
    assert!(!was_forgotten(unwritten, Some(HERE)));
    assert!(!was_forgotten(here(&connected(HERE, 10)), Some(HERE)));
}

#[test]
fn given_a_process_that_died_without_a_word_then_its_nodes_are_disconnected_after_ninety_seconds() {
    let stored = connected(THERE, 0);
    let since = |now| understood(stored.clone(), Some(HERE), Timestamp(now)).connected_since;
    assert_eq!(since(89_999), Some(Timestamp(0)));
    assert_eq!(since(90_000), None);
}

#[test]
fn given_a_process_that_has_just_started_then_nothing_that_lives_elsewhere_is_taken_over() {
    let now = Timestamp(1_000);
    assert!(
        understood(connected(THERE, 0), Some(HERE), now)
            .connected_since
            .is_some()
    );
}

#[test]
fn given_the_only_process_then_nobody_is_connected_to_what_ran_before_it() {
    let before = NodeRecord {
        process: None,
        ..connected(THERE, 0)
    };
    assert!(understood(before, None, Timestamp(1)).connected_since.is_none());
}

#[test]
fn given_a_record_from_the_future_when_it_is_read_then_its_node_counts_as_seen_now_and_not_connected() {
    let (now, ahead) = (Timestamp(1_000_000), 366 * 86_400_000);
    let record = understood(connected(THERE, ahead), Some(HERE), now);
    assert_eq!((record.last_seen, record.connected_since), (now, None));
    let minutes = 4 * 60_000;
    let record = understood(connected(THERE, now.0 + minutes), Some(HERE), now);
    assert!(record.connected_since.is_some(), "clocks of processes differ");
}
