//! What every log must do, whatever holds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use domain::log::{AppendError, Placed, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, GroupId, OrganizationId, Position, Record};
use futures::{StreamExt, TryStreamExt, future};
use uuid::Uuid;

use crate::eventually::eventually;

/// Where a log lives: it can be made anew and opened again after a restart.
pub(crate) trait Site: Sized {
    /// An empty log of its own.
    async fn fresh() -> Self;

    /// The log, open.
    fn log(&self) -> Arc<dyn EventLog>;

    /// Closes the log and opens it again, as another process would.
    async fn restart(self) -> Self;
}

/// The n-th group's boundary.
pub(crate) fn group(number: u128) -> Boundary {
    Boundary::Group(GroupId(Uuid::from_u128(number)))
}

/// A commit id made of numbers, the same at every call.
pub(crate) fn commit_id(writer: u64, number: u64) -> CommitId {
    CommitId(Uuid::from_u64_pair(writer, number))
}

/// Appends until the answer is definite. A conflict after an unknown outcome may be with the record itself.
pub(crate) async fn append(
    log: &dyn EventLog,
    boundary: Boundary,
    expected: Expected,
    id: CommitId,
    text: &str,
) -> Result<Position, AppendError> {
    let mut unknown = false;
    loop {
        match log
            .append(boundary, expected, id, Bytes::copy_from_slice(text.as_bytes()))
            .await
        {
            Err(AppendError::Unknown(_)) => unknown = true,
            Err(AppendError::Away(_)) => {}
            Err(AppendError::Conflict) if unknown => {
                let guard = Position(expected.sequence());
                let winner = eventually("the log shows whose record won", async || {
                    log.read_boundary(boundary, guard).try_next().await
                })
                .await;
                match winner {
                    Some(record) if record.bytes == text => return Ok(record.position),
                    Some(_) => return Err(AppendError::Conflict),
                    // A guard that never held; otherwise the conflict is with the record on its way.
                    None if last(log, boundary).await.unwrap_or_default() != guard => {
                        return Err(AppendError::Conflict);
                    }
                    None => {}
                }
            }
            definite => return definite,
        }
    }
}

/// The boundary's last position, as soon as the log can be read: while a cluster elects a leader it can't.
async fn last(log: &dyn EventLog, boundary: Boundary) -> Option<Position> {
    eventually("the log can be read", async || log.boundary_tail(boundary).await).await
}

/// Appends `count` records to a boundary after its last one.
pub(crate) async fn append_many(log: &dyn EventLog, boundary: Boundary, count: u64) -> Vec<Position> {
    let mut last = last(log, boundary).await;
    let mut positions = Vec::new();
    for number in 0..count {
        let id = CommitId(Uuid::new_v5(
            &Uuid::NAMESPACE_URL,
            format!("{boundary} {last:?} {number}").as_bytes(),
        ));
        let position = append(
            log,
            boundary,
            Expected::after(last),
            id,
            &format!("{boundary} #{number}"),
        )
        .await;
        last = Some(position.unwrap());
        positions.extend(last);
    }
    positions
}

/// All records of a boundary.
pub(crate) async fn boundary_records(log: &dyn EventLog, boundary: Boundary) -> Vec<Record> {
    log.read_boundary(boundary, Position::START)
        .try_collect()
        .await
        .unwrap()
}

/// The next `count` records that follow a position.
pub(crate) async fn followed(log: &dyn EventLog, after: Position, count: usize) -> Vec<Record> {
    log.follow(after).take(count).try_collect().await.unwrap()
}

fn positions(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.position.0).collect()
}

pub(crate) async fn records_come_back_in_order_without_gaps<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let boundaries = [
        Boundary::System,
        Boundary::Organization(OrganizationId(Uuid::from_u128(7))),
        group(1),
        group(2),
    ];
    let mut written = Vec::new();
    for round in 0..25 {
        for (index, boundary) in boundaries.into_iter().enumerate() {
            let expected = Expected::after(log.boundary_tail(boundary).await.unwrap());
            let text = format!("{boundary} {round}");
            let position = append(&*log, boundary, expected, commit_id(index as u64, round), &text)
                .await
                .unwrap();
            written.push(Record {
                position,
                boundary,
                bytes: Bytes::from(text),
            });
        }
    }
    assert_eq!(positions(&written), (1..=100).collect::<Vec<_>>());
    assert_eq!(followed(&*log, Position::START, 100).await, written);
    assert_eq!(log.tail().await.unwrap(), Position(100));
}

