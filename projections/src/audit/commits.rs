//! One boundary's commits from its first record on, each checked against the hash chain and opened.

use std::sync::Arc;

use domain::chain::{Accepted, BoundaryChain};
use domain::log::ReadError;
use domain::{Boundary, Commit, EventLog, Keyring, Position, Record};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::decoding::open;
use crate::error::ProjectionError;

/// The commits that were durable when reading began; holds one at a time.
pub(crate) struct Commits {
    keyring: Arc<dyn Keyring>,
    records: BoxStream<'static, Result<Record, ReadError>>,
    chain: BoundaryChain,
}

impl Commits {
    pub(crate) fn of(log: &dyn EventLog, keyring: Arc<dyn Keyring>, boundary: Boundary) -> Self {
        Self {
            keyring,
            records: log.read_boundary(boundary, Position::START),
            chain: BoundaryChain::start(boundary),
        }
    }

    /// The next commit; none after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Commit>, ProjectionError> {
        while let Some(record) = self.records.next().await {
            // Read from the beginning, no part of a change can be missing; some belong to none that is whole.
            if let Accepted::Commit(sealed) = self.chain.accept(&record?)? {
                return open(&sealed, &*self.keyring).await.map(Some);
            }
        }
        Ok(None)
    }
}
