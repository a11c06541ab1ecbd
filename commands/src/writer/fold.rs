//! A boundary's state as the log has it: loaded once, then kept up.

use domain::chain::{Accepted, BoundaryChain, ChainError, SealedCommit};
use domain::codec::DecodeError;
use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::{Boundary, Commit, Digest, EventLog, Keyring, Position, Version};
use futures::TryStreamExt;

use crate::aggregate::Aggregate;

/// Why a boundary's state can't be known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FoldError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("position {position}: {source}")]
    Undecodable { position: Position, source: DecodeError },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(
        "position {position}: change {found} follows change {newest}; the log was altered, restore it from an export"
    )]
    VersionGap {
        position: Position,
        newest: Version,
        found: Version,
    },
    #[error("position {0} holds another aggregate's changes; the log was altered, restore it from an export")]
    WrongAggregate(Position),
    #[error(
        "{boundary} ends at position {tail}, but position {known} was durable: the log lost its tail, restore it from an \
         export"
    )]
    TailLost {
        boundary: Boundary,
        known: Position,
        tail: Position,
    },
    #[error("the parts of the change that ends at position {0} are gone; restore the log from an export")]
    PartsGone(Position),
}

/// A folded boundary and where its chain ends.
pub(crate) struct Fold<A> {
    boundary: Boundary,
    /// The folded state.
    pub(crate) state: A,
    /// The newest commit applied; [`Position::START`] if there is none.
    pub(crate) position: Position,
    chain: BoundaryChain,
}

impl<A: Aggregate> Fold<A> {
    /// The state before the boundary's first commit.
    pub(crate) fn empty(boundary: Boundary) -> Self {
        Self::resumed(boundary, A::default(), Position::START, Digest::ZERO)
    }

    /// A state that holds everything up to a record.
    pub(crate) const fn resumed(boundary: Boundary, state: A, position: Position, digest: Digest) -> Self {
        Self {
            boundary,
            state,
            position,
            chain: BoundaryChain::resumed(boundary, position, digest),
        }
    }

    /// Where the boundary's last record stands, a part of a change included: the guard of the next append.
    pub(crate) const fn guard(&self) -> Position {
        self.chain.position()
    }

    /// The digest of that record.
    pub(crate) fn digest(&self) -> Digest {
        self.chain.digest()
    }

    /// A record of our own was stored.
    pub(crate) fn stored(&mut self, position: Position, digest: Digest) {
        self.chain = BoundaryChain::resumed(self.boundary, position, digest);
    }

    /// The records of our own that were stored make this state.
    pub(crate) fn applied(&mut self, state: A) {
        self.state = state;
        self.position = self.chain.position();
    }

    /// Whether the state holds everything that is durable now.
    pub(crate) async fn is_current(&self, log: &dyn EventLog) -> Result<bool, FoldError> {
        let tail = log.boundary_tail(self.boundary).await?.unwrap_or_default();
        let (boundary, known) = (self.boundary, self.guard());
        match tail < known {
            true => Err(FoldError::TailLost {
                boundary,
                known,
                tail,
            }),
            false => Ok(tail == known),
        }
    }

    /// Applies what was durable at the call. After an error this fold is of no use.
    pub(crate) async fn catch_up(
        &mut self,
        log: &dyn EventLog,
        keyring: &dyn Keyring,
    ) -> Result<(), FoldError> {
        let mut records = log.read_boundary(self.boundary, self.guard());
        while let Some(record) = records.try_next().await? {
            match self.chain.accept(&record)? {
                Accepted::Part => {}
                Accepted::Commit(sealed) => self.apply(&sealed, keyring).await?,
                Accepted::Missing { first } => {
                    let sealed = self.whole(first, record.position, log).await?;
                    self.apply(&sealed, keyring).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads the parts of one change again, this fold having been resumed between them.
    async fn whole(
        &self,
        first: Position,
        last: Position,
        log: &dyn EventLog,
    ) -> Result<SealedCommit, FoldError> {
        let mut chain = BoundaryChain::resumed_before_parts(self.boundary);
        let before = Position(first.0.saturating_sub(1));
        let mut records = log.read_boundary(self.boundary, before);
        while let Some(record) = records.try_next().await? {
            if let Accepted::Commit(sealed) = chain.accept(&record)?
                && sealed.position == last
            {
                return Ok(sealed);
            }
            if record.position >= last {
                break;
            }
        }
        Err(FoldError::PartsGone(last))
    }

    async fn apply(&mut self, sealed: &SealedCommit, keyring: &dyn Keyring) -> Result<(), FoldError> {
        let commit = open(sealed, keyring).await?;
        let position = commit.position;
        let changes = A::changes(commit.changes).ok_or(FoldError::WrongAggregate(position))?;
        for change in &changes {
            let (newest, found) = (self.state.version(), change.version);
            if found != newest + 1 {
                return Err(FoldError::VersionGap {
                    position,
                    newest,
                    found,
                });
            }
            self.state.apply(change);
        }
        self.position = position;
        Ok(())
    }
}

/// Opens a commit, loading the keys it turns out to need.
async fn open(sealed: &SealedCommit, keyring: &dyn Keyring) -> Result<Commit, FoldError> {
    loop {
        match sealed.open(keyring) {
            Ok(commit) => return Ok(commit),
            Err(DecodeError::KeyNotLoaded(missing)) => keyring.load(&[missing.0].into()).await?,
            Err(source) => {
                let position = sealed.position;
                return Err(FoldError::Undecodable { position, source });
            }
        }
    }
}
