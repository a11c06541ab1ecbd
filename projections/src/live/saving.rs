//! Storing the states of live groups, so that the next start folds the newest changes only.

use std::sync::Arc;

use domain::group::{Group, stored};
use domain::keyring::KeyringError;
use domain::state_store::StoredState;
use domain::{Boundary, Digest, GroupId, Keyring, Position, Version};

use super::Groups;
use super::entry::Entry;

/// After how many changes a live group is stored again.
pub(super) const STORE_AFTER: Version = 4_096;

/// A folded group on its way into the store.
pub(super) struct Unsaved {
    pub(super) group: Group,
    pub(super) position: Position,
    /// The digest of the record at `position`.
    pub(super) record: Digest,
}

/// Stores a group's state if it has at least so many changes that aren't stored yet. Failing to is never fatal: it is
/// a cache.
pub(super) async fn save(groups: &Groups, entry: &Entry, at_least: Version) {
    let Some(unsaved) = entry.unsaved(at_least) else {
        return;
    };
    let (boundary, version) = (Boundary::Group(entry.group()), unsaved.group.version);
    let saved = match encode(&groups.keyring, entry.group(), unsaved).await {
        Ok(state) => groups
            .states
            .save(boundary, state)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match saved {
        Ok(()) => entry.saved(version),
        Err(error) => tracing::warn!(%boundary, error, "a state can't be stored; it is tried again later"),
    }
}

/// Encodes on a thread of its own: a large group takes longer than instances shall wait for a change.
async fn encode(
    keyring: &Arc<dyn Keyring>,
    group: GroupId,
    unsaved: Unsaved,
) -> Result<StoredState, KeyringError> {
    let unsaved = Arc::new(unsaved);
    loop {
        let (keys, state) = (Arc::clone(keyring), Arc::clone(&unsaved));
        let encoding = move || stored::encode(&state.group, Boundary::Group(group), &*keys);
        let encoded = tokio::task::spawn_blocking(encoding)
            .await
            .map_err(|error| KeyringError::Unavailable(format!("encoding a state was cut short: {error}")))?;
        match encoded {
            Ok(bytes) => {
                return Ok(StoredState {
                    position: unsaved.position,
                    digest: unsaved.record,
                    state_version: stored::STATE_VERSION,
                    bytes,
                });
            }
            Err(missing) => keyring.load(&[missing.0].into()).await?,
        }
    }
}