pub(crate) async fn a_guard_that_does_not_hold_is_a_conflict<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    assert_eq!(
        append(&*log, group(1), Expected::At(Position(1)), commit_id(1, 1), "no").await,
        Err(AppendError::Conflict)
    );
    let first = append(&*log, group(1), Expected::Empty, commit_id(1, 2), "first")
        .await
        .unwrap();
    let other = append(&*log, group(2), Expected::Empty, commit_id(1, 3), "other")
        .await
        .unwrap();
    let second = append(&*log, group(1), Expected::At(first), commit_id(1, 4), "second")
        .await
        .unwrap();
    let refused = [
        Expected::Empty,
        Expected::At(first),
        Expected::At(other),
        Expected::At(second.next()),
    ];
    for (number, expected) in refused.into_iter().enumerate() {
        let answer = append(&*log, group(1), expected, commit_id(2, number as u64), "refused").await;
        assert_eq!(answer, Err(AppendError::Conflict), "{expected:?}");
    }
    assert_eq!(log.tail().await.unwrap(), second);
    assert_eq!(
        positions(&boundary_records(&*log, group(1)).await),
        [first.0, second.0]
    );
}

pub(crate) async fn a_repeated_append_is_stored_once<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let id = commit_id(1, 1);
    let position = append(&*log, group(1), Expected::Empty, id, "once")
        .await
        .unwrap();
    for _ in 0..3 {
        match append(&*log, group(1), Expected::Empty, id, "once").await {
            Ok(again) => assert_eq!(again, position),
            Err(error) => assert_eq!(error, AppendError::Conflict),
        }
    }
    assert_eq!(log.tail().await.unwrap(), position);
}

