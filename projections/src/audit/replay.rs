//! A group's configuration at any version, folded from its first event: what every view must agree with.

use std::sync::Arc;

use domain::commit::Changes;
use domain::group::{Group, GroupEvent, touched};
use domain::{
    Boundary, Change, Digest, EventLog, GroupId, Keyring, Position, SnapshotDigest, Timestamp, Version,
};

use super::commits::Commits;
use crate::error::ProjectionError;

/// Where a replay ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After the newest change.
    Newest,
    /// After the change with this number.
    Version(Version),
    /// After the last change that was made at or before this time.
    Time(Timestamp),
}

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The group; version 0 before the first change.
    pub group: Group,
    /// The content hash of its configuration.
    pub digest: Digest,
    /// The commit that holds the last change.
    pub position: Position,
    /// How many changes were folded.
    pub changes: u64,
    /// How many events.
    pub events: u64,
}

/// Folds a group from its first event, reading nothing but the log and its keys.
pub async fn replay(
    log: &dyn EventLog,
    keyring: &Arc<dyn Keyring>,
    group: GroupId,
    until: Until,
) -> Result<Replayed, ProjectionError> {
    let last = match until {
        Until::Newest => Version::MAX,
        Until::Version(version) => version,
        Until::Time(time) => version_at(log, keyring, group, time).await?,
    };
    let mut commits = Commits::of(log, Arc::clone(keyring), Boundary::Group(group));
    let mut replayed = Replayed {
        group: Group::default(),
        digest: Digest::ZERO,
        position: Position::START,
        changes: 0,
        events: 0,
    };
    let mut digest = SnapshotDigest::default();
    'reading: while let Some(commit) = commits.next().await? {
        let Changes::Group(_, changes) = &commit.changes else {
            continue;
        };
        for change in changes {
            if change.version > last {
                break 'reading;
            }
            replayed.group.apply(change);
            note(&mut digest, &replayed.group, change);
            replayed.position = commit.position;
            replayed.changes += 1;
            replayed.events += change.events.len() as u64;
        }
    }
    replayed.digest = digest.digest();
    Ok(replayed)
}

/// The last change that was made by then. A clock that was ahead may have made earlier ones that say they were made later, so
/// all are looked at.
async fn version_at(
    log: &dyn EventLog,
    keyring: &Arc<dyn Keyring>,
    group: GroupId,
    time: Timestamp,
) -> Result<Version, ProjectionError> {
    let mut commits = Commits::of(log, Arc::clone(keyring), Boundary::Group(group));
    let mut last = 0;
    while let Some(commit) = commits.next().await? {
        if let Changes::Group(_, changes) = &commit.changes {
            let made_by_then = changes.iter().filter(|change| change.clock <= time);
            last = made_by_then.map(|change| change.version).max().unwrap_or(last);
        }
    }
    Ok(last)
}

fn note(digest: &mut SnapshotDigest, group: &Group, change: &Change<GroupEvent>) {
    for (kind, id) in touched(&change.events) {
        match group.entity(kind, id) {
            Some(entity) => digest.put(kind, id, &entity.body),
            None => digest.remove(kind, id),
        }
    }
}
