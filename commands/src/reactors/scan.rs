//! Learns of groups that no writer of this process has seen since they changed.

use domain::gateway::CommandError;
use domain::group::Group;
use domain::{Boundary, GroupId};

use super::Watched;
use crate::bus::CommandBus;
use crate::writer::Fold;

impl CommandBus {
    /// Folds every group whose boundary has moved since it was last seen; its state is dropped at once.
    pub(super) async fn scan(&self) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        for organization in system.state.organizations.keys() {
            let organization = self.organization_state(*organization).await?;
            for group in organization.state.groups.keys() {
                self.look_at(*group).await?;
            }
        }
        Ok(())
    }

    async fn look_at(&self, group: GroupId) -> Result<(), CommandError> {
        let surroundings = &self.inner.surroundings;
        let (log, keyring) = (&*surroundings.log, &*surroundings.keyring);
        let boundary = Boundary::Group(group);
        let unreadable = |error: &dyn std::error::Error| CommandError::Unavailable(error.to_string());
        let tail = log.boundary_tail(boundary).await;
        let tail = tail.map_err(|error| unreadable(&error))?.unwrap_or_default();
        if surroundings
            .watchlist
            .get(group)
            .is_some_and(|seen| seen.tail >= tail)
        {
            return Ok(());
        }
        let mut fold = Fold::<Group>::start(boundary, surroundings).await;
        let caught_up = fold.catch_up(log, keyring).await;
        caught_up.map_err(|error| unreadable(&error))?;
        let watched = Watched::of(&fold.state, fold.guard());
        surroundings.watchlist.note(group, watched);
        Ok(())
    }
}
