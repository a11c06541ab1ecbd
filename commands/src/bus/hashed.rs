//! Slow hashes of secrets, on a thread for computing: a boundary's writer would keep everybody else waiting.

use domain::gateway::CommandError;
use domain::group::{GroupCommand, hashing};
use domain::spawner::{Share, computed};
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
        let spawner = &*self.inner.surroundings.spawner;
        let hashed = computed(spawner, Share::Group(group), work).await;
        hashed.ok_or_else(|| CommandError::Unavailable("the program is shutting down".to_owned()))
    }
}
