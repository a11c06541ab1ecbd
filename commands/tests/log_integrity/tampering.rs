//! Everything that somebody can do to `log.db` is found by `log verify`, which names the position.

use commands::log::verify::VerifyError;
use domain::{Digest, Position, Record};

use crate::installation::{Installation, rewritten};

/// What was found, in its words.
fn found(installation: &Installation, verified: Result<impl std::fmt::Debug, VerifyError>) -> String {
    match verified {
        Err(fault) => fault.to_string(),
        Ok(whole) => panic!(
            "nothing was found in {}: {whole:?}",
            installation.path("").display()
        ),
    }
}

async fn overwrite(installation: &Installation, position: Position, bytes: &[u8]) {
    let written = sqlx::query("UPDATE record SET bytes = $2 WHERE position = $1")
        .bind(position.0.cast_signed())
        .bind(bytes)
        .execute(&mut installation.sql().await)
        .await
        .unwrap();
    assert_eq!(written.rows_affected(), 1);
}

async fn execute(installation: &Installation, statements: &'static str) {
    sqlx::raw_sql(statements)
        .execute(&mut installation.sql().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_log_that_nobody_touched_is_whole() {
    let installation = Installation::with_history().await;
    let verified = installation.verify(Some(installation.head())).await.unwrap();
    assert_eq!((verified.records, verified.boundaries), (11, 2));
    assert_eq!(verified.head, Some(Position(11)));
}

#[tokio::test]
async fn every_altered_byte_of_a_record_is_found_at_its_position() {
    let installation = Installation::with_history().await;
    let records = installation.records().await;
    let log = installation.log().await;
    let mut file = installation.sql().await;
    for record in [&records[0], &records[4], &records[10]] {
        let update = "UPDATE record SET bytes = $2 WHERE position = $1";
        let position = record.position.0.cast_signed();
        for index in 0..record.bytes.len() {
            let mut bytes = record.bytes.to_vec();
            bytes[index] ^= 1 << (index % 8);
            let altered = sqlx::query(update).bind(position).bind(bytes);
            altered.execute(&mut file).await.unwrap();
            let fault = found(&installation, installation.verify_log(&log, None).await);
            let expected = format!("position {position}: ");
            assert!(
                fault.starts_with(&expected),
                "byte {index} of {position}: {fault}"
            );
        }
        let restored = sqlx::query(update).bind(position).bind(record.bytes.as_ref());
        restored.execute(&mut file).await.unwrap();
    }
    installation.verify_log(&log, None).await.unwrap();
}

/// What is altered in the file is either found, or no part of any record.
#[tokio::test]
async fn altered_bytes_of_the_file_are_found_wherever_a_record_is_another_one() {
    let original = Installation::with_history().await;
    let records = original.records().await;
    let bytes = std::fs::read(original.path("log.db")).unwrap();
    let copy = original.copy();
    for index in (0..bytes.len()).step_by(29) {
        let mut altered = bytes.clone();
        altered[index] ^= 0x10;
        for leftover in ["log.db-wal", "log.db-shm"] {
            drop(std::fs::remove_file(copy.path(leftover)));
        }
        std::fs::write(copy.path("log.db"), altered).unwrap();
        let verified = copy.verify(None).await;
        match (record_around(&records, &bytes, index), verified) {
            (Some(position), verified) => {
                let fault = found(&copy, verified);
                assert!(
                    fault.starts_with(&format!("position {position}: ")),
                    "byte {index}: {fault}"
                );
            }
            (None, Ok(_)) => assert_eq!(copy.records().await, records, "byte {index}"),
            (None, Err(_)) => {}
        }
    }
}

/// The record whose bytes stand around this place of the file.
fn record_around(records: &[Record], file: &[u8], index: usize) -> Option<Position> {
    let around = |record: &&Record| {
        let length = record.bytes.len();
        let from = index.saturating_sub(length - 1);
        let within = &file[from..(index + length).min(file.len())];
        within.windows(length).any(|window| window == record.bytes)
    };
    records.iter().find(around).map(|record| record.position)
}

#[tokio::test]
async fn a_dropped_record_is_found_the_last_one_too() {
    let original = Installation::with_history().await;
    for position in 1..=11 {
        let copy = original.copy();
        sqlx::query("DELETE FROM record WHERE position = $1")
            .bind(position)
            .execute(&mut copy.sql().await)
            .await
            .unwrap();
        let fault = found(&copy, copy.verify(None).await);
        assert!(fault.starts_with(&format!("position {position}: ")), "{fault}");
    }
}

#[tokio::test]
async fn a_dropped_record_is_found_when_those_after_it_move_up() {
    let copy = Installation::with_history().await;
    execute(
        &copy,
        "DELETE FROM record WHERE position = 6;
         UPDATE record SET position = position + 1000 WHERE position > 6;
         UPDATE record SET position = position - 1001, previous = min(previous, position - 1002) WHERE position > 1000",
    )
    .await;
    let fault = found(&copy, copy.verify(None).await);
    assert!(fault.starts_with("position 11: the record is gone"), "{fault}");
}

#[tokio::test]
async fn two_swapped_records_are_found_at_the_first() {
    let original = Installation::with_history().await;
    let records = original.records().await;
    for (first, second) in [(2_usize, 3), (2, 4), (9, 10)] {
        let copy = original.copy();
        overwrite(&copy, records[first].position, &records[second].bytes).await;
        overwrite(&copy, records[second].position, &records[first].bytes).await;
        let fault = found(&copy, copy.verify(None).await);
        assert!(fault.starts_with(&format!("position {}: ", first + 1)), "{fault}");
    }
}

#[tokio::test]
async fn altered_columns_beside_the_record_are_found() {
    let original = Installation::with_history().await;
    let statements = [
        (
            "UPDATE record SET boundary = 'rt.org.00000000000000000000000000000099' WHERE position = 5",
            5,
        ),
        ("UPDATE record SET boundary = 'nobody' WHERE position = 5", 5),
        (
            "UPDATE record SET previous = 0, boundary = 'rt.org.00000000000000000000000000000099' WHERE position = 7",
            7,
        ),
        ("UPDATE record SET previous = 3 WHERE position = 4", 4),
        ("UPDATE record SET position = 12 WHERE position = 11", 11),
    ];
    for (statement, position) in statements {
        let copy = original.copy();
        execute(&copy, statement).await;
        let fault = found(&copy, copy.verify(None).await);
        assert!(
            fault.contains(&format!("position {position}: ")),
            "{statement}: {fault}"
        );
    }
}

/// Rewrites a record and every one after it so that all chains hold.
async fn rewrite_consistently(installation: &Installation, from: Position) {
    let records = installation.records().await;
    let mut digests = std::collections::HashMap::new();
    for record in &records {
        let before = digests.get(&record.boundary).copied().unwrap_or(Digest::ZERO);
        let bytes = match record.position >= from {
            true => rewritten(record, before),
            false => record.bytes.clone(),
        };
        digests.insert(record.boundary, Digest::of(&bytes));
        overwrite(installation, record.position, &bytes).await;
    }
}

#[tokio::test]
async fn a_chain_rewritten_consistently_is_found_where_it_begins() {
    let original = Installation::with_history().await;
    for position in [1, 6, 11] {
        let copy = original.copy();
        rewrite_consistently(&copy, Position(position)).await;
        copy.verify_chains().await.expect("the chains themselves hold");
        let fault = found(&copy, copy.verify(None).await);
        assert!(fault.starts_with(&format!("position {position}: ")), "{fault}");
    }
}

#[tokio::test]
async fn a_chain_rewritten_with_head_and_witness_is_found_by_a_head_kept_elsewhere() {
    let copy = Installation::with_history().await;
    let archived = copy.head();
    rewrite_consistently(&copy, Position(6)).await;
    std::fs::remove_file(copy.path("head.json")).unwrap();
    let server = copy.start().await.unwrap();
    server.signed().await;
    server.stop().await;
    copy.verify(None).await.expect("everything here says so");
    let fault = found(&copy, copy.verify(Some(archived)).await);
    assert!(fault.starts_with("position 11: "), "{fault}");
}

#[tokio::test]
async fn an_altered_witness_is_told_from_an_altered_log() {
    let copy = Installation::with_history().await;
    let mut witness = std::fs::read(copy.path("witness")).unwrap();
    witness[32 * 4 + 7] ^= 1;
    std::fs::write(copy.path("witness"), witness).unwrap();
    let fault = found(&copy, copy.verify(None).await);
    assert!(
        fault.starts_with("position 4: the file `witness` was altered"),
        "{fault}"
    );
}

#[tokio::test]
async fn an_altered_head_or_one_of_another_installation_is_refused() {
    let copy = Installation::with_history().await;
    let other = Installation::with_history().await;
    let fault = found(&copy, copy.verify(Some(other.head())).await);
    assert!(fault.contains("it was signed with the key"), "{fault}");
    let text = std::fs::read_to_string(copy.path("head.json")).unwrap();
    std::fs::write(
        copy.path("head.json"),
        text.replace("\"position\": 11", "\"position\": 10"),
    )
    .unwrap();
    let fault = found(&copy, copy.verify(None).await);
    assert!(fault.contains("its signature is not valid"), "{fault}");
}
