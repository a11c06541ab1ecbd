//! Deleting and restoring a group touches two boundaries in an order that a crash may cut (DESIGN §4): the group is
//! sealed, then its deletion recorded; its certificates are claimed, its restoration is recorded, then it is unsealed. What is cut in half, a reactor
//! finishes ([`crate::reactors`]).

use std::sync::Arc;

use domain::gateway::{Accepted, CommandError};
use domain::group::GroupCommand;
use domain::organization::{OrganizationCommand, OrganizationOutcome, TokenRecord, decide};
use domain::system::GroupOfOrganization;
use domain::{Cause, Context, GroupId, OrganizationId, Timestamp, Version};
use tokio::sync::oneshot;

use super::CommandBus;
use crate::entropy;

pub(super) type Answer = Result<Accepted<OrganizationOutcome>, CommandError>;

impl CommandBus {
    /// Deletes a group; `expected` is `If-Match`. Its name is free at once, its history stays.
    pub async fn delete_group(
        &self,
        organization: OrganizationId,
        group: GroupId,
        expected: Option<Vec<Version>>,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let deletion = async move { bus.seal_and_delete(organization, group, expected, cause).await };
        self.to_the_end("group deletion", deletion).await
    }

    /// Restores a deleted group, under a new name if one is given.
    pub async fn restore_group(
        &self,
        organization: OrganizationId,
        group: GroupId,
        name: Option<String>,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let restoration = async move { bus.restore_and_unseal(organization, group, name, cause).await };
        self.to_the_end("group restoration", restoration).await
    }

    /// Runs in a task of its own, so that a caller who leaves doesn't cut it in half.
    pub(super) async fn to_the_end<Outcome: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<Accepted<Outcome>, CommandError>> + Send + 'static,
    ) -> Result<Accepted<Outcome>, CommandError> {
        let (answer, answered) = oneshot::channel();
        let task = async move {
            let _ = answer.send(work.await);
        };
        self.inner.surroundings.spawner.spawn(name, Box::pin(task));
        answered.await.unwrap_or(Err(CommandError::OutcomeUnknown))
    }

    async fn seal_and_delete(
        &self,
        organization: OrganizationId,
        group: GroupId,
        expected: Option<Vec<Version>>,
        cause: Cause,
    ) -> Answer {
        let delete = OrganizationCommand::DeleteGroup { group, expected };
        // A repeated request is answered from memory: its group may have been restored since.
        if self.is_repeated(organization, &cause).await? {
            return self.to_organization(organization, delete, cause).await;
        }
        self.rehearse(organization, &delete).await?;
        let before = without_key(&cause);
        let sealed = self.to_group(group, GroupCommand::Seal, before.clone()).await?;
        let deleted = self.to_organization(organization, delete, cause).await;
        match deleted {
            Err(error) if sealed.changed && error != CommandError::OutcomeUnknown => {
                // Where even this fails, the reactor decides, so nobody knows yet.
                let unsealed = self.to_group(group, GroupCommand::Unseal, before).await;
                Err(unsealed.map_or(CommandError::OutcomeUnknown, |_| error))
            }
            answer => answer,
        }
    }

    async fn restore_and_unseal(
        &self,
        organization: OrganizationId,
        group: GroupId,
        name: Option<String>,
        cause: Cause,
    ) -> Answer {
        let after = without_key(&cause);
        let restore = |name, leave_out| OrganizationCommand::RestoreGroup {
            group,
            name,
            leave_out,
        };
        if self.is_repeated(organization, &cause).await? {
            return self
                .to_organization(organization, restore(name, Vec::new()), cause)
                .await;
        }
        self.rehearse(organization, &restore(name.clone(), Vec::new()))
            .await?;
        let by = GroupOfOrganization { organization, group };
        let before = self.organization_state(organization).await?;
        let deleted_at = before.state.groups.get(&group).and_then(|group| group.deleted_at);
        let left_out = self.reclaim_certificates(by, &after).await?;
        let ids = left_out.iter().map(|certificate| certificate.id).collect();
        let mut restored = self
            .to_organization(organization, restore(name, ids), cause)
            .await?;
        if restored.replayed {
            return Ok(restored);
        }
        restored.outcome.left_out = left_out;
        restored.outcome.left_out_tokens = self.tokens_gone(by, deleted_at).await?;
        // The restoration is recorded: where this fails, the reactor unseals, so it isn't true that nothing changed.
        let unsealed = self.to_group(group, GroupCommand::Unseal, after).await;
        unsealed.map_or(Err(CommandError::OutcomeUnknown), |_| Ok(restored))
    }

    /// The tokens of a restored group that were revoked when it was deleted and haven't come back.
    async fn tokens_gone(
        &self,
        by: GroupOfOrganization,
        deleted_at: Option<Timestamp>,
    ) -> Result<Vec<Arc<TokenRecord>>, CommandError> {
        let organization = self.organization_state(by.organization).await?;
        let gone = |token: &&Arc<TokenRecord>| {
            token.group == Some(by.group) && token.revoked_at.is_some() && token.revoked_at == deleted_at
        };
        Ok(organization.state.tokens.values().filter(gone).cloned().collect())
    }

    /// Whether the organization remembers this request's idempotency key: its answer is known then.
    pub(super) async fn is_repeated(
        &self,
        organization: OrganizationId,
        cause: &Cause,
    ) -> Result<bool, CommandError> {
        let Some(idempotency) = &cause.idempotency else {
            return Ok(false);
        };
        let organization = self.organization_state(organization).await?;
        let window = &organization.state.idempotency;
        Ok(window.recall(&cause.actor, &idempotency.key).is_some())
    }

    /// Refuses what the organization would refuse, before anything is done elsewhere for it.
    pub(super) async fn rehearse(
        &self,
        organization: OrganizationId,
        command: &OrganizationCommand,
    ) -> Result<(), CommandError> {
        let organization = self.organization_state(organization).await?;
        let at = self.inner.surroundings.clock.now();
        decide(
            &organization.state,
            command,
            &mut Context::new(at, entropy::seed()),
        )?;
        Ok(())
    }
}

/// The cause for the other boundary: the key belongs to the request, which is the organization's.
pub(super) fn without_key(cause: &Cause) -> Cause {
    Cause {
        idempotency: None,
        ..cause.clone()
    }
}
