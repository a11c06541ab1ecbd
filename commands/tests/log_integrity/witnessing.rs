//! A server witnesses what becomes durable, and doesn't start on a log that isn't the one it has seen.

use commands::log::witness::WitnessError;
use domain::{EventLog, Position};

use crate::installation::Installation;

#[tokio::test]
async fn what_is_durable_is_signed_while_the_server_runs() {
    let installation = Installation::new();
    let server = installation.start().await.unwrap();
    server.initialize().await;
    assert_eq!(server.signed().await.head.position, Position(1));
    server.register("second").await;
    let signed = server.signed().await;
    assert_eq!(installation.head(), signed);
    assert_eq!(installation.verify(None).await.unwrap().head, Some(Position(2)));
    server.stop().await;
}

#[tokio::test]
async fn the_last_record_is_signed_before_the_end() {
    let installation = Installation::new();
    for number in 0..3 {
        let server = installation.start().await.unwrap();
        match number {
            0 => server.initialize().await,
            _ => server.register("one more").await,
        }
        server.stop().await;
        assert_eq!(installation.head().head.position, Position(number + 1));
    }
}

#[tokio::test]
async fn records_that_were_not_signed_yet_are_counted() {
    let installation = Installation::with_history().await;
    let before = (
        std::fs::read(installation.path("head.json")).unwrap(),
        std::fs::read(installation.path("witness")).unwrap(),
    );
    let server = installation.start().await.unwrap();
    server.register("after the head").await;
    server.stop().await;
    std::fs::write(installation.path("head.json"), before.0).unwrap();
    std::fs::write(installation.path("witness"), before.1).unwrap();
    let verified = installation.verify(None).await.unwrap();
    assert_eq!((verified.records, verified.head), (12, Some(Position(11))));
}

#[tokio::test]
async fn a_log_that_lost_its_tail_is_not_started_on() {
    let installation = Installation::with_history().await;
    sqlx::query("DELETE FROM record WHERE position = 11")
        .execute(&mut installation.sql().await)
        .await
        .unwrap();
    let refused = installation.start().await.err().unwrap();
    let WitnessError::LostTail { tail, head, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!((tail, head), (Position(10), Position(11)));
}

#[tokio::test]
async fn a_log_with_another_last_record_is_not_started_on() {
    let installation = Installation::with_history().await;
    sqlx::query("UPDATE record SET bytes = zeroblob(9) WHERE position = 11")
        .execute(&mut installation.sql().await)
        .await
        .unwrap();
    let refused = installation.start().await.err().unwrap();
    assert!(matches!(refused, WitnessError::Rewritten { .. }), "{refused}");
}

#[tokio::test]
async fn a_head_of_another_installation_is_not_started_with() {
    let (installation, other) = (
        Installation::with_history().await,
        Installation::with_history().await,
    );
    std::fs::copy(other.path("head.json"), installation.path("head.json")).unwrap();
    let refused = installation.start().await.err().unwrap();
    assert!(matches!(refused, WitnessError::Head { .. }), "{refused}");
}

#[tokio::test]
async fn a_log_with_another_first_record_is_another_log() {
    let installation = Installation::with_history().await;
    sqlx::query("UPDATE record SET bytes = zeroblob(9) WHERE position = 1")
        .execute(&mut installation.sql().await)
        .await
        .unwrap();
    let refused = installation.start().await.err().unwrap();
    assert!(matches!(refused, WitnessError::OtherLog { .. }), "{refused}");
}

#[tokio::test]
async fn a_missing_head_is_made_anew_from_the_first_record() {
    let installation = Installation::with_history().await;
    let before = (
        installation.head(),
        std::fs::read(installation.path("witness")).unwrap(),
    );
    for file in ["head.json", "witness"] {
        std::fs::remove_file(installation.path(file)).unwrap();
    }
    let server = installation.start().await.unwrap();
    assert_eq!(server.signed().await, before.0);
    server.stop().await;
    assert_eq!(std::fs::read(installation.path("witness")).unwrap(), before.1);
}

/// As a power loss may leave it, which keeps the younger head and not all of the digests.
#[tokio::test]
async fn digests_that_are_missing_before_the_head_are_made_again_from_the_log() {
    let installation = Installation::with_history().await;
    let whole = std::fs::read(installation.path("witness")).unwrap();
    for kept in [0, 20, 32, 32 * 5, 32 * 5 + 3] {
        std::fs::write(installation.path("witness"), &whole[..kept]).unwrap();
        installation.start().await.unwrap().stop().await;
        assert_eq!(std::fs::read(installation.path("witness")).unwrap(), whole);
    }
}

#[tokio::test]
async fn a_log_is_read_beside_its_server_and_not_written() {
    let installation = Installation::new();
    let server = installation.start().await.unwrap();
    server.initialize().await;
    let beside = installation.log().await;
    assert_eq!(beside.tail().await.unwrap(), Position(1));
    let record = beside.record_at(Position(1)).await.unwrap().unwrap();
    let refused = beside
        .append(
            record.boundary,
            domain::Expected::At(Position(1)),
            domain::CommitId(uuid::Uuid::nil()),
            record.bytes,
        )
        .await;
    assert!(refused.is_err());
    assert_eq!(server.log.tail().await.unwrap(), Position(1));
    server.stop().await;
}
