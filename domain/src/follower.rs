//! Who follows the log, and what others wait for: the views.

use async_trait::async_trait;

use crate::Position;

/// Follows the log.
#[async_trait]
pub trait Follower: Send + Sync + 'static {
    /// Waits until it has taken in everything up to a position. It may stand still, so whoever waits has an end of its own.
    async fn took(&self, position: Position);
}
