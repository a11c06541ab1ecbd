//! What a node keeps in its prefix: `dbless.lmdb`, or `config.cache.json.gz` in 2.8.

use super::configuration::{Configuration, NO_HASH};
use super::release::KongVersion;

/// The stored configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Storage {
    stored: Option<Configuration>,
}

impl Storage {
    /// The hash that the next ping carries.
    pub(super) fn hash(&self) -> &str {
        self.stored.as_ref().map_or(NO_HASH, |stored| &stored.hash)
    }

    pub(super) fn keep(&mut self, configuration: Configuration) {
        self.stored = Some(configuration);
    }

    /// What the node runs.
    pub(super) fn configuration(&self) -> Option<&Configuration> {
        self.stored.as_ref()
    }

    /// A node starts with what the one before it has left; 2.8 computes the hash anew, with its own algorithm.
    pub(super) fn reopen(&mut self, version: KongVersion) {
        if let Some(stored) = &mut self.stored
            && !version.remembers_the_hash()
        {
            stored.hash = recomputed(&stored.hash);
        }
    }
}

/// Some other hash: what matters is that it isn't the one that came with the configuration.
fn recomputed(hash: &str) -> String {
    hash.chars()
        .rev()
        .map(|digit| if digit == '0' { 'f' } else { '0' })
        .collect()
}
