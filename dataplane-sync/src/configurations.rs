//! Where groups' configurations come from: the questions this room asks of the live groups, so that sessions, hubs and
//! tests don't depend on a log.

use std::sync::Arc;

use async_trait::async_trait;
use domain::group::Group;
use domain::{Digest, EntityId, GroupId, Kind, Timestamp, Version};

/// A group's configuration at one version.
pub trait ConfigurationState: Send + Sync + 'static {
    /// The folded group.
    fn group(&self) -> &Group;

    /// Its content hash.
    fn digest(&self) -> Digest;

    /// The entities touched after an earlier version, each once; none where that isn't remembered.
    fn changed_since(&self, version: Version) -> Option<Vec<(Kind, EntityId)>>;

    /// The digest of this or an earlier version; none where that isn't remembered.
    fn digest_at(&self, version: Version) -> Option<Digest>;

    /// Its version.
    fn version(&self) -> Version {
        self.group().version
    }

    /// When the version was made, by the clock.
    fn clock(&self) -> Timestamp {
        self.group().clock
    }
}

/// A group's configuration as it changes.
#[async_trait]
pub trait LiveConfiguration: Send + Sync + 'static {
    /// The newest state.
    fn current(&self) -> Arc<dyn ConfigurationState>;

    /// Returns when there is a newer state than at the last call, or an error when there will be none.
    async fn changed(&mut self) -> Result<(), ConfigurationEnded>;
}

/// A configuration that isn't followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration isn't followed any more")]
pub struct ConfigurationEnded;

/// A configuration that can't be had for the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of runtime group {group} can't be read for the moment: {reason}")]
pub struct ConfigurationUnavailable {
    /// Which group.
    pub group: GroupId,
    /// Why.
    pub reason: String,
}

/// Opens groups' configurations.
#[async_trait]
pub trait Configurations: Send + Sync + 'static {
    /// Starts following a group.
    async fn open(&self, group: GroupId) -> Result<Box<dyn LiveConfiguration>, ConfigurationUnavailable>;
}
