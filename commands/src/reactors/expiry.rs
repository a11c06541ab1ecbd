//! Nothing expires by the clock alone: this reactor asks for the deletion of what has expired.

use domain::Cause;
use domain::gateway::CommandError;
use domain::group::GroupCommand;

use crate::bus::CommandBus;

/// How many entities one change deletes at most; the next round takes the others.
const AT_ONCE: usize = 1_000;

impl CommandBus {
    /// Deletes what has expired by now, in every group.
    pub(super) async fn expire(&self) -> Result<(), CommandError> {
        let now = self.inner.surroundings.clock.now();
        for group in self.inner.surroundings.watchlist.due(now) {
            let durable = self.group_state(group).await?;
            let entities: Vec<_> = durable.state.expired(now).take(AT_ONCE).collect();
            if entities.is_empty() {
                continue;
            }
            let expire = GroupCommand::Expire { entities };
            self.to_group(group, expire, Cause::system("expiry")).await?;
        }
        Ok(())
    }
}
