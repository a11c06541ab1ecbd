//! From records to commits: no gaps, every boundary's chain holds, parts are assembled, secrets opened.

use std::collections::HashMap;
use std::sync::Arc;

use domain::chain::{Accepted, BoundaryChain, ChainError, SealedCommit};
use domain::codec::DecodeError;
use domain::{Boundary, Commit, Digest, EventLog, Keyring, Position, Record};
use futures::StreamExt;

use crate::error::ProjectionError;

/// A record that stands where it should, before it is opened.
pub(crate) struct Checked {
    /// Where it stands.
    pub(crate) position: Position,
    /// Its digest.
    digest: Digest,
    /// Whose it is.
    pub(crate) boundary: Boundary,
    /// The commit it completes; none for a part of one.
    sealed: Option<SealedCommit>,
}

/// What one record came to.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    /// Where it stands.
    pub(crate) position: Position,
    /// Its digest.
    pub(crate) digest: Digest,
    /// Whose it is.
    pub(crate) boundary: Boundary,
    /// The commit it completes; none for a part of one.
    pub(crate) commit: Option<Arc<Commit>>,
}

/// Decodes the records of all boundaries, in order of position.
pub(crate) struct Decoder {
    log: Arc<dyn EventLog>,
    keyring: Arc<dyn Keyring>,
    position: Position,
    chains: HashMap<Boundary, BoundaryChain>,
}

impl Decoder {
    /// Goes on after a checkpoint: the last record, and the last of each boundary.
    pub(crate) fn resumed(
        log: Arc<dyn EventLog>,
        keyring: Arc<dyn Keyring>,
        position: Position,
        ends: impl IntoIterator<Item = (Boundary, Position, Digest)>,
    ) -> Self {
        let chain =
            |(boundary, position, digest)| (boundary, BoundaryChain::resumed(boundary, position, digest));
        Self {
            log,
            keyring,
            position,
            chains: ends.into_iter().map(chain).collect(),
        }
    }

    /// The last record that was decoded.
    pub(crate) const fn position(&self) -> Position {
        self.position
    }

    /// Checks the next record. After an error that passes, the same record may be given again.
    pub(crate) async fn check(&mut self, record: &Record) -> Result<Checked, ProjectionError> {
        let (position, boundary) = (record.position, record.boundary);
        if position != self.position.next() {
            return Err(ProjectionError::Gap {
                expected: self.position.next(),
                found: position,
            });
        }
        let start = || BoundaryChain::start(boundary);
        let mut chain = self.chains.get(&boundary).cloned().unwrap_or_else(start);
        let sealed = match chain.accept(record)? {
            Accepted::Commit(sealed) => Some(sealed),
            Accepted::Part => None,
            Accepted::Missing { first } => reassemble(&*self.log, boundary, first, position).await?,
        };
        let digest = chain.digest();
        self.chains.insert(boundary, chain);
        self.position = position;
        Ok(Checked {
            position,
            digest,
            boundary,
            sealed,
        })
    }

    /// Opens a record that was checked. After an error that passes, the same one may be given again.
    pub(crate) async fn open(&self, checked: &Checked) -> Result<Decoded, ProjectionError> {
        let commit = match &checked.sealed {
            Some(sealed) => Some(Arc::new(open(sealed, &*self.keyring).await?)),
            None => None,
        };
        Ok(Decoded {
            position: checked.position,
            digest: checked.digest,
            boundary: checked.boundary,
            commit,
        })
    }
}

/// Opens a commit, loading the keys it needs.
pub(crate) async fn open(sealed: &SealedCommit, keyring: &dyn Keyring) -> Result<Commit, ProjectionError> {
    loop {
        match sealed.open(keyring) {
            Ok(commit) => return Ok(commit),
            Err(DecodeError::KeyNotLoaded(missing)) => keyring.load(&[missing.0].into()).await?,
            Err(source) => {
                return Err(ProjectionError::Undecodable {
                    position: sealed.position,
                    boundary: sealed.boundary,
                    source,
                });
            }
        }
    }
}

/// Reads the parts of one change again, because reading was resumed between them.
pub(crate) async fn reassemble(
    log: &dyn EventLog,
    boundary: Boundary,
    first: Position,
    last: Position,
) -> Result<Option<SealedCommit>, ProjectionError> {
    let mut chain = BoundaryChain::resumed_before_parts(boundary);
    let mut records = log.read_boundary(boundary, Position(first.0.saturating_sub(1)));
    while let Some(record) = records.next().await {
        let record = record?;
        let accepted = chain.accept(&record)?;
        if record.position == last {
            return Ok(match accepted {
                Accepted::Commit(sealed) => Some(sealed),
                Accepted::Part | Accepted::Missing { .. } => None,
            });
        }
    }
    Err(ChainError::Broken {
        position: last,
        boundary,
        named: first,
        expected: chain.position(),
    }
    .into())
}
