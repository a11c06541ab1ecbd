//! Pages in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::Boundary;
use domain::keyring::KeyringError;

use super::page_store::{PageAddress, PageStore, PutError, StoredPage};
use super::{MasterKey, PagedKeyring};

/// A [`PageStore`] in memory. Clones share the pages, as two processes share a store.
#[derive(Clone, Debug, Default)]
pub struct MemoryPages {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    pages: BTreeMap<PageAddress, StoredPage>,
    check_value: Option<Vec<u8>>,
}

impl MemoryPages {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PagedKeyring<MemoryPages> {
    /// An empty keyring with a master key of its own.
    pub fn in_memory() -> Self {
        Self::started(MemoryPages::default(), MasterKey::generate())
    }
}

#[async_trait]
impl PageStore for MemoryPages {
    async fn pages(&self, boundary: Boundary) -> Result<Vec<StoredPage>, KeyringError> {
        let pages = &self.shared().pages;
        Ok(pages
            .iter()
            .filter(|(address, _)| address.boundary == boundary)
            .map(|(_, page)| page.clone())
            .collect())
    }

    async fn put(&self, address: PageAddress, replaces: u64, sealed: Vec<u8>) -> Result<u64, PutError> {
        let mut shared = self.shared();
        if shared.pages.get(&address).map_or(0, |page| page.revision) != replaces {
            return Err(PutError::Conflict);
        }
        let revision = replaces + 1;
        shared.pages.insert(address, StoredPage { revision, sealed });
        Ok(revision)
    }

    async fn erase_former(&self, _address: PageAddress) -> Result<(), KeyringError> {
        Ok(())
    }

    async fn addresses(&self) -> Result<Vec<PageAddress>, KeyringError> {
        Ok(self.shared().pages.keys().copied().collect())
    }

    async fn check_value(&self) -> Result<Option<Vec<u8>>, KeyringError> {
        Ok(self.shared().check_value.clone())
    }

    async fn offer_check_value(&self, sealed: Vec<u8>) -> Result<(), KeyringError> {
        self.shared().check_value.get_or_insert(sealed);
        Ok(())
    }
}
