//! Stored states: folded aggregates kept for a fast start (DESIGN §6). A cache of the fold, never the truth.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Boundary, Digest, Position};

/// A folded aggregate at a position, encoded (sealed) by its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredState {
    /// The record up to which it is folded.
    pub position: Position,
    /// That record's digest, so that the chain can be continued and a rewritten log is noticed.
    pub digest: Digest,
    /// The code's version of the encoding and of the fold; another version is ignored.
    pub state_version: u32,
    /// The encoded state.
    pub bytes: Bytes,
}

/// Reads and writes stored states; failing to is never fatal.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// The newest stored state of a boundary with this state version.
    async fn load(
        &self,
        boundary: Boundary,
        state_version: u32,
    ) -> Result<Option<StoredState>, StateStoreError>;

    /// Keeps a state, replacing an older one.
    async fn save(&self, boundary: Boundary, state: StoredState) -> Result<(), StateStoreError>;
}

/// Why a stored state could not be read or kept: the caller logs it and folds the log instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored state: {0}")]
pub struct StateStoreError(pub String);