/// One of several writers: appends `rounds` records, each after whatever it finds as the boundary's last. A record says which one it
/// follows and whose it is, so that nobody takes another's for its own.
pub(crate) async fn contend(log: Arc<dyn EventLog>, writer: u64, rounds: u64) {
    for round in 0..rounds {
        for attempt in 0.. {
            let last = last(&*log, group(1)).await;
            let expected = Expected::after(last);
            let id = commit_id(writer, round << 32 | attempt);
            let text = format!("{} by {writer}, {round}.{attempt}", expected.sequence());
            match append(&*log, group(1), expected, id, &text).await {
                Ok(_) => break,
                Err(AppendError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(crate) async fn sixteen_writers_on_one_boundary_lose_no_update<S: Site>() {
    let site = S::fresh().await;
    let writers = (0..16).map(|writer| contend(site.log(), writer, 10));
    future::join_all(writers).await;
    let records = boundary_records(&*site.log(), group(1)).await;
    assert_each_follows_the_one_it_names(&records);
    // Each attempt that was acknowledged is there, and nothing else.
    assert_eq!(records.len(), 160);
}

/// What [`contend`] has written leaves nothing out and overwrites nothing.
pub(crate) fn assert_each_follows_the_one_it_names(records: &[Record]) {
    let mut last = 0;
    for record in records {
        let (text, position) = (String::from_utf8_lossy(&record.bytes), record.position);
        assert!(
            text.starts_with(&format!("{last} by ")),
            "the record at {position} says `{text}`, but follows {last}"
        );
        last = position.0;
    }
}

pub(crate) async fn writers_of_many_boundaries_do_not_meet<S: Site>() {
    let site = S::fresh().await;
    let writers = (0..32).map(|number| {
        let log = site.log();
        async move { append_many(&*log, group(number), 10).await }
    });
    let written: BTreeSet<_> = future::join_all(writers).await.into_iter().flatten().collect();
    assert_eq!(written, (1..=320).map(Position).collect());
    assert_eq!(followed(&*site.log(), Position::START, 320).await.len(), 320);
}

pub(crate) async fn a_follower_starts_anywhere_and_waits_for_what_comes<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    append_many(&*log, group(1), 10).await;
    let mut follower = log.follow(Position(7));
    for position in 8..=10 {
        assert_eq!(
            follower.next().await.unwrap().unwrap().position,
            Position(position)
        );
    }
    let (_, record) = future::join(append_many(&*log, group(2), 1), follower.next()).await;
    let record = record.unwrap().unwrap();
    assert_eq!((record.position, record.boundary), (Position(11), group(2)));
    let mut at_the_tail = log.follow(Position(11));
    let (_, record) = future::join(append_many(&*log, group(1), 1), at_the_tail.next()).await;
    assert_eq!(record.unwrap().unwrap().position, Position(12));
}

pub(crate) async fn a_boundary_is_read_alone_and_ends<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    assert_eq!(boundary_records(&*log, group(1)).await, []);
    let mut mine = append_many(&*log, group(1), 3).await;
    append_many(&*log, group(2), 40).await;
    mine.extend(append_many(&*log, group(1), 60).await);
    let records = boundary_records(&*log, group(1)).await;
    assert_eq!(
        records.iter().map(|record| record.position).collect::<Vec<_>>(),
        mine
    );
    assert!(records.iter().all(|record| record.boundary == group(1)));
    for after in [mine[0], mine[2], mine[2].next(), mine[50], mine[62]] {
        let later: Vec<_> = log.read_boundary(group(1), after).try_collect().await.unwrap();
        assert!(
            later
                .iter()
                .eq(records.iter().filter(|record| record.position > after)),
            "after {after}"
        );
    }
}

pub(crate) async fn single_records_and_tails_are_found<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    assert_eq!(log.tail().await.unwrap(), Position::START);
    assert_eq!(log.boundary_tail(group(1)).await.unwrap(), None);
    assert_eq!(log.record_at(Position(1)).await.unwrap(), None);
    append_many(&*log, group(1), 2).await;
    append_many(&*log, group(2), 1).await;
    let record = log.record_at(Position(2)).await.unwrap().unwrap();
    assert_eq!((record.position, record.boundary), (Position(2), group(1)));
    assert_eq!(log.boundary_tail(group(1)).await.unwrap(), Some(Position(2)));
    assert_eq!(log.boundary_tail(group(2)).await.unwrap(), Some(Position(3)));
    assert_eq!(log.boundary_tail(group(3)).await.unwrap(), None);
    assert_eq!(log.record_at(Position::START).await.unwrap(), None);
    assert_eq!(log.record_at(Position(4)).await.unwrap(), None);
}

pub(crate) async fn a_restart_keeps_records_and_guards<S: Site>() {
    let site = S::fresh().await;
    append_many(&*site.log(), group(1), 5).await;
    let site = site.restart().await;
    let log = site.log();
    assert_eq!(log.tail().await.unwrap(), Position(5));
    assert_eq!(
        append(&*log, group(1), Expected::Empty, commit_id(1, 1), "no").await,
        Err(AppendError::Conflict)
    );
    let last = append(&*log, group(1), Expected::At(Position(5)), commit_id(1, 2), "yes")
        .await
        .unwrap();
    assert_eq!(last, Position(6));
    assert_eq!(
        positions(&followed(&*log, Position::START, 6).await),
        [1, 2, 3, 4, 5, 6]
    );
}

pub(crate) async fn a_checkpoint_beyond_the_tail_is_damage<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    append_many(&*log, group(1), 2).await;
    let answer = log.follow(Position(3)).next().await.unwrap();
    assert!(
        matches!(&answer, Err(ReadError::Damaged(reason)) if reason.contains("ends at 2")),
        "{answer:?}"
    );
}

pub(crate) async fn a_record_of_the_largest_size_is_stored_and_a_larger_one_refused<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let largest = Bytes::from(vec![7; log.record_limit()]);
    let position = log
        .append(group(1), Expected::Empty, commit_id(1, 1), largest.clone())
        .await
        .unwrap();
    assert_eq!(log.record_at(position).await.unwrap().unwrap().bytes, largest);
    let larger = Bytes::from(vec![7; log.record_limit() + 1]);
    let answer = log
        .append(group(1), Expected::At(position), commit_id(1, 2), larger)
        .await;
    assert!(matches!(answer, Err(AppendError::Refused(_))), "{answer:?}");
    assert_eq!(log.tail().await.unwrap(), position);
}

