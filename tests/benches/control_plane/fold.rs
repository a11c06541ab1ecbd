//! Folding a long history from the log, beside a bare scan of the same records, and a start from a stored state.

use std::sync::Arc;
use std::time::Instant;

use commands::keyring::PagedKeyring;
use domain::chain::{Accepted, BoundaryChain};
use domain::commit::Changes;
use domain::group::{Group, stored};
use domain::{Boundary, DataKeys, EventLog, GroupId, Position};
use futures::TryStreamExt;
use tests::long_history::{LongHistory, Shape};
use uuid::Uuid;

use crate::engine::Engine;
use crate::report;

const GROUP: GroupId = GroupId(Uuid::from_u128(0x4000_8000_0000_0000_0001));
const BOUNDARY: Boundary = Boundary::Group(GROUP);

/// Writes a history of `events` events over 10,000 services, then reads it in three ways.
pub(crate) async fn measure(engine: &Engine, events: u64, changes_per_commit: u64) -> anyhow::Result<()> {
    report::heading(&format!(
        "Start from a history of {events} events, {changes_per_commit} per commit ({})",
        engine.name()
    ))?;
    let keyring = PagedKeyring::in_memory();
    let log = engine.bare_log().await?;
    let history = LongHistory {
        group: GROUP,
        shape: Shape::Updates,
        events,
        changes_per_commit,
    };
    history.write(&*log, &keyring).await?;
    for _ in 0..3 {
        let begun = Instant::now();
        let records = log
            .read_boundary(BOUNDARY, Position::START)
            .try_fold(0, |count, _| async move { Ok(count + 1) })
            .await?;
        let scan = begun.elapsed();
        let begun = Instant::now();
        let group = fold(&log, &keyring).await?;
        let fold = begun.elapsed();
        anyhow::ensure!(group.version == events, "folded to version {}", group.version);
        report::line(&format!(
            "bare scan of {records} records {:.2} s, fold {:.2} s ({:.2} × the scan, {:.2} µs per event)",
            scan.as_secs_f64(),
            fold.as_secs_f64(),
            fold.as_secs_f64() / scan.as_secs_f64(),
            fold.as_secs_f64() * 1e6 / events as f64
        ))?;
    }
    from_stored_state(&fold(&log, &keyring).await?, &keyring)
}

fn from_stored_state(group: &Group, keys: &dyn DataKeys) -> anyhow::Result<()> {
    let begun = Instant::now();
    let bytes = stored::encode(group, BOUNDARY, keys)?;
    let encode = begun.elapsed();
    let begun = Instant::now();
    let again = stored::decode(&bytes, BOUNDARY, keys)?;
    anyhow::ensure!(again.len() == group.len(), "a stored state lost entities");
    report::line(&format!(
        "stored state of {} entities: {} kB, encoded in {:.1} ms, started from in {:.1} ms",
        group.len(),
        bytes.len() / 1000,
        encode.as_secs_f64() * 1e3,
        begun.elapsed().as_secs_f64() * 1e3
    ))?;
    Ok(())
}

async fn fold(log: &Arc<dyn EventLog>, keys: &dyn DataKeys) -> anyhow::Result<Group> {
    let mut group = Group::default();
    let mut chain = BoundaryChain::start(BOUNDARY);
    let mut records = log.read_boundary(BOUNDARY, Position::START);
    while let Some(record) = records.try_next().await? {
        let Accepted::Commit(commit) = chain.accept(&record)? else {
            continue;
        };
        let Changes::Group(_, changes) = commit.open(keys)?.changes else {
            continue;
        };
        changes.iter().for_each(|change| group.apply(change));
    }
    Ok(group)
}
