//! The log in a SQLite file.

use std::sync::Arc;

use commands::log::SqliteLog;
use commands::tasks::Tasks;
use domain::log::{AppendError, ReadError};
use domain::{EventLog, Expected, Position};
use futures::{StreamExt, future};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use crate::suite::{Site, append, append_many, boundary_records, commit_id, conformance, followed, group};

struct Sqlite {
    directory: TempDir,
    tasks: Tasks,
    log: Arc<SqliteLog>,
}

impl Sqlite {
    async fn open(directory: TempDir, max_bytes: Option<u64>) -> Self {
        let tasks = Tasks::default();
        let log = SqliteLog::open(&directory.path().join("log.db"), max_bytes, &tasks)
            .await
            .unwrap();
        Self {
            directory,
            tasks,
            log: Arc::new(log),
        }
    }

    /// Closes the log and leaves the file.
    async fn close(self) -> TempDir {
        self.tasks.shut_down().await;
        self.directory
    }

    /// Changes the closed file behind the log's back.
    async fn tamper(self, sql: &'static str) -> Self {
        let directory = self.close().await;
        let url = format!("sqlite://{}", directory.path().join("log.db").display());
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        sqlx::query(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        Self::open(directory, None).await
    }
}

impl Site for Sqlite {
    async fn fresh() -> Self {
        Self::open(tempfile::tempdir().unwrap(), None).await
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn restart(self) -> Self {
        Self::open(self.close().await, None).await
    }
}

conformance!(Sqlite);

#[tokio::test]
async fn pages_of_a_long_log_join_without_a_gap() {
    let site = Sqlite::fresh().await;
    let writers = (0..50).map(|number| append_many(&*site.log, group(number), 100));
    future::join_all(writers).await;
    let site = site.restart().await;
    let records = followed(&*site.log, Position::START, 5_000).await;
    assert!(
        records
            .iter()
            .zip(1..)
            .all(|(record, position)| record.position == Position(position))
    );
    assert_eq!(boundary_records(&*site.log, group(7)).await.len(), 100);
}

#[tokio::test]
async fn a_lost_tail_is_damage_to_whoever_read_it() {
    let site = Sqlite::fresh().await;
    append_many(&*site.log, group(1), 5).await;
    let site = site.tamper("DELETE FROM record WHERE position > 3").await;
    assert!(matches!(
        site.log.follow(Position(5)).next().await,
        Some(Err(ReadError::Damaged(_)))
    ));
}

#[tokio::test]
async fn a_missing_record_is_a_gap() {
    let site = Sqlite::fresh().await;
    append_many(&*site.log, group(1), 5).await;
    let site = site.tamper("DELETE FROM record WHERE position = 3").await;
    let read: Vec<_> = site.log.follow(Position(1)).collect().await;
    let gap = ReadError::Gap {
        expected: Position(3),
        found: Position(4),
    };
    assert_eq!(read.last(), Some(&Err(gap)));
}

#[tokio::test]
async fn a_file_that_was_made_again_is_another_log() {
    let site = Sqlite::fresh().await;
    let identity = site.log.identity().to_owned();
    let site = site.restart().await;
    assert_eq!(site.log.identity(), identity);
    assert_ne!(Sqlite::fresh().await.log.identity(), identity);
}

#[tokio::test]
async fn a_log_that_reached_its_limit_refuses_and_keeps_what_it_has() {
    let site = Sqlite::open(tempfile::tempdir().unwrap(), Some(512 * 1024)).await;
    let text = "x".repeat(32 * 1024);
    let mut last = None;
    let refusal = loop {
        match append(
            &*site.log,
            group(1),
            Expected::after(last),
            commit_id(1, last.map_or(0, |p: Position| p.0)),
            &text,
        )
        .await
        {
            Ok(position) => last = Some(position),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, AppendError::Full(_)), "{refusal:?}");
    assert_eq!(site.log.tail().await, Ok(last.unwrap()));
    // The same guard still holds once there is room again.
    let site = site.restart().await;
    assert!(
        append(
            &*site.log,
            group(1),
            Expected::after(last),
            commit_id(2, 1),
            &text
        )
        .await
        .is_ok()
    );
}

#[tokio::test]
async fn a_closed_log_refuses() {
    let site = Sqlite::fresh().await;
    site.tasks.shut_down().await;
    let answer = append(&*site.log, group(1), Expected::Empty, commit_id(1, 1), "late").await;
    assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
}
