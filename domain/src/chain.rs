//! Checks and assembles one boundary's records: the hash chain holds, and changes in parts count only when whole.

use bytes::{Bytes, BytesMut};

use crate::codec::{DecodeError, Envelope, decode_changes};
use crate::commit::Changes;
use crate::{Boundary, Commit, CommitId, DataKeys, Digest, Position, Record};

/// A record that can't stand where it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The record can't be decoded.
    #[error("position {position} ({boundary}): {source}")]
    Undecodable {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: DecodeError,
    },
    /// It names another boundary than the subject it stands on.
    #[error("position {position}: the record on subject {subject} says it belongs to {named}")]
    WrongSubject {
        /// Where.
        position: Position,
        /// The subject it stands on.
        subject: Boundary,
        /// The boundary it names.
        named: Boundary,
    },
    /// It doesn't stand on the boundary's record before it: something is missing, foreign or rewritten.
    #[error(
        "position {position} ({boundary}): the hash chain is broken: the record stands on {named}, the log's previous one is {expected}; \
         the log was altered, restore it from an export"
    )]
    Broken {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// The predecessor it names.
        named: Position,
        /// The predecessor it has.
        expected: Position,
    },
}

/// A whole commit, checked but still sealed.
#[derive(Clone, Debug)]
pub struct SealedCommit {
    /// The commit's id.
    pub id: CommitId,
    /// Whose it is.
    pub boundary: Boundary,
    /// Where it applies: its (last) record's position.
    pub position: Position,
    /// That record's digest.
    pub digest: Digest,
    compressed: bool,
    payload: Bytes,
}

impl SealedCommit {
    /// Decodes the changes and opens their secrets. On [`DecodeError::KeyNotLoaded`]: load that key, call again.
    pub fn open(&self, keys: &dyn DataKeys) -> Result<Commit, DecodeError> {
        let (payload, compressed, boundary) = (&self.payload, self.compressed, self.boundary);
        let changes = match boundary {
            Boundary::System => Changes::System(decode_changes(payload, compressed, boundary, keys)?),
            Boundary::Organization(id) => {
                Changes::Organization(id, decode_changes(payload, compressed, boundary, keys)?)
            }
            Boundary::Group(id) => Changes::Group(id, decode_changes(payload, compressed, boundary, keys)?),
        };
        Ok(Commit {
            id: self.id,
            position: self.position,
            digest: self.digest,
            changes,
        })
    }
}

/// What a record meant.
#[derive(Clone, Debug)]
pub enum Accepted {
    /// It completes a commit.
    Commit(SealedCommit),
    /// A part of a change that isn't whole (yet, or ever): nothing to apply.
    Part,
    /// The last part of a change whose earlier parts this chain hasn't seen because it was resumed between them:
    /// read the boundary again from before `first` with [`BoundaryChain::resumed_before_parts`].
    Missing {
        /// Where part 0 stands.
        first: Position,
    },
}

#[derive(Clone, Debug)]
struct PendingParts {
    id: CommitId,
    of: u32,
    chunks: Vec<Bytes>,
}

/// The end of one boundary's chain: where its last record stands and what its digest is.
#[derive(Clone, Debug)]
pub struct BoundaryChain {
    boundary: Boundary,
    position: Position,
    digest: Option<Digest>,
    pending: Option<PendingParts>,
}

impl BoundaryChain {
    /// The chain before the boundary's first record.
    pub const fn start(boundary: Boundary) -> Self {
        Self::resumed(boundary, Position::START, Digest::ZERO)
    }

    /// The chain after a record that was checked before.
    pub const fn resumed(boundary: Boundary, position: Position, digest: Digest) -> Self {
        Self {
            boundary,
            position,
            digest: Some(digest),
            pending: None,
        }
    }

    /// A chain that takes its first record on trust, for reading the parts of one change again.
    pub const fn resumed_before_parts(boundary: Boundary) -> Self {
        Self {
            boundary,
            position: Position::START,
            digest: None,
            pending: None,
        }
    }

    /// The boundary's last record's position; [`Position::START`] if it has none.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The boundary's last record's digest.
    pub fn digest(&self) -> Digest {
        self.digest.unwrap_or(Digest::ZERO)
    }

    /// Takes the boundary's next record.
    pub fn accept(&mut self, record: &Record) -> Result<Accepted, ChainError> {
        let position = record.position;
        let envelope = Envelope::decode(&record.bytes).map_err(|source| ChainError::Undecodable {
            position,
            boundary: record.boundary,
            source,
        })?;
        if envelope.boundary != record.boundary || record.boundary != self.boundary {
            return Err(ChainError::WrongSubject {
                position,
                subject: record.boundary,
                named: envelope.boundary,
            });
        }
        let follows = |digest| envelope.previous == self.position && envelope.previous_digest == digest;
        if !self.digest.is_none_or(follows) {
            let (boundary, named) = (self.boundary, envelope.previous);
            return Err(ChainError::Broken {
                position,
                boundary,
                named,
                expected: self.position,
            });
        }
        self.position = position;
        self.digest = Some(Digest::of(&record.bytes));
        Ok(self.assemble(envelope))
    }

    fn assemble(&mut self, envelope: Envelope) -> Accepted {
        let pending = self.pending.take();
        let Some(part) = envelope.part else {
            return Accepted::Commit(self.commit(&envelope, envelope.payload.clone()));
        };
        let mut parts = match pending {
            _ if part.index == 0 => PendingParts {
                id: envelope.id,
                of: part.of,
                chunks: Vec::new(),
            },
            Some(parts)
                if parts.id == envelope.id
                    && parts.of == part.of
                    && parts.chunks.len() == part.index as usize =>
            {
                parts
            }
            Some(_) => return Accepted::Part,
            None => {
                return part
                    .first
                    .map_or(Accepted::Part, |first| Accepted::Missing { first });
            }
        };
        parts.chunks.push(envelope.payload.clone());
        if parts.chunks.len() < parts.of as usize {
            self.pending = Some(parts);
            return Accepted::Part;
        }
        let mut payload = BytesMut::with_capacity(parts.chunks.iter().map(Bytes::len).sum());
        parts
            .chunks
            .iter()
            .for_each(|chunk| payload.extend_from_slice(chunk));
        Accepted::Commit(self.commit(&envelope, payload.freeze()))
    }

    fn commit(&self, envelope: &Envelope, payload: Bytes) -> SealedCommit {
        SealedCommit {
            id: envelope.id,
            boundary: self.boundary,
            position: self.position,
            digest: self.digest(),
            compressed: envelope.compressed,
            payload,
        }
    }
}
