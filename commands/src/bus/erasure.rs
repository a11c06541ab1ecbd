//! Erasing a consumer and purging a group touch the log and the keyring in an order that a crash may cut (DESIGN §10):
//! that it is erased is recorded, then its keys are destroyed. What is cut in half, a reactor finishes
//! ([`crate::reactors`]).

use domain::gateway::{Accepted, CommandError};
use domain::group::{Condition, GroupCommand, Outcome};
use domain::keyring::KeyringError;
use domain::organization::OrganizationCommand;
use domain::system::GroupOfOrganization;
use domain::{Boundary, Cause, EntityId, GroupId, KeyId, OrganizationId, Version};
use tracing::warn;

use super::CommandBus;
use super::deletion::{Answer, without_key};

impl CommandBus {
    /// Erases a consumer of a group: when this answers, what its data key sealed can't be read any more.
    pub(super) async fn erase_consumer(
        &self,
        group: GroupId,
        consumer: EntityId,
        condition: Condition,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        let bus = self.clone();
        let erasure = async move { bus.record_and_destroy(group, consumer, condition, cause).await };
        self.to_the_end("consumer erasure", erasure).await
    }

    async fn record_and_destroy(
        &self,
        group: GroupId,
        consumer: EntityId,
        condition: Condition,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        let erase = GroupCommand::EraseConsumer { consumer, condition };
        let accepted = self.to_group(group, erase, cause).await?;
        let key = consumer_key(group, consumer);
        // The erasure is recorded: where this fails, the reactor destroys, so it isn't true that nothing changed.
        match self.inner.surroundings.keyring.destroy(&[key].into()).await {
            Ok(()) => Ok(accepted),
            Err(error) => {
                warn!(%group, %consumer, %error, "the key of an erased consumer isn't destroyed yet; it is tried again");
                Err(CommandError::OutcomeUnknown)
            }
        }
    }
}

impl CommandBus {
    /// Purges a deleted group; `expected` is `If-Match`. When this answers, nothing that was sealed in it can be read
    /// any more.
    pub async fn purge_group(
        &self,
        organization: OrganizationId,
        group: GroupId,
        expected: Option<Vec<Version>>,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let purge = async move { bus.record_and_purge(organization, group, expected, cause).await };
        self.to_the_end("group purge", purge).await
    }

    async fn record_and_purge(
        &self,
        organization: OrganizationId,
        group: GroupId,
        expected: Option<Vec<Version>>,
        cause: Cause,
    ) -> Answer {
        let known = self.organization_state(organization).await?;
        let certificates: Vec<_> = known.state.certificates_of(group).cloned().collect();
        let after = without_key(&cause);
        let purge = OrganizationCommand::PurgeGroup { group, expected };
        let purged = self.to_organization(organization, purge, cause).await?;
        // The purge is recorded: where something fails from here on, the reactors finish it.
        if let Err(error) = self.destroy_group(group).await {
            warn!(%group, %error, "the keys of a purged group aren't destroyed yet; it is tried again");
            return Err(CommandError::OutcomeUnknown);
        }
        let by = GroupOfOrganization { organization, group };
        for certificate in certificates {
            let fingerprint = certificate.content.fingerprint;
            if let Err(error) = self.release_certificate(fingerprint, by, after.clone()).await {
                warn!(%fingerprint, %error, "a purged group's certificate is still its own; trying again soon");
            }
        }
        Ok(purged)
    }

    /// Destroys every key of a group, and drops what this process holds of it.
    pub(crate) async fn destroy_group(&self, group: GroupId) -> Result<(), KeyringError> {
        let boundary = Boundary::Group(group);
        self.inner.surroundings.keyring.destroy_boundary(boundary).await?;
        self.inner.groups.retire(boundary);
        self.inner.surroundings.watchlist.note_purge_seen_to(group);
        Ok(())
    }
}

/// The data key of a consumer.
pub(crate) const fn consumer_key(group: GroupId, consumer: EntityId) -> KeyId {
    KeyId {
        boundary: Boundary::Group(group),
        owner: Some(consumer.0),
    }
}
