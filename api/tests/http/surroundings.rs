//! What the API stands on in these tests: no instance ever connects, and time is the system's.

use std::sync::Arc;

use async_trait::async_trait;
use dataplane_sync::NodeRecord;
use dataplane_sync::configurations::{ConfigurationUnavailable, Configurations, LiveConfiguration};
use dataplane_sync::fleet_budget::{FleetBudget, NEW_NODES_PER_HOUR};
use dataplane_sync::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};
use domain::{GroupId, NodeId, Timestamp};

/// Nobody's configurations.
pub(crate) struct NoConfigurations;

#[async_trait]
impl Configurations for NoConfigurations {
    async fn open(&self, group: GroupId) -> Result<Box<dyn LiveConfiguration>, ConfigurationUnavailable> {
        let reason = "no instance connects in this test".to_owned();
        Err(ConfigurationUnavailable { group, reason })
    }
}

/// A fleet of nobody.
pub(crate) struct NoNodes;

#[async_trait]
impl ObservedNodes for NoNodes {
    async fn put(&self, _: &[NodeRecord]) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }

    async fn list(&self, _: GroupId) -> Result<Vec<NodeRecord>, ObservedNodesUnavailable> {
        Ok(Vec::new())
    }

    async fn groups_of(&self, _: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ObservedNodesUnavailable> {
        Ok(Vec::new())
    }

    async fn delete(&self, _: GroupId, _: NodeId) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }

    async fn delete_before(&self, _: Timestamp) -> Result<(), ObservedNodesUnavailable> {
        Ok(())
    }
}

/// The registry of that fleet.
pub(crate) fn nodes(
    spawner: Arc<dyn domain::Spawner>,
    clock: Arc<dyn domain::Clock>,
) -> dataplane_sync::NodeRegistry {
    let hubs = dataplane_sync::hub::Hubs::new(Arc::new(NoConfigurations), spawner);
    let budget = FleetBudget::new(NEW_NODES_PER_HOUR);
    dataplane_sync::NodeRegistry::new(Arc::new(hubs), Arc::new(NoNodes), clock, None, Arc::new(budget))
}
