//! `log verify`: walks the whole log and checks all that can be checked (DESIGN §5).

use std::collections::{BTreeSet, HashMap};

use domain::chain::{Accepted, BoundaryChain, ChainError, SealedCommit};
use domain::codec::DecodeError;
use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::{Boundary, EventLog, Keyring, Position};
use futures::StreamExt;

use super::archive::Progress;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It can't be read to its end.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A record can't stand where it stands.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A commit's changes can't be decoded.
    #[error("position {position} ({boundary}): {source}")]
    Changes {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: DecodeError,
    },
    /// The keyring lacks a key that a commit needs.
    #[error("position {position} ({boundary}): {source}")]
    Keyring {
        /// Where.
        position: Position,
        /// Whose.
        boundary: Boundary,
        /// Why.
        source: KeyringError,
    },
}

/// What a log without a fault holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records, one to a position.
    pub records: u64,
    /// Whole commits.
    pub commits: u64,
    /// Boundaries.
    pub boundaries: u64,
}

/// Checks that positions have no gaps, each boundary's hash chain holds, and every commit decodes and opens.
pub async fn verify(
    log: &dyn EventLog,
    keyring: &dyn Keyring,
    mut progress: impl FnMut(Progress),
) -> Result<Verified, VerifyError> {
    let last = log.tail().await?;
    let mut records = log.follow(Position::START);
    let mut chains = HashMap::<Boundary, BoundaryChain>::new();
    let mut verified = Verified::default();
    while verified.records < last.0 {
        let ended = || ReadError::Unavailable("the log was closed".to_owned());
        let record = records.next().await.ok_or_else(ended)??;
        let chain = chains
            .entry(record.boundary)
            .or_insert_with(|| BoundaryChain::start(record.boundary));
        if let Accepted::Commit(commit) = chain.accept(&record)? {
            open(&commit, keyring).await?;
            verified.commits += 1;
        }
        verified.records += 1;
        progress(Progress {
            position: record.position,
            last,
        });
    }
    verified.boundaries = chains.len() as u64;
    Ok(verified)
}

/// Decodes a commit and opens its secrets, loading the keys it needs.
async fn open(commit: &SealedCommit, keyring: &dyn Keyring) -> Result<(), VerifyError> {
    let (position, boundary) = (commit.position, commit.boundary);
    loop {
        match commit.open(keyring) {
            Ok(_) => return Ok(()),
            Err(DecodeError::KeyNotLoaded(missing)) => {
                let loaded = keyring.load(&BTreeSet::from([missing.0])).await;
                loaded.map_err(|source| VerifyError::Keyring {
                    position,
                    boundary,
                    source,
                })?;
            }
            Err(source) => {
                return Err(VerifyError::Changes {
                    position,
                    boundary,
                    source,
                });
            }
        }
    }
}
