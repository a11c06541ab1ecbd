//! Tests of the moments at which a checkpoint can be cut short: none of them looks like damage, and damage looks like none of
//! them.

use std::fs;
use std::path::{Path, PathBuf};

use domain::Timestamp;
use sqlx::SqliteConnection;
use tempfile::TempDir;

use super::Sqlite;
use super::page_digests::{PAGE_BYTES, beside};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A database with a checkpoint behind it, and with changes of the same pages, and new pages, in its write-ahead log.
async fn changed_database(home: &TempDir) -> Sqlite {
    let path = home.path().join("views.db");
    let sqlite = Sqlite::open(path.to_str().unwrap(), NOW).await.unwrap();
    {
        let mut write = sqlite.write.lock().await;
        write_states(&mut write.connection, 0..40, 1).await;
        assert!(write.empty_write_ahead_log().await.unwrap());
        write_states(&mut write.connection, 0..80, 2).await;
    }
    sqlite
}

async fn write_states(connection: &mut SqliteConnection, boundaries: std::ops::Range<u8>, content: u8) {
    for boundary in boundaries {
        let put = "INSERT INTO stored_state (boundary, state_version, position, digest, bytes) VALUES ($1, $2, 1, x'00', $3)
            ON CONFLICT (boundary) DO UPDATE SET state_version = $2, bytes = $3";
        sqlx::query(put)
            .bind(format!("boundary {boundary}"))
            .bind(i64::from(content))
            .bind(vec![content; 3_000])
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// The files as a crash leaves them.
fn left_behind(home: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [
        "views.db",
        "views.db-wal",
        "views.db-digests",
        "views.db-digests-next",
    ] {
        let from = home.path().join(name);
        if from.exists() {
            fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    copy
}

/// What a start finds: what was set aside, and how many rows there are of the newer content.
async fn start(home: &TempDir) -> (Option<String>, i64) {
    let path = home.path().join("views.db");
    let sqlite = Sqlite::open(path.to_str().unwrap(), NOW).await.unwrap();
    let damage = sqlite.set_aside().map(|aside| aside.damage.clone());
    let count = sqlx::query_scalar("SELECT count(*) FROM stored_state WHERE state_version = 2");
    let rows = count.fetch_one(&sqlite.reads.serving).await.unwrap();
    sqlite.close().await.unwrap();
    (damage, rows)
}

async fn checkpoint(sqlite: &Sqlite, statement: &'static str) {
    let mut write = sqlite.write.lock().await;
    sqlx::query(statement)
        .execute(&mut write.connection)
        .await
        .unwrap();
}

/// Puts every other page of an older file into a newer one.
fn mix(newer: &Path, older: &[u8]) {
    let mut bytes = fs::read(newer).unwrap();
    let mut pages = bytes
        .chunks_mut(PAGE_BYTES)
        .zip(older.chunks(PAGE_BYTES))
        .step_by(2);
    pages
        .by_ref()
        .for_each(|(newer, older)| newer.copy_from_slice(older));
    fs::write(newer, bytes).unwrap();
}

fn file(home: &TempDir) -> PathBuf {
    home.path().join("views.db")
}

#[tokio::test]
async fn before_it_begins_nothing_is_lost() {
    let home = tempfile::tempdir().unwrap();
    let sqlite = changed_database(&home).await;
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "before it is noted");
    assert!(sqlite.pages.prepare().unwrap());
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "after it is noted");
}

#[tokio::test]
async fn in_the_middle_it_is_made_again_from_the_write_ahead_log() {
    let home = tempfile::tempdir().unwrap();
    let sqlite = changed_database(&home).await;
    let older = fs::read(file(&home)).unwrap();
    assert!(sqlite.pages.prepare().unwrap());
    checkpoint(&sqlite, "PRAGMA wal_checkpoint(PASSIVE)").await;
    let crashed = left_behind(&home);
    mix(&file(&crashed), &older);
    assert_eq!(start(&crashed).await, (None, 80));
}

#[tokio::test]
async fn half_of_it_without_the_write_ahead_log_is_damage() {
    let home = tempfile::tempdir().unwrap();
    let sqlite = changed_database(&home).await;
    let older = fs::read(file(&home)).unwrap();
    assert!(sqlite.pages.prepare().unwrap());
    checkpoint(&sqlite, "PRAGMA wal_checkpoint(PASSIVE)").await;
    let crashed = left_behind(&home);
    mix(&file(&crashed), &older);
    fs::remove_file(beside(&file(&crashed), "-wal")).unwrap();
    let (damage, rows) = start(&crashed).await;
    assert!(damage.is_some_and(|damage| damage.contains("isn't what was written")));
    assert_eq!(rows, 0, "it is begun anew");
}

#[tokio::test]
async fn after_it_and_before_that_is_noted_everything_is_there() {
    let home = tempfile::tempdir().unwrap();
    let sqlite = changed_database(&home).await;
    assert!(sqlite.pages.prepare().unwrap());
    checkpoint(&sqlite, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "before it is noted");
    sqlite.pages.settle(true).unwrap();
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "after it is noted");
}

#[tokio::test]
async fn one_that_readers_cut_short_goes_on_later() {
    let home = tempfile::tempdir().unwrap();
    let sqlite = changed_database(&home).await;
    assert!(sqlite.pages.prepare().unwrap());
    checkpoint(&sqlite, "PRAGMA wal_checkpoint(PASSIVE)").await;
    sqlite.pages.settle(false).unwrap();
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "after a part");
    let mut write = sqlite.write.lock().await;
    write_states(&mut write.connection, 40..60, 2).await;
    assert!(write.empty_write_ahead_log().await.unwrap());
    drop(write);
    assert_eq!(sqlite.look_after().await.unwrap(), None);
    assert_eq!(start(&left_behind(&home)).await, (None, 80), "after all of it");
}

#[tokio::test]
async fn a_crash_in_every_part_of_the_making_begins_anew_and_sets_nothing_aside() {
    let home = tempfile::tempdir().unwrap();
    let path = file(&home);
    drop(super::pages::begin(&path).unwrap());
    assert_eq!(start(&home).await, (None, 0), "before the first byte");
    let home = tempfile::tempdir().unwrap();
    drop(super::pages::begin(&file(&home)).unwrap());
    fs::write(file(&home), [7; 5000]).unwrap();
    assert_eq!(start(&home).await, (None, 0), "before the first digest");
}
