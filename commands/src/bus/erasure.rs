//! Erasing a consumer touches the log and the keyring in an order that a crash may cut (DESIGN §10): that it is erased
//! is recorded, then its data key is destroyed. What is cut in half, a reactor finishes ([`crate::reactors`]).

use domain::gateway::{Accepted, CommandError};
use domain::group::{Condition, GroupCommand, Outcome};
use domain::{Boundary, Cause, EntityId, GroupId, KeyId};
use tracing::warn;

use super::CommandBus;

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

/// The data key of a consumer.
pub(crate) const fn consumer_key(group: GroupId, consumer: EntityId) -> KeyId {
    KeyId {
        boundary: Boundary::Group(group),
        owner: Some(consumer.0),
    }
}
