//! Purges deleted groups when their time has come, and finishes purges that a crash cut before the keys were destroyed.

use domain::gateway::CommandError;
use domain::organization::GroupRecord;
use domain::{Cause, Timestamp};

use crate::bus::CommandBus;

impl CommandBus {
    /// Looks for deleted groups whose retention has ended, and for purged ones that may still have keys.
    pub(super) async fn purge(&self) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        let due_since = self.purge_due_since();
        for organization in system.state.organizations.keys() {
            let known = self.organization_state(*organization).await?;
            for group in known.state.groups.values() {
                if self.is_cut(group) {
                    let destroyed = self.destroy_group(group.id).await;
                    destroyed.map_err(|error| CommandError::Unavailable(error.to_string()))?;
                } else if is_due(group, due_since) {
                    // Who restored it meanwhile has touched it.
                    let expected = Some(vec![group.touched]);
                    let cause = Cause::system("group retention");
                    self.purge_group(*organization, group.id, expected, cause).await?;
                }
            }
        }
        Ok(())
    }

    /// Groups that were deleted at this time or before are to be purged; none if no group is, ever.
    fn purge_due_since(&self) -> Option<Timestamp> {
        let retention = i64::try_from(self.inner.group_retention?.as_millis()).unwrap_or(i64::MAX);
        let now = self.inner.surroundings.clock.now();
        Some(Timestamp(now.0.saturating_sub(retention)))
    }

    fn is_cut(&self, group: &GroupRecord) -> bool {
        group.purged_at.is_some() && !self.inner.surroundings.watchlist.is_purge_seen_to(group.id)
    }
}

fn is_due(group: &GroupRecord, since: Option<Timestamp>) -> bool {
    let has_ended = |deleted: Timestamp| since.is_some_and(|since| deleted <= since);
    group.purged_at.is_none() && group.deleted_at.is_some_and(has_ended)
}
