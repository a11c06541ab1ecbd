//! What this room asks for, answered by the projections.

use std::sync::Arc;

use async_trait::async_trait;
use domain::group::Group;
use domain::organization::TokenRecord;
use domain::token::TokenHash;
use domain::{Boundary, Digest, EntityId, GroupId, Kind, NodeId, OrganizationId, Timestamp, Version};
use futures::{StreamExt as _, TryStreamExt as _};
use projections::{GroupSelector, LiveGroup, LiveState, NotCaughtUp, ObservedNode, Projections};
use tokio::sync::watch;

use crate::configurations::{
    ConfigurationEnded, ConfigurationState, ConfigurationUnavailable, Configurations, LiveConfiguration,
};
use crate::instance_tokens::{InstanceTokens, StoredToken, TokensUnavailable};
use crate::node_record::NodeRecord;
use crate::observed_nodes::{ObservedNodes, ObservedNodesUnavailable};

/// How many tokens are looked up at once.
const LOOKUPS: usize = 8;

/// Configurations, tokens and the fleet's record, out of the projections.
#[derive(Clone)]
pub struct Projected {
    pub(crate) projections: Projections,
}

impl Projected {
    /// Over these projections.
    pub const fn new(projections: Projections) -> Self {
        Self { projections }
    }

    /// A token that may have been issued a moment ago: what isn't found is looked up once more after catching up
    /// (DESIGN §6).
    async fn issued_token(
        &self,
        hash: TokenHash,
    ) -> Result<Option<(OrganizationId, TokenRecord)>, TokensUnavailable> {
        let views = self.projections.views();
        if let Some(found) = views.token_by_hash(hash).await.map_err(unavailable)? {
            return Ok(Some(found));
        }
        self.caught_up_with_organizations().await.map_err(unavailable)?;
        views.token_by_hash(hash).await.map_err(unavailable)
    }

    /// Waits until the views hold every commit of the system and of its organizations that is durable now.
    pub(crate) async fn caught_up_with_organizations(&self) -> Result<(), NotCaughtUp> {
        self.projections.caught_up(Boundary::System).await?;
        let organizations = self.projections.views().organizations().await;
        let organizations = organizations.map_err(|error| NotCaughtUp {
            reason: error.to_string(),
        })?;
        for (organization, _) in organizations {
            self.projections
                .caught_up(Boundary::Organization(organization))
                .await?;
        }
        Ok(())
    }

    async fn known_token(&self, hash: TokenHash) -> Result<Option<StoredToken>, TokensUnavailable> {
        let found = self.projections.views().token_by_hash(hash).await;
        match found.map_err(unavailable)? {
            Some((organization, record)) => self.with_group(organization, record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn with_group(
        &self,
        organization: OrganizationId,
        record: TokenRecord,
    ) -> Result<StoredToken, TokensUnavailable> {
        let group = match record.group {
            Some(group) => {
                let selector = GroupSelector::Id(group);
                let found = self.projections.views().group(organization, &selector).await;
                found.map_err(unavailable)?.map(|group| group.record)
            }
            None => None,
        };
        Ok(StoredToken {
            organization,
            record,
            group_exists: group.as_ref().is_some_and(|group| group.deleted_at.is_none()),
            runtime_type: group.and_then(|group| group.runtime_type),
        })
    }
}

#[async_trait]
impl InstanceTokens for Projected {
    async fn token(&self, hash: TokenHash) -> Result<Option<StoredToken>, TokensUnavailable> {
        match self.issued_token(hash).await? {
            Some((organization, record)) => self.with_group(organization, record).await.map(Some),
            None => Ok(None),
        }
    }

    async fn tokens(&self, hashes: &[TokenHash]) -> Result<Vec<Option<StoredToken>>, TokensUnavailable> {
        let known: Vec<_> = hashes.iter().map(|hash| self.known_token(*hash)).collect();
        futures::stream::iter(known).buffered(LOOKUPS).try_collect().await
    }
}

fn unavailable(error: impl ToString) -> TokensUnavailable {
    TokensUnavailable(error.to_string())
}

#[async_trait]
impl Configurations for Projected {
    async fn open(&self, group: GroupId) -> Result<Box<dyn LiveConfiguration>, ConfigurationUnavailable> {
        let live = self.projections.live().open(group).await;
        let live = live.map_err(|error| ConfigurationUnavailable {
            group,
            reason: error.to_string(),
        })?;
        Ok(Box::new(Followed {
            states: live.subscribe(),
            live,
        }))
    }
}

/// A live group being followed; held, so that it stays live.
struct Followed {
    live: LiveGroup,
    states: watch::Receiver<Arc<LiveState>>,
}

#[async_trait]
impl LiveConfiguration for Followed {
    fn current(&self) -> Arc<dyn ConfigurationState> {
        Arc::new(State(self.live.current()))
    }

    async fn changed(&mut self) -> Result<(), ConfigurationEnded> {
        self.states.changed().await.map_err(|_| ConfigurationEnded)
    }
}

struct State(Arc<LiveState>);

impl ConfigurationState for State {
    fn group(&self) -> &Group {
        &self.0.group
    }

    fn digest(&self) -> Digest {
        self.0.digest
    }

    fn changed_since(&self, version: Version) -> Option<Vec<(Kind, EntityId)>> {
        self.0.changed_since(version)
    }

    fn digest_at(&self, version: Version) -> Option<Digest> {
        self.0.digest_at(version)
    }
}

#[async_trait]
impl ObservedNodes for Projected {
    async fn put(&self, nodes: &[NodeRecord]) -> Result<(), ObservedNodesUnavailable> {
        let observed = |node: &NodeRecord| {
            Ok(ObservedNode {
                group: node.group,
                node: node.id,
                last_seen: node.last_seen,
                record: serde_json::to_value(node).map_err(unreachable_record)?,
            })
        };
        let nodes = nodes.iter().map(observed).collect::<Result<Vec<_>, _>>()?;
        self.projections
            .observed()
            .put(&nodes)
            .await
            .map_err(unreachable_record)
    }

    async fn list(&self, group: GroupId) -> Result<Vec<NodeRecord>, ObservedNodesUnavailable> {
        let nodes = self
            .projections
            .observed()
            .list(group)
            .await
            .map_err(unreachable_record)?;
        let record = |node: ObservedNode| serde_json::from_value(node.record).map_err(unreachable_record);
        nodes.into_iter().map(record).collect()
    }

    async fn groups_of(&self, node: NodeId) -> Result<Vec<(GroupId, Timestamp)>, ObservedNodesUnavailable> {
        let observed = self.projections.observed();
        observed.groups_of(node).await.map_err(unreachable_record)
    }

    async fn delete(&self, group: GroupId, node: NodeId) -> Result<(), ObservedNodesUnavailable> {
        self.projections
            .observed()
            .delete(group, node)
            .await
            .map_err(unreachable_record)?;
        Ok(())
    }

    async fn delete_before(&self, last_seen: Timestamp) -> Result<(), ObservedNodesUnavailable> {
        let observed = self.projections.observed();
        observed
            .delete_before(last_seen)
            .await
            .map_err(unreachable_record)?;
        Ok(())
    }
}

fn unreachable_record(error: impl ToString) -> ObservedNodesUnavailable {
    ObservedNodesUnavailable(error.to_string())
}
