//! How fast the log in a SQLite file is here, beside what the disk itself does.
//!
//! `cargo bench -p commands --bench log_speed [-- RECORDS]`

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use commands::log::SqliteLog;
use commands::tasks::Tasks;
use domain::{Boundary, CommitId, EventLog, Expected, GroupId, Position};
use futures::{StreamExt, future};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The size of a commit with one small change.
const RECORD_BYTES: usize = 400;

/// How many records the scan reads unless told otherwise.
const SCANNED: u64 = 200_000;

#[tokio::main]
async fn main() -> Outcome<()> {
    let scanned = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(SCANNED);
    let directory = tempfile::tempdir_in(".")?;
    floor(directory.path())?;
    let tasks = Tasks::default();
    let path = directory.path().join("log.db");
    let log = Arc::new(SqliteLog::open(&path, None, &tasks).await?);
    for writers in [1, 8, 64] {
        append(&log, writers, 4_000 / writers).await?;
    }
    latency(&log).await?;
    append(&log, 1_000, scanned.div_ceil(1_000)).await?;
    tasks.shut_down().await;
    scan(&path, scanned).await
}

/// What one fsync after every record costs without any log.
fn floor(directory: &Path) -> Outcome<()> {
    let mut file = File::create(directory.join("floor"))?;
    let start = Instant::now();
    for _ in 0..1_000 {
        file.write_all(&[7; RECORD_BYTES])?;
        file.sync_data()?;
    }
    println!(
        "floor: a file, fsync after each of 1,000 records: {:.0} records/s",
        rate(1_000, start.elapsed())
    );
    Ok(())
}

fn group(number: u64) -> Boundary {
    Boundary::Group(GroupId(Uuid::from_u64_pair(number, 1)))
}

/// Each writer appends to a boundary of its own, one record after the other.
async fn append(log: &Arc<SqliteLog>, writers: u64, each: u64) -> Outcome<()> {
    let start = Instant::now();
    let writing = (0..writers).map(|writer| async move {
        let boundary = group(writer);
        let mut last = log.boundary_tail(boundary).await?;
        for _ in 0..each {
            let record = Bytes::from_static(&[7; RECORD_BYTES]);
            last = Some(
                log.append(boundary, Expected::after(last), CommitId(Uuid::nil()), record)
                    .await?,
            );
        }
        Ok(())
    });
    future::join_all(writing)
        .await
        .into_iter()
        .collect::<Outcome<()>>()?;
    println!(
        "append: {writers} writers: {:.0} records/s",
        rate(writers * each, start.elapsed())
    );
    Ok(())
}

/// From the call of `append` to the record in the hands of a follower.
async fn latency(log: &Arc<SqliteLog>) -> Outcome<()> {
    let mut follower = log.follow(log.tail().await?);
    let boundary = group(0);
    let mut last = log.boundary_tail(boundary).await?;
    let mut times = Vec::new();
    for _ in 0..1_000 {
        let start = Instant::now();
        let record = Bytes::from_static(&[7; RECORD_BYTES]);
        let appending = log.append(boundary, Expected::after(last), CommitId(Uuid::nil()), record);
        let (position, followed) = future::join(appending, follower.next()).await;
        last = Some(position?);
        followed.transpose()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!(
        "append to follower: median {:?}, 99 %: {:?}",
        times[500], times[990]
    );
    Ok(())
}

/// Reads everything after a fresh start.
async fn scan(path: &Path, count: u64) -> Outcome<()> {
    let log = SqliteLog::open(path, None, &Tasks::default()).await?;
    let start = Instant::now();
    let mut records = log.follow(Position::START);
    for _ in 0..count {
        records.next().await.transpose()?;
    }
    println!("scan: {:.0} records/s", rate(count, start.elapsed()));
    Ok(())
}

fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
