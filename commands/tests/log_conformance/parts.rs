//! Changes too big for one record travel in parts and count only when whole, on every log.

use bytes::Bytes;
use commands::keyring::MemoryKeyring;
use domain::chain::{Accepted, BoundaryChain, SealedCommit};
use domain::codec::{EncodedChanges, encode_changes};
use domain::commit::Changes;
use domain::system::SystemEvent;
use domain::{Actor, Boundary, Change, Digest, EventLog, Expected, OrganizationId, Position, Timestamp};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::suite::{Site, append_many, commit_id, group};

const BOUNDARY: Boundary = Boundary::System;

/// One change with an event of this text, encoded into exactly so many parts.
fn change_in_parts(parts: usize, number: u64, text: &str) -> EncodedChanges {
    let event = SystemEvent::OrganizationRegistered {
        id: OrganizationId(Uuid::nil()),
        name: text.to_owned(),
    };
    let change = Change {
        version: number,
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
        events: vec![event],
    };
    let encode = |limit| {
        let keys = MemoryKeyring::in_memory();
        encode_changes(
            commit_id(9, number),
            BOUNDARY,
            std::slice::from_ref(&change),
            &keys,
            limit,
        )
        .unwrap()
    };
    (0..)
        .map(encode)
        .find(|encoded| encoded.parts() <= parts)
        .filter(|encoded| encoded.parts() == parts)
        .unwrap()
}

/// The end of the boundary as a writer knows it.
#[derive(Clone, Copy)]
struct End {
    position: Position,
    digest: Digest,
}

impl End {
    const START: Self = Self {
        position: Position::START,
        digest: Digest::ZERO,
    };

    async fn append(self, log: &dyn EventLog, record: Bytes, number: u64) -> Self {
        let expected = Expected::after(Some(self.position));
        let position = log
            .append(BOUNDARY, expected, commit_id(8, number), record.clone())
            .await
            .unwrap();
        Self {
            position,
            digest: Digest::of(&record),
        }
    }

    /// Appends one part; `first` is where part 0 stands.
    async fn part(
        self,
        log: &dyn EventLog,
        change: &EncodedChanges,
        index: usize,
        first: Option<Position>,
    ) -> Self {
        let record = change.record(index, self.position, self.digest, first);
        self.append(log, record, self.position.0 << 8 | index as u64)
            .await
    }
}

/// Everything that a chain makes of the boundary's records after its own end.
async fn accepted(log: &dyn EventLog, chain: &mut BoundaryChain) -> Vec<Accepted> {
    let records: Vec<_> = log
        .read_boundary(BOUNDARY, chain.position())
        .try_collect()
        .await
        .unwrap();
    records
        .iter()
        .map(|record| chain.accept(record).unwrap())
        .collect()
}

fn commits(accepted: Vec<Accepted>) -> Vec<SealedCommit> {
    accepted
        .into_iter()
        .filter_map(|accepted| match accepted {
            Accepted::Commit(commit) => Some(commit),
            _ => None,
        })
        .collect()
}

/// The text of the commit's one event.
fn text(commit: &SealedCommit) -> String {
    let Changes::System(changes) = commit.open(&MemoryKeyring::in_memory()).unwrap().changes else {
        panic!("a commit of another boundary");
    };
    match &changes[0].events[0] {
        SystemEvent::OrganizationRegistered { name, .. } => name.clone(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn parts_between_other_boundaries_are_one_change_at_the_last_part<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let change = change_in_parts(3, 1, &"big".repeat(500));
    let first = End::START.part(&*log, &change, 0, None).await;
    append_many(&*log, group(1), 2).await;
    let second = first.part(&*log, &change, 1, None).await;
    append_many(&*log, group(2), 1).await;
    let last = second.part(&*log, &change, 2, Some(first.position)).await;
    let commits = commits(accepted(&*log, &mut BoundaryChain::start(BOUNDARY)).await);
    assert_eq!(
        commits.iter().map(|commit| commit.position).collect::<Vec<_>>(),
        [last.position]
    );
    assert_eq!(text(&commits[0]), "big".repeat(500));
}

pub(crate) async fn parts_cut_off_by_another_commit_are_void_for_ever<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let cut = change_in_parts(3, 1, &"cut".repeat(500));
    let first = End::START.part(&*log, &cut, 0, None).await;
    let second = first.part(&*log, &cut, 1, None).await;
    let other = second.part(&*log, &change_in_parts(1, 2, "other"), 0, None).await;
    // Even the missing part can't make it whole any more.
    other.part(&*log, &cut, 2, Some(first.position)).await;
    let mut chain = BoundaryChain::start(BOUNDARY);
    let accepted = accepted(&*log, &mut chain).await;
    let commits = commits(accepted);
    assert_eq!(commits.iter().map(text).collect::<Vec<_>>(), ["other"]);
}

pub(crate) async fn a_restart_between_parts_reads_the_change_again<S: Site>() {
    let site = S::fresh().await;
    let log = site.log();
    let change = change_in_parts(2, 1, &"big".repeat(500));
    let first = End::START.part(&*log, &change, 0, None).await;
    let site = site.restart().await;
    let log = site.log();
    first.part(&*log, &change, 1, Some(first.position)).await;
    let mut resumed = BoundaryChain::resumed(BOUNDARY, first.position, first.digest);
    let [Accepted::Missing { first: begin }] = accepted(&*log, &mut resumed).await[..] else {
        panic!("the chain doesn't ask for the first part");
    };
    assert_eq!(begin, first.position);
    let before = log
        .read_boundary(BOUNDARY, Position(begin.0 - 1))
        .try_collect::<Vec<_>>()
        .await
        .unwrap();
    let mut chain = BoundaryChain::resumed_before_parts(BOUNDARY);
    let commits = commits(
        before
            .iter()
            .map(|record| chain.accept(record).unwrap())
            .collect(),
    );
    assert_eq!(commits.iter().map(text).collect::<Vec<_>>(), ["big".repeat(500)]);
}
