//! Finishes what a crash cut in half: a group's seal and its organization's record of its deletion belong together.

use std::sync::Arc;

use domain::gateway::CommandError;
use domain::group::GroupCommand;
use domain::organization::{GroupRecord, OrganizationCommand};
use domain::{Cause, OrganizationId, Timestamp};

use crate::bus::CommandBus;

/// What a group's record and its seal ask for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// Its deletion is recorded, but it isn't sealed.
    Seal,
    /// It was sealed after its record was last touched: the deletion was cut before it was recorded.
    Delete,
    /// Its record was touched after it was sealed: the restoration was cut before the seal was broken.
    Unseal,
}

/// What may still be under way: what was done within a command's deadline. What the clock can't have said yet was done by
/// one that was ahead, and is over.
#[derive(Clone, Copy)]
pub(super) struct UnderWay {
    since: Timestamp,
    until: Timestamp,
}

impl UnderWay {
    /// Whether what was done then may be part of it.
    pub(super) fn includes(self, at: Timestamp) -> bool {
        self.since < at && at <= self.until
    }
}

impl CommandBus {
    /// Looks for groups whose seal and record don't fit and mends them.
    pub(super) async fn finish_deletions(&self) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        for organization in system.state.organizations.keys() {
            for group in self.cut_in_half(*organization).await? {
                self.mend(*organization, &group).await?;
            }
        }
        Ok(())
    }

    async fn cut_in_half(&self, organization: OrganizationId) -> Result<Vec<Arc<GroupRecord>>, CommandError> {
        let organization = self.organization_state(organization).await?;
        let groups = organization.state.groups.values();
        Ok(groups
            .filter(|group| self.repair(group).is_some())
            .cloned()
            .collect())
    }

    fn repair(&self, record: &GroupRecord) -> Option<Repair> {
        let watched = self.inner.surroundings.watchlist.get(record.id)?;
        repair(record, watched.sealed_since, self.under_way())
    }

    /// What belongs to commands that may still be under way.
    pub(super) fn under_way(&self) -> UnderWay {
        let deadline = i64::try_from(self.inner.deadline.as_millis()).unwrap_or(i64::MAX);
        let now = self.inner.surroundings.clock.now();
        UnderWay {
            since: Timestamp(now.0.saturating_sub(deadline)),
            until: now.latest_plausible(),
        }
    }

    async fn mend(&self, organization: OrganizationId, record: &GroupRecord) -> Result<(), CommandError> {
        let group = record.id;
        // What was noted may be older than what another process has done since.
        let state = self.group_state(group).await?;
        let sealed_since = state.state.sealed.then_some(state.state.clock);
        let cause = || Cause::system("deletion");
        match repair(record, sealed_since, self.under_way()) {
            None => {}
            Some(Repair::Seal) => {
                self.to_group(group, GroupCommand::Seal, cause()).await?;
            }
            Some(Repair::Unseal) => {
                self.to_group(group, GroupCommand::Unseal, cause()).await?;
            }
            Some(Repair::Delete) => {
                let expected = Some(vec![record.touched]);
                let delete = OrganizationCommand::DeleteGroup { group, expected };
                self.to_organization(organization, delete, cause()).await?;
            }
        }
        Ok(())
    }
}

fn repair(record: &GroupRecord, sealed_since: Option<Timestamp>, under_way: UnderWay) -> Option<Repair> {
    match (record.deleted_at, sealed_since) {
        (Some(_), None) => Some(Repair::Seal),
        (Some(_), Some(_)) | (None, None) => None,
        (None, Some(sealed)) if under_way.includes(sealed) => None,
        (None, Some(sealed)) if record.updated_at < sealed => Some(Repair::Delete),
        (None, Some(_)) => Some(Repair::Unseal),
    }
}
