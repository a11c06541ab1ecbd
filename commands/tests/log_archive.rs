//! `log export`, `log import` and `log verify` over the logs and keyrings of this machine.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use commands::keyring::{
    KeyPages, MasterKey, MemoryKeyring, MemoryPages, PagedKeyring, SqliteKeyring, SqlitePages,
};
use commands::log::archive::{FrameError, ImportError, Imported, export, import};
use commands::log::verify::{Evidence, Verified, VerifyError, verify};
use commands::log::{MemoryLog, SqliteLog};
use commands::tasks::Tasks;
use domain::chain::ChainError;
use domain::codec::encode_changes;
use domain::keyring::KeyState;
use domain::system::{Authority, SystemEvent};
use domain::{
    Actor, Boundary, Change, CommitId, DataKeys, Digest, EventLog, Expected, GroupId, KeyId, Keyring,
    Position, Record, Secret, Timestamp,
};
use futures::{StreamExt, TryStreamExt};
use uuid::Uuid;

const SYSTEM_KEY: KeyId = KeyId {
    boundary: Boundary::System,
    owner: None,
};

fn group(number: u128) -> Boundary {
    Boundary::Group(GroupId(Uuid::from_u128(number)))
}

async fn append(log: &dyn EventLog, boundary: Boundary, bytes: Bytes) -> Position {
    let expected = Expected::after(log.boundary_tail(boundary).await.unwrap());
    log.append(boundary, expected, CommitId(Uuid::nil()), bytes)
        .await
        .unwrap()
}

/// A log with some records of three boundaries.
async fn some_log() -> MemoryLog {
    let log = MemoryLog::new();
    for number in 0..30 {
        append(&log, group(number % 3), Bytes::from(format!("record {number}"))).await;
    }
    log
}

async fn records(log: &dyn EventLog) -> Vec<Record> {
    let tail = log.tail().await.unwrap();
    log.follow(Position::START)
        .take(tail.0 as usize)
        .try_collect()
        .await
        .unwrap()
}

async fn exported(log: &dyn EventLog, keyring: Option<&dyn KeyPages>) -> Vec<u8> {
    let mut file = Vec::new();
    export(log, "the log", keyring, &mut file, |_| {}).await.unwrap();
    file
}

async fn imported(log: &dyn EventLog, file: &[u8]) -> Result<Imported, ImportError> {
    import(log, None, file, |_| {}).await
}

