//! Folding a long history from the log, beside a bare scan of the same records, and a start from a stored state.

use std::sync::Arc;
use std::time::Instant;

use commands::keyring::PagedKeyring;
use domain::chain::{Accepted, BoundaryChain};
use domain::codec::encode_changes;
use domain::commit::Changes;
use domain::group::{Entity, Group, GroupEvent, stored};
use domain::log::Placed;
use domain::schema::{CustomPlugins, Generator, Secrets, Write, fill_and_validate};
use domain::{
    Actor, Boundary, Change, CommitId, Context, DataKeys, Digest, EntityId, EventLog, Expected, GroupId,
    KeyId, Keyring, Kind, Position, Record, Timestamp,
};
use futures::TryStreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine::Engine;
use crate::report;

const LIVE_ENTITIES: u64 = 10_000;
const AT_ONCE: usize = 4_096;
const BOUNDARY: Boundary = Boundary::Group(GroupId(Uuid::from_u128(0x4000_8000_0000_0000_0001)));

/// Writes a history of `events` events over 10,000 services, then reads it in three ways.
pub(crate) async fn measure(engine: &Engine, events: u64, changes_per_commit: u64) -> anyhow::Result<()> {
    report::heading(&format!(
        "Start from a history of {events} events, {changes_per_commit} per commit ({})",
        engine.name()
    ))?;
    let keyring = PagedKeyring::in_memory();
    keyring
        .ensure(
            &[KeyId {
                boundary: BOUNDARY,
                owner: None,
            }]
            .into(),
        )
        .await?;
    let log = engine.bare_log().await?;
    write(&log, &keyring, events, changes_per_commit).await?;
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

/// Appends the history many records at once: one writer knows every position in advance.
async fn write(
    log: &Arc<dyn EventLog>,
    keys: &dyn DataKeys,
    events: u64,
    per_commit: u64,
) -> anyhow::Result<()> {
    let (mut position, mut digest) = (Position::START, Digest::ZERO);
    let mut records = Vec::new();
    let mut version = 0;
    while version < events {
        let last = (version + per_commit).min(events);
        let changes: Vec<_> = (version + 1..=last).map(change).collect();
        let id = CommitId(Uuid::from_u128(u128::from(last)));
        let encoded = encode_changes(id, BOUNDARY, &changes, keys, log.record_limit())?;
        let bytes = encoded.record(0, position, digest, None);
        let expected = Expected::after(Some(position));
        digest = Digest::of(&bytes);
        position = position.next();
        let record = Record {
            position,
            boundary: BOUNDARY,
            bytes,
        };
        records.push(Placed { record, expected, id });
        version = last;
        if records.len() == AT_ONCE || version == events {
            log.append_at(std::mem::take(&mut records)).await?;
        }
    }
    Ok(())
}

/// The change with this number: a service created at its first turn, updated at every later one.
fn change(version: u64) -> Change<GroupEvent> {
    let number = version % LIVE_ENTITIES;
    let id = EntityId(Uuid::from_u128(0x4000_8000_0000_0000_0000 + u128::from(number)));
    let kind = Kind::named("services").expect("the catalogue has services");
    let mut context = Context::new(Timestamp(1_800_000_000_000 + version as i64), [0; 32]);
    let input = json!({
        "id": id, "name": format!("service-{number}"), "host": format!("h{version}.example.com"),
        "path": "/v1", "tags": ["load"], "created_at": context.now().seconds(),
    });
    let Value::Object(input) = input else {
        unreachable!("json! of an object")
    };
    let body = fill_and_validate(
        kind,
        &CustomPlugins::default(),
        Write::Insert,
        input,
        Secrets::Plain,
        &mut context,
    )
    .expect("a valid service");
    let entity = Arc::new(Entity::from_map(kind, id, &body));
    let event = match version <= LIVE_ENTITIES {
        true => GroupEvent::EntityCreated { entity },
        false => GroupEvent::EntityUpdated {
            entity,
            changed: vec!["host".to_owned(), "updated_at".to_owned()],
        },
    };
    Change {
        version,
        at: context.at,
        actor: Actor::System {
            part: "benchmark".to_owned(),
        },
        reason: None,
        request_id: None,
        source: None,
        idempotency: None,
        catalogue: domain::schema::CATALOGUE_REVISION,
        events: vec![event],
    }
}
