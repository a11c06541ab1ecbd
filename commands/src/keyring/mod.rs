//! Data keys, stored in pages that the master key seals (DESIGN §4 Secrets, §5 Keyring).
//!
//! - [`MasterKey`]: the one key outside: `data/master.key`, or the environment in a cluster.
//! - [`PagedKeyring`]: [`domain::Keyring`] over any [`PageStore`]; [`sealed_page`] is what a page holds.
//! - [`KeyPages`]: carrying a keyring from one store to another.
//! - Stores of pages: [`MemoryPages`] for tests, [`SqlitePages`] in `keys.db`,
//!   [`NatsPages`] in NATS JetStream.

mod key_pages;
pub mod master_key;
mod memory;
mod nats;
mod page_store;
mod paged;
mod sealed_page;
mod sqlite;

pub use key_pages::KeyPages;
pub use master_key::MasterKey;
pub use memory::MemoryPages;
pub use nats::NatsPages;
pub use page_store::{PageAddress, PageChange, PageStore, PutError, StoredPage};
pub use paged::PagedKeyring;
pub use sqlite::SqlitePages;

/// A keyring in memory, for tests.
pub type MemoryKeyring = PagedKeyring<MemoryPages>;

/// A keyring in the file `keys.db`.
pub type SqliteKeyring = PagedKeyring<SqlitePages>;

/// A keyring in NATS JetStream.
pub type NatsKeyring = PagedKeyring<NatsPages>;
