//! Counts anew what a clock counted that was ahead and has been set right: a time to live or a retention that began in
//! the future would last longer than it should.

use domain::Cause;
use domain::gateway::CommandError;
use domain::group::GroupCommand;
use domain::organization::OrganizationCommand;
use tracing::warn;

use crate::bus::CommandBus;

/// How many entities one change counts anew at most; the next round takes the others.
const AT_ONCE: usize = 1_000;

impl CommandBus {
    /// Looks for what began later than any right clock can have said.
    pub(super) async fn count_anew(&self) -> Result<(), CommandError> {
        let latest = self.inner.surroundings.clock.now().latest_plausible();
        for group in self.inner.surroundings.watchlist.with_births_after(latest) {
            let durable = self.group_state(group).await?;
            let entities: Vec<_> = durable.state.born_after(latest).take(AT_ONCE).collect();
            if entities.is_empty() {
                continue;
            }
            warn!(%group, entities = entities.len(), "times to live that a clock began which was ahead are counted from now on");
            let cause = because("times to live");
            self.to_group(group, GroupCommand::CountAnew { entities }, cause)
                .await?;
        }
        let system = self.system_state().await?;
        for organization in system.state.organizations.keys() {
            let known = self.organization_state(*organization).await?;
            let waiting =
                known.state.groups.values().filter(|group| {
                    group.purged_at.is_none() && group.deleted_at.is_some_and(|at| at > latest)
                });
            for group in waiting {
                let group = group.id;
                warn!(%group, "the retention of a group that was deleted by a clock which was ahead is counted from now on");
                let count = OrganizationCommand::CountDeletionAnew { group };
                self.to_organization(*organization, count, because("group retention"))
                    .await?;
            }
        }
        Ok(())
    }
}

fn because(part: &str) -> Cause {
    Cause {
        reason: Some("the clock was ahead; it is counted from now on".to_owned()),
        ..Cause::system(part)
    }
}
