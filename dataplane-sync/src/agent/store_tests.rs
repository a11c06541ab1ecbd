//! The store over crashes: what is torn or stale is left out, never believed.

use std::fs;

use domain::{Digest, EntityId, GroupId, Kind, SnapshotDigest, Timestamp, Version};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::native::frames::{EntityKey, EntityRecord, Snapshot};

fn origin() -> Origin {
    Origin {
        log: Uuid::from_u128(1),
        group: GroupId(Uuid::from_u128(2)),
    }
}

fn record(number: u128) -> EntityRecord {
    let id = EntityId(Uuid::from_u128(number));
    EntityRecord {
        kind: "services".into(),
        id,
        body: format!(r#"{{"id":"{id}","name":"service-{number}"}}"#).into(),
    }
}

fn digest_of(numbers: impl IntoIterator<Item = u128>) -> Digest {
    let mut hashes = SnapshotDigest::default();
    for number in numbers {
        let record = record(number);
        hashes.put(Kind::named("services").unwrap(), record.id, &record.body);
    }
    hashes.digest()
}

/// At version n the services 1..=n exist.
fn delta(to: Version) -> Delta {
    Delta {
        from: to - 1,
        to,
        at: Timestamp(to as i64),
        digest: digest_of(1..=u128::from(to)),
        upserts: vec![record(u128::from(to))],
        deletes: Vec::<EntityKey>::new(),
    }
}

fn replica(version: Version) -> Replica {
    let mut replica = Replica::of(origin());
    let snapshot = Snapshot {
        version,
        at: Timestamp(version as i64),
        digest: digest_of(1..=u128::from(version)),
        entities: (1..=u128::from(version)).map(record).collect(),
    };
    replica.replace(&snapshot).unwrap();
    replica
}

/// A store with base version 3 and the changes to 4, 5 and 6.
fn written() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut store, empty) = Store::open(directory.path()).unwrap();
    assert_eq!(empty.applied(), None);
    store.rewrite(&replica(3)).unwrap();
    store.append(&[delta(4), delta(5)]).unwrap();
    store.append(&[delta(6)]).unwrap();
    directory
}

fn version_in(directory: &TempDir) -> Option<Version> {
    let (_, replica) = Store::open(directory.path()).unwrap();
    replica.applied().map(|applied| applied.version)
}

#[test]
fn what_was_written_is_read() {
    let directory = written();
    let (_, replica) = Store::open(directory.path()).unwrap();
    assert_eq!(replica.origin(), Some(origin()));
    assert_eq!(replica.applied(), self::replica(6).applied());
    assert_eq!(replica.len(), 6);
}

#[test]
fn a_torn_change_is_left_out_and_written_over() {
    let directory = written();
    let deltas = directory.path().join(DELTAS);
    let bytes = fs::read(&deltas).unwrap();
    let mut versions = Vec::new();
    for length in (0..bytes.len()).rev() {
        fs::write(&deltas, &bytes[..length]).unwrap();
        versions.push(version_in(&directory).unwrap());
    }
    assert!(
        versions.is_sorted_by(|later, earlier| later >= earlier),
        "{versions:?}"
    );
    assert_eq!((versions[0], *versions.last().unwrap()), (5, 3));

    fs::write(&deltas, &bytes[..bytes.len() - 1]).unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.append(&[delta(6)]).unwrap();
    assert_eq!(version_in(&directory), Some(6));
}

#[test]
fn a_damaged_byte_is_never_believed() {
    let directory = written();
    let deltas = directory.path().join(DELTAS);
    let bytes = fs::read(&deltas).unwrap();
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        fs::write(&deltas, &damaged).unwrap();
        let (_, replica) = Store::open(directory.path()).unwrap();
        let version = replica.applied().unwrap().version;
        assert_eq!(replica.applied(), self::replica(version).applied());
    }
}

#[test]
fn changes_older_than_the_base_are_passed_over() {
    let directory = written();
    let changes = fs::read(directory.path().join(DELTAS)).unwrap();
    let (mut store, _) = Store::open(directory.path()).unwrap();
    store.rewrite(&replica(5)).unwrap();
    // As if the process had been killed between the two files.
    fs::write(directory.path().join(DELTAS), changes).unwrap();
    assert_eq!(version_in(&directory), Some(6));
}

#[test]
fn a_damaged_base_starts_over() {
    let directory = written();
    fs::write(directory.path().join(BASE), b"not a base").unwrap();
    assert_eq!(version_in(&directory), None);
}
