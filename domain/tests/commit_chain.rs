//! What is encoded decodes; what is altered, missing or foreign is found; parts count only when whole.

use bytes::Bytes;
use domain::chain::{Accepted, BoundaryChain, ChainError};
use domain::codec::{EncodedChanges, encode_changes};
use domain::commit::Changes;
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::organization::OrganizationEvent;
use domain::{
    Actor, Boundary, Change, CommitId, DataKeys, Digest, KeyId, OrganizationId, Position, Record, Timestamp,
};
use proptest::prelude::*;
use uuid::Uuid;

struct OneKey;

impl DataKeys for OneKey {
    fn data_key(&self, _id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        Ok(KeyState::Present(DataKey([1; 32])))
    }
}

const BOUNDARY: Boundary = Boundary::Organization(OrganizationId(Uuid::nil()));

fn change(version: u64, name: &str) -> Change<OrganizationEvent> {
    Change {
        version,
        at: Timestamp(version as i64),
        clock: Timestamp(version as i64),
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: Some("because".to_owned()),
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: 1,
        events: vec![OrganizationEvent::OrganizationCreated {
            id: OrganizationId(Uuid::nil()),
            name: name.to_owned(),
        }],
    }
}

/// A log of one boundary, built as a writer would.
#[derive(Default)]
struct Written {
    records: Vec<Record>,
}

impl Written {
    fn previous(&self) -> (Position, Digest) {
        self.records
            .last()
            .map_or((Position::START, Digest::ZERO), |record| {
                (record.position, Digest::of(&record.bytes))
            })
    }

    fn part(&mut self, encoded: &EncodedChanges, index: usize, first: Option<Position>) -> Position {
        let (position, digest) = self.previous();
        let bytes = encoded.record(index, position, digest, first);
        let position = position.next();
        self.records.push(Record {
            position,
            boundary: BOUNDARY,
            bytes,
        });
        position
    }

    fn commit(&mut self, encoded: &EncodedChanges) {
        let first = self.part(encoded, 0, None);
        for index in 1..encoded.parts() {
            self.part(encoded, index, Some(first));
        }
    }
}

fn encode(changes: &[Change<OrganizationEvent>], limit: usize) -> EncodedChanges {
    let id = CommitId(Uuid::from_u128(u128::from(changes[0].version)));
    encode_changes(id, BOUNDARY, changes, &OneKey, limit).expect("the key is there")
}

fn read(chain: &mut BoundaryChain, records: &[Record]) -> Result<Vec<u64>, ChainError> {
    let mut versions = Vec::new();
    for record in records {
        if let Accepted::Commit(commit) = chain.accept(record)? {
            let commit = commit.open(&OneKey).expect("it opens");
            let Changes::Organization(_, changes) = commit.changes else {
                panic!("another boundary")
            };
            versions.extend(changes.iter().map(|change| change.version));
        }
    }
    Ok(versions)
}

/// A name that doesn't compress, so that its change needs several records of 2 KiB.
fn long_name() -> String {
    let mut text = String::new();
    for index in 0..200_u32 {
        text.push_str(&Digest::of(&index.to_le_bytes()).to_string());
    }
    text
}

#[test]
fn commits_come_back_in_order() {
    let mut log = Written::default();
    log.commit(&encode(&[change(1, "a"), change(2, "b")], 900 * 1024));
    log.commit(&encode(&[change(3, "c")], 900 * 1024));
    assert_eq!(
        read(&mut BoundaryChain::start(BOUNDARY), &log.records),
        Ok(vec![1, 2, 3])
    );
}

#[test]
fn a_change_in_parts_counts_when_its_last_part_stands() {
    let mut log = Written::default();
    let encoded = encode(&[change(1, &long_name())], 2048);
    assert!(encoded.parts() > 3);
    log.commit(&encoded);
    let whole = read(&mut BoundaryChain::start(BOUNDARY), &log.records);
    assert_eq!(whole, Ok(vec![1]));
    let cut = &log.records[..log.records.len() - 1];
    assert_eq!(read(&mut BoundaryChain::start(BOUNDARY), cut), Ok(vec![]));
}

#[test]
fn anything_between_parts_voids_them_for_ever() {
    let mut log = Written::default();
    let parts = encode(&[change(1, &long_name())], 2048);
    let first = log.part(&parts, 0, None);
    log.commit(&encode(&[change(1, "other")], 900 * 1024));
    for index in 1..parts.parts() {
        log.part(&parts, index, Some(first));
    }
    log.commit(&encode(&[change(2, "next")], 900 * 1024));
    let read = read(&mut BoundaryChain::start(BOUNDARY), &log.records[..2]);
    assert_eq!(read, Ok(vec![1]));
}

#[test]
fn a_reader_resumed_between_parts_is_told_to_read_them_again() {
    let mut log = Written::default();
    log.commit(&encode(&[change(1, "a")], 900 * 1024));
    log.commit(&encode(&[change(2, &long_name())], 2048));
    let seen = &log.records[2];
    let mut chain = BoundaryChain::resumed(BOUNDARY, seen.position, Digest::of(&seen.bytes));
    let mut last = None;
    for record in &log.records[3..] {
        last = Some(chain.accept(record).expect("the chain holds"));
    }
    assert!(matches!(last, Some(Accepted::Missing { first: Position(2) })));
    let again = read(
        &mut BoundaryChain::resumed_before_parts(BOUNDARY),
        &log.records[1..],
    );
    assert_eq!(again, Ok(vec![2]));
}

#[test]
fn a_missing_record_breaks_the_chain() {
    let mut log = Written::default();
    for version in 1..=3 {
        log.commit(&encode(&[change(version, "a")], 900 * 1024));
    }
    log.records.remove(1);
    let broken = read(&mut BoundaryChain::start(BOUNDARY), &log.records);
    assert!(matches!(
        broken,
        Err(ChainError::Broken {
            position: Position(3),
            ..
        })
    ));
}

proptest! {
    #[test]
    fn an_altered_byte_never_passes_unseen(byte in 0_usize..2000, flip in 1_u8..=255) {
        let mut log = Written::default();
        for version in 1..=3 {
            log.commit(&encode(&[change(version, "a name")], 900 * 1024));
        }
        let mut bytes = log.records[1].bytes.to_vec();
        let byte = byte % bytes.len();
        bytes[byte] ^= flip;
        log.records[1].bytes = Bytes::from(bytes);
        // The altered record may still decode, but then the one after it doesn't stand on it.
        let mut chain = BoundaryChain::start(BOUNDARY);
        let unseen = log.records.iter().all(|record| chain.accept(record).is_ok());
        prop_assert!(!unseen);
    }
}
