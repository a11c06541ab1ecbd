//! Slow hashes of secrets, on a thread of their own: a boundary's writer would keep everybody else waiting.

use domain::gateway::CommandError;
use domain::group::{GroupCommand, hashing};
use domain::{Boundary, Context, GroupId};

use super::CommandBus;
use crate::entropy;

impl CommandBus {
    /// The command with its slow secrets hashed; at once where it brings none.
    pub(super) async fn hashed(
        &self,
        group: GroupId,
        command: GroupCommand,
    ) -> Result<GroupCommand, CommandError> {
        if !hashing::is_needed(&command) {
            return Ok(command);
        }
        let known = self.inner.groups.known(Boundary::Group(group)).await?;
        let mut salts = Context::new(self.inner.surroundings.clock.now(), entropy::seed());
        let work = move || hashing::hash(command, &known.state, &mut salts);
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| CommandError::Unavailable(format!("hashing a secret was cut short: {error}")))
    }
}