async fn sqlite_log(directory: &Path) -> SqliteLog {
    SqliteLog::open(&directory.join("log.db"), None, &Tasks::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn every_record_arrives_at_its_position_on_another_engine() {
    let directory = tempfile::tempdir().unwrap();
    let source = some_log().await;
    let target = sqlite_log(directory.path()).await;
    let done = imported(&target, &exported(&source, None).await).await.unwrap();
    assert_eq!(
        done,
        Imported {
            identity: "the log".to_owned(),
            records: 30,
            already: 0,
            pages: 0
        }
    );
    assert_eq!(records(&target).await, records(&source).await);
    // Guards hold there as they did here.
    append(&target, group(1), Bytes::from_static(b"next")).await;
}

#[tokio::test]
async fn an_import_that_was_cut_off_continues_where_it_ended() {
    let source = some_log().await;
    let file = exported(&source, None).await;
    let target = MemoryLog::new();
    let cut = imported(&target, &file[..file.len() / 2]).await;
    assert!(
        matches!(cut, Err(ImportError::File(FrameError::CutOff(_)))),
        "{cut:?}"
    );
    let before = target.tail().await.unwrap().0;
    assert!(before > 0 && before < 30);
    let done = imported(&target, &file).await.unwrap();
    assert_eq!((done.already, done.records), (before, 30));
    assert_eq!(records(&target).await, records(&source).await);
    assert_eq!(imported(&target, &file).await.unwrap().already, 30);
}

#[tokio::test]
async fn an_import_over_an_unreliable_log_stores_each_record_once() {
    use commands::log::Fault;
    let source = some_log().await;
    let target = MemoryLog::new();
    target.inject(Fault::UnknownStored);
    target.inject(Fault::UnknownLost);
    imported(&target, &exported(&source, None).await).await.unwrap();
    assert_eq!(records(&target).await, records(&source).await);
}

#[tokio::test]
async fn another_log_or_a_longer_one_is_left_alone() {
    let file = exported(&some_log().await, None).await;
    let other = MemoryLog::new();
    append(&other, group(1), Bytes::from_static(b"something else")).await;
    assert!(matches!(
        imported(&other, &file).await,
        Err(ImportError::OtherLog(Position(1)))
    ));
    assert_eq!(other.tail().await, Ok(Position(1)));
    let longer = some_log().await;
    append(&longer, group(1), Bytes::from_static(b"one more")).await;
    assert!(matches!(
        imported(&longer, &file).await,
        Err(ImportError::Longer { .. })
    ));
}

#[tokio::test]
async fn a_damaged_file_is_noticed_at_whatever_byte() {
    let log = MemoryLog::new();
    append(&log, group(1), Bytes::from_static(b"the only record")).await;
    let file = exported(&log, None).await;
    for byte in 0..file.len() {
        let mut damaged = file.clone();
        damaged[byte] ^= 1;
        assert!(
            imported(&MemoryLog::new(), &damaged).await.is_err(),
            "byte {byte}"
        );
    }
    for length in 0..file.len() {
        assert!(
            imported(&MemoryLog::new(), &file[..length]).await.is_err(),
            "length {length}"
        );
    }
}

#[tokio::test]
async fn keys_travel_with_the_log_unless_they_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let master = MasterKey::generate();
    let source = PagedKeyring::open(MemoryPages::default(), master.clone())
        .await
        .unwrap();
    let ids = BTreeSet::from([
        SYSTEM_KEY,
        KeyId {
            owner: Some(Uuid::nil()),
            ..SYSTEM_KEY
        },
    ]);
    source.ensure(&ids).await.unwrap();
    source
        .destroy(
            &[KeyId {
                owner: Some(Uuid::nil()),
                ..SYSTEM_KEY
            }]
            .into(),
        )
        .await
        .unwrap();
    let log = some_log().await;
    let file = exported(&log, Some(&source)).await;

    let store = SqlitePages::open(&directory.path().join("keys.db"))
        .await
        .unwrap();
    let target = SqliteKeyring::open(store, master).await.unwrap();
    let done = import(&MemoryLog::new(), Some(&target), &file[..], |_| {})
        .await
        .unwrap();
    assert_eq!(done.pages, 1);
    assert!(matches!(target.data_key(SYSTEM_KEY), Ok(KeyState::Present(_))));
    assert!(matches!(
        target.data_key(KeyId {
            owner: Some(Uuid::nil()),
            ..SYSTEM_KEY
        }),
        Ok(KeyState::Destroyed)
    ));

    assert!(matches!(
        imported(&MemoryLog::new(), &file).await,
        Err(ImportError::NoKeyring)
    ));
    let stranger = MemoryKeyring::in_memory();
    let refused = import(&MemoryLog::new(), Some(&stranger), &file[..], |_| {}).await;
    assert!(matches!(refused, Err(ImportError::Keyring(_))), "{refused:?}");
    imported(&MemoryLog::new(), &exported(&log, None).await)
        .await
        .unwrap();
}

/// Appends a commit that makes an authority, whose private key is sealed.
async fn append_commit(log: &MemoryLog, keyring: &MemoryKeyring) -> Bytes {
    keyring.ensure(&BTreeSet::from([SYSTEM_KEY])).await.unwrap();
    let last = log
        .boundary_tail(Boundary::System)
        .await
        .unwrap()
        .unwrap_or_default();
    let digest = match log.record_at(last).await.unwrap() {
        Some(record) => Digest::of(&record.bytes),
        None => Digest::ZERO,
    };
    let authority = Authority {
        certificate: "public".to_owned(),
        key: Secret::new("private".to_owned()),
    };
    let change = Change {
        version: last.0 + 1,
        at: Timestamp(0),
        clock: Timestamp(0),
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: None,
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: 1,
        events: vec![SystemEvent::AuthorityCreated { authority }],
    };
    let encoded = encode_changes(
        CommitId(Uuid::nil()),
        Boundary::System,
        &[change],
        keyring,
        log.record_limit(),
    )
    .unwrap();
    let record = encoded.record(0, last, digest, None);
    append(log, Boundary::System, record.clone()).await;
    record
}

#[tokio::test]
async fn a_log_without_a_fault_is_verified_to_its_end() {
    let (log, keyring) = (MemoryLog::new(), MemoryKeyring::in_memory());
    for _ in 0..3 {
        append_commit(&log, &keyring).await;
    }
    let verified = verify(&log, &keyring, Evidence::default(), |_| {}).await.unwrap();
    assert_eq!(
        verified,
        Verified {
            records: 3,
            commits: 3,
            boundaries: 1,
            head: None,
        }
    );
}

#[tokio::test]
async fn a_record_that_does_not_follow_the_one_before_is_named() {
    let (log, keyring) = (MemoryLog::new(), MemoryKeyring::in_memory());
    let first = append_commit(&log, &keyring).await;
    append(&log, Boundary::System, first).await;
    let refused = verify(&log, &keyring, Evidence::default(), |_| {}).await;
    let named = matches!(
        &refused,
        Err(VerifyError::Chain(ChainError::Broken {
            position: Position(2),
            ..
        }))
    );
    assert!(named, "{refused:?}");
}

#[tokio::test]
async fn a_record_that_is_no_commit_is_named() {
    let (log, keyring) = (MemoryLog::new(), MemoryKeyring::in_memory());
    append_commit(&log, &keyring).await;
    append(&log, group(1), Bytes::from_static(b"\x01nonsense")).await;
    let refused = verify(&log, &keyring, Evidence::default(), |_| {}).await;
    let named = matches!(
        &refused,
        Err(VerifyError::Chain(ChainError::Undecodable {
            position: Position(2),
            ..
        }))
    );
    assert!(named, "{refused:?}");
}

#[tokio::test]
async fn a_keyring_of_another_log_is_noticed() {
    let (log, keyring) = (MemoryLog::new(), MemoryKeyring::in_memory());
    append_commit(&log, &keyring).await;
    let empty = verify(&log, &MemoryKeyring::in_memory(), Evidence::default(), |_| {}).await;
    assert!(
        matches!(
            empty,
            Err(VerifyError::Keyring {
                position: Position(1),
                ..
            })
        ),
        "{empty:?}"
    );
    let other = MemoryKeyring::in_memory();
    other.ensure(&BTreeSet::from([SYSTEM_KEY])).await.unwrap();
    let other = verify(&log, &other, Evidence::default(), |_| {}).await;
    assert!(
        matches!(
            other,
            Err(VerifyError::Changes {
                position: Position(1),
                ..
            })
        ),
        "{other:?}"
    );
}