pub(crate) async fn all_bytes_come_back_as_they_were<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let every_byte: Bytes = (0..=255).collect();
    let empty = Bytes::new();
    log.append(group(1), Expected::Empty, commit_id(1, 1), every_byte.clone())
        .await
        .unwrap();
    log.append(group(2), Expected::Empty, commit_id(1, 2), empty.clone())
        .await
        .unwrap();
    let records = followed(&*log, Position::START, 2).await;
    assert_eq!([&records[0].bytes, &records[1].bytes], [&every_byte, &empty]);
}

/// A record of an import; `previous` is its boundary's record before it, 0 for none.
fn placed(position: u64, boundary: Boundary, previous: u64) -> Placed {
    let bytes = Bytes::from(format!("record {position}"));
    let record = Record {
        position: Position(position),
        boundary,
        bytes,
    };
    Placed {
        record,
        expected: Expected::after(Some(Position(previous))),
        id: commit_id(7, position),
    }
}

/// Leaves out the records that the log holds.
async fn not_stored(log: &dyn EventLog, records: Vec<Placed>) -> Vec<Placed> {
    let mut missing = Vec::new();
    for placed in records {
        let position = placed.record.position;
        let stored = eventually("the log can be read", async || log.record_at(position).await).await;
        match stored {
            Some(stored) => assert_eq!(stored, placed.record),
            None => missing.push(placed),
        }
    }
    missing
}

pub(crate) async fn imported_records_get_their_positions<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    // Boundaries take turns, each record after its boundary's record four positions before.
    let record = |position: u64| {
        placed(
            position,
            group(u128::from(position % 4)),
            position.saturating_sub(4),
        )
    };
    let records: Vec<_> = (1..=600).map(record).collect();
    for part in records.chunks(200) {
        let (mut missing, mut unknown) = (part.to_vec(), false);
        while let Err(error) = log.append_at(missing.clone()).await {
            unknown |= matches!(error, AppendError::Unknown(_));
            // What isn't known to be stored may be in its own way.
            assert!(unknown, "{error}");
            missing = not_stored(&*log, missing).await;
            if missing.is_empty() {
                break;
            }
        }
    }
    assert!(
        followed(&*log, Position::START, 600)
            .await
            .iter()
            .eq(records.iter().map(|placed| &placed.record))
    );
    append_many(&*log, group(1), 1).await;
    assert_eq!(log.tail().await.unwrap(), Position(601));
}

pub(crate) async fn imported_records_never_stand_elsewhere<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    append_many(&*log, group(1), 1).await;
    for refused in [placed(1, group(2), 0), placed(3, group(2), 0)] {
        let answer = log.append_at(vec![refused.clone()]).await;
        assert!(
            matches!(answer, Err(AppendError::Conflict | AppendError::Refused(_))),
            "{answer:?}"
        );
        assert_eq!(log.tail().await.unwrap(), Position(1));
    }
    log.append_at(vec![placed(2, group(2), 0)]).await.unwrap();
}

/// Runs the whole suite on one kind of log.
macro_rules! conformance {
    ($site:ty, $suite:ident: $($case:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::$suite::$case::<$site>().await;
        }
    )*};
    ($site:ty) => {
        $crate::suite::conformance!($site, parts:
            parts_between_other_boundaries_are_one_change_at_the_last_part,
            parts_cut_off_by_another_commit_are_void_for_ever,
            a_restart_between_parts_reads_the_change_again,
        );
        $crate::suite::conformance!($site, suite:
            records_come_back_in_order_without_gaps,
            a_guard_that_does_not_hold_is_a_conflict,
            a_repeated_append_is_stored_once,
            sixteen_writers_on_one_boundary_lose_no_update,
            writers_of_many_boundaries_do_not_meet,
            a_follower_starts_anywhere_and_waits_for_what_comes,
            a_boundary_is_read_alone_and_ends,
            single_records_and_tails_are_found,
            a_restart_keeps_records_and_guards,
            a_checkpoint_beyond_the_tail_is_damage,
            a_record_of_the_largest_size_is_stored_and_a_larger_one_refused,
            all_bytes_come_back_as_they_were,
            imported_records_get_their_positions,
            imported_records_never_stand_elsewhere,
        );
    };
}
pub(crate) use conformance;
