//! One commit: keys durable first, then the record or, for a change too big for one, its parts.

use std::sync::Arc;
use std::time::Instant;

use domain::codec::changes::needed_keys;
use domain::codec::{EncodedChanges, encode_changes};
use domain::gateway::CommandError;
use domain::keyring::{KeyNotLoaded, KeyringError};
use domain::log::AppendError;
use domain::{Change, CommitId, Digest, KeyId, Timestamp};
use tracing::debug;
use uuid::Uuid;

use super::append::Fate;
use super::{Writer, measures};
use crate::aggregate::Aggregate;
use crate::entropy;

/// From how many bytes on changes are encoded on a thread for computing.
const HEAVY: usize = 64 * 1024;

/// Why changes are not (known to be) durable.
pub(crate) enum CommitError {
    /// Another writer's record stands where ours should: nothing of ours counts.
    Superseded,
    /// Nothing of ours counts, and why.
    NothingStored(CommandError),
    /// The process ends before the log has answered definitely.
    Unresolved,
}

impl From<KeyringError> for CommitError {
    fn from(error: KeyringError) -> Self {
        Self::NothingStored(CommandError::Unavailable(error.to_string()))
    }
}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        Self::NothingStored(match error {
            AppendError::Full(reason) => CommandError::LogFull(reason),
            other => CommandError::Unavailable(other.to_string()),
        })
    }
}

impl<A: Aggregate> Writer<A> {
    /// Makes changes durable after the boundary's last record; all of them or none.
    pub(super) async fn commit(
        &mut self,
        changes: &Arc<Vec<Change<A::Event>>>,
        size: usize,
    ) -> Result<(), CommitError> {
        let id = commit_id(self.surroundings.clock.now());
        let encoded = self.encode(id, changes, size).await?;
        let started = Instant::now();
        let (mut first, mut bytes) = (None, 0);
        for index in 0..encoded.parts() {
            let record = encoded.record(index, self.fold.guard(), self.fold.digest(), first);
            let append_id = part_id(id, index);
            let fate = self.appender.append(self.fold.guard(), append_id, &record);
            let position = match fate.await {
                Fate::Stored(position) => position,
                Fate::Superseded => return Err(CommitError::Superseded),
                Fate::Refused(error) => return Err(error.into()),
                Fate::Unresolved => return Err(CommitError::Unresolved),
            };
            first.get_or_insert(position);
            bytes += record.len();
            self.fold.stored(position, Digest::of(&record));
        }
        measures::committed(A::NAME, changes.len(), bytes, started.elapsed());
        let position = self.fold.guard();
        debug!(boundary = %self.boundary, %position, changes = changes.len(), bytes, "committed");
        Ok(())
    }

    async fn encode(
        &self,
        id: CommitId,
        changes: &Arc<Vec<Change<A::Event>>>,
        size: usize,
    ) -> Result<EncodedChanges, CommitError> {
        let own = KeyId {
            boundary: self.boundary,
            owner: None,
        };
        // Every boundary has its key from the first event on, whether or not that one holds a secret (DESIGN §4).
        if self.surroundings.keyring.data_key(own).is_ok()
            && let Ok(encoded) = self.encoded(id, changes, size).await?
        {
            return Ok(encoded);
        }
        let needed = needed_keys(self.boundary, changes);
        self.surroundings.keyring.ensure(&needed).await?;
        let encoded = self.encoded(id, changes, size).await?;
        encoded.map_err(|missing| KeyringError::Missing(missing.0).into())
    }

    /// Encodes: here, or on a thread for computing where there is much of it.
    async fn encoded(
        &self,
        id: CommitId,
        changes: &Arc<Vec<Change<A::Event>>>,
        size: usize,
    ) -> Result<Result<EncodedChanges, KeyNotLoaded>, CommitError> {
        let (surroundings, boundary) = (Arc::clone(&self.surroundings), self.boundary);
        let changes = Arc::clone(changes);
        let encode = move || {
            let limit = surroundings.log.record_limit();
            encode_changes(id, boundary, &changes, &*surroundings.keyring, limit)
        };
        match size < HEAVY {
            true => Ok(encode()),
            false => self.computed(encode).await.ok_or(CommitError::Unresolved),
        }
    }
}

/// A new commit's id, ordered by time so that people can read the log.
fn commit_id(at: Timestamp) -> CommitId {
    let mut random = [0; 10];
    entropy::fill(&mut random);
    let milliseconds = u64::try_from(at.0).unwrap_or_default();
    CommitId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

/// The id under which an engine recognizes a repeated append: every part has its own.
fn part_id(id: CommitId, index: usize) -> CommitId {
    match index {
        0 => id,
        part => CommitId(Uuid::new_v5(&id.0, &part.to_le_bytes())),
    }
}
