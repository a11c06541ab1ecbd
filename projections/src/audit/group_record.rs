//! A group by its name or id, looked up in the log.

use std::sync::Arc;

use domain::commit::Changes;
use domain::organization::{GroupRecord, Organization};
use domain::system::System;
use domain::{Boundary, EventLog, GroupId, Keyring, OrganizationId};
use uuid::Uuid;

use super::commits::Commits;
use crate::error::ProjectionError;

/// A group and the organization it belongs to.
#[derive(Clone, Debug)]
pub struct AuditedGroup {
    /// The log's identity.
    pub log_id: Option<Uuid>,
    /// The organization.
    pub organization: OrganizationId,
    /// The group as it is now; deleted ones too.
    pub record: Arc<GroupRecord>,
}

/// Why there is no such group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupNotFound {
    /// The log can't be read.
    #[error(transparent)]
    Log(#[from] ProjectionError),
    /// Nobody has this name or id.
    #[error("no runtime group is called `{0}` or has that id; a deleted group is found by its id")]
    Unknown(String),
    /// Groups of several organizations have this name.
    #[error("several organizations have a runtime group called `{0}`: name it by its id")]
    Ambiguous(String),
}

/// Finds the group with this id, deleted or not, or the one that is called so now.
pub async fn find_group(
    log: &dyn EventLog,
    keyring: &Arc<dyn Keyring>,
    wanted: &str,
) -> Result<AuditedGroup, GroupNotFound> {
    let system = system(log, keyring).await?;
    let id = Uuid::try_parse(wanted).ok().map(GroupId);
    let mut found = None;
    for id_of_organization in system.organizations.keys() {
        let organization = organization(log, keyring, *id_of_organization).await?;
        let record = match id {
            Some(id) => organization.groups.get(&id),
            None => organization.group_named(wanted),
        };
        let Some(record) = record else { continue };
        let group = AuditedGroup {
            log_id: system.log_id,
            organization: *id_of_organization,
            record: Arc::clone(record),
        };
        if found.replace(group).is_some() {
            return Err(GroupNotFound::Ambiguous(wanted.to_owned()));
        }
    }
    found.ok_or_else(|| GroupNotFound::Unknown(wanted.to_owned()))
}

async fn system(log: &dyn EventLog, keyring: &Arc<dyn Keyring>) -> Result<System, ProjectionError> {
    let mut state = System::default();
    let mut commits = Commits::of(log, Arc::clone(keyring), Boundary::System);
    while let Some(commit) = commits.next().await? {
        if let Changes::System(changes) = &commit.changes {
            changes.iter().for_each(|change| state.apply(change));
        }
    }
    Ok(state)
}

async fn organization(
    log: &dyn EventLog,
    keyring: &Arc<dyn Keyring>,
    id: OrganizationId,
) -> Result<Organization, ProjectionError> {
    let mut state = Organization::default();
    let mut commits = Commits::of(log, Arc::clone(keyring), Boundary::Organization(id));
    while let Some(commit) = commits.next().await? {
        if let Changes::Organization(_, changes) = &commit.changes {
            changes.iter().for_each(|change| state.apply(change));
        }
    }
    Ok(state)
}
