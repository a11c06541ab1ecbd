//! Where pages are kept: durable, each write guarded by the revision it replaces.

use async_trait::async_trait;
use domain::Boundary;
use domain::keyring::KeyringError;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageAddress {
    /// Whose keys it holds.
    pub boundary: Boundary,
    /// 0, 1, 2 … without gaps within the boundary.
    pub number: u32,
}

/// A page as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPage {
    /// The guard for the next write; greater than 0.
    pub revision: u64,
    /// The keys under the master key.
    pub sealed: Vec<u8>,
}

/// Why a page was not (known to be) written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Somebody else wrote it first: read it and try again.
    #[error("another writer changed this page first")]
    Conflict,
    /// It may or may not be written.
    #[error(transparent)]
    Failed(#[from] KeyringError),
}

/// What happened to the pages, whichever process did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageChange {
    /// A page was written.
    Written {
        /// Which.
        address: PageAddress,
        /// What it holds now, under the master key.
        sealed: Vec<u8>,
    },
    /// From here on changes are told; earlier ones may have been missed.
    Missed,
}

/// Stores sealed pages. Everything is durable when a call returns, and what is read includes every write before.
#[async_trait]
pub trait PageStore: Send + Sync + 'static {
    /// All pages of a boundary in the order of their numbers.
    async fn pages(&self, boundary: Boundary) -> Result<Vec<StoredPage>, KeyringError>;

    /// Writes a page over the revision that it replaces (0: there is none yet) and answers the new revision.
    async fn put(&self, address: PageAddress, replaces: u64, sealed: Vec<u8>) -> Result<u64, PutError>;

    /// Makes every former content of a page unreadable, as far as the store can reach.
    async fn erase_former(&self, address: PageAddress) -> Result<(), KeyringError>;

    /// Leaves everything in order, after the last change.
    async fn close(&self) -> Result<(), KeyringError> {
        Ok(())
    }

    /// What happens to the pages from now on; nothing, ever, in a store that one process has for itself.
    fn changes(&self) -> BoxStream<'static, PageChange> {
        stream::pending().boxed()
    }

    /// The addresses of all pages.
    async fn addresses(&self) -> Result<Vec<PageAddress>, KeyringError>;

    /// The text that only the right master key opens.
    async fn check_value(&self) -> Result<Option<Vec<u8>>, KeyringError>;

    /// Stores the check value if there is none; afterwards [`Self::check_value`] says which one counts.
    async fn offer_check_value(&self, sealed: Vec<u8>) -> Result<(), KeyringError>;
}
