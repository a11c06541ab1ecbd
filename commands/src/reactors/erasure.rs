//! Finishes what a crash cut in half, or an older keyring brought back: what the log says is erased has no data key.

use std::collections::BTreeSet;

use domain::GroupId;
use domain::gateway::CommandError;

use crate::bus::CommandBus;
use crate::bus::erasure::consumer_key;

impl CommandBus {
    /// Destroys the keys of erased consumers, in the groups where that hasn't been seen to yet.
    pub(super) async fn finish_erasures(&self) -> Result<(), CommandError> {
        for group in self.inner.surroundings.watchlist.with_erasures_to_see_to() {
            self.destroy_erased(group).await?;
        }
        Ok(())
    }

    async fn destroy_erased(&self, group: GroupId) -> Result<(), CommandError> {
        let durable = self.group_state(group).await?;
        let erased = durable.state.erased.keys();
        let keys: BTreeSet<_> = erased.map(|consumer| consumer_key(group, *consumer)).collect();
        let surroundings = &self.inner.surroundings;
        let destroyed = surroundings.keyring.destroy(&keys).await;
        destroyed.map_err(|error| CommandError::Unavailable(error.to_string()))?;
        surroundings.watchlist.note_erasures_seen_to(group, keys.len());
        Ok(())
    }
}
