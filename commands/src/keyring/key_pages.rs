//! Taking a keyring from one store to another, page by page, still sealed.

use async_trait::async_trait;
use domain::keyring::KeyringError;

use super::page_store::{PageAddress, PageStore};
use super::paged::PagedKeyring;

/// A keyring whose pages can be carried to another store under the same master key.
#[async_trait]
pub trait KeyPages: Send + Sync {
    /// Every page as it is stored, sealed with the master key, in the order of the addresses.
    async fn export(&self) -> Result<Vec<(PageAddress, Vec<u8>)>, KeyringError>;

    /// Takes the keys of an exported page that are missing here and destroys the ones that are destroyed there. A key
    /// that was destroyed here stays so.
    async fn import(&self, address: PageAddress, sealed: &[u8]) -> Result<(), KeyringError>;

    /// Leaves everything in order, after the last change.
    async fn close(&self) -> Result<(), KeyringError>;
}

#[async_trait]
impl<S: PageStore> KeyPages for PagedKeyring<S> {
    async fn export(&self) -> Result<Vec<(PageAddress, Vec<u8>)>, KeyringError> {
        self.export_pages().await
    }

    async fn import(&self, address: PageAddress, sealed: &[u8]) -> Result<(), KeyringError> {
        self.import_page(address, sealed).await
    }

    async fn close(&self) -> Result<(), KeyringError> {
        self.close_store().await
    }
}
