//! Queries that see what was durable when they came (DESIGN §6): each waits for the views first, and what isn't found
//! is looked up once more after catching up.

use std::sync::Arc;

use domain::group::{Entity, Selector, children};
use domain::organization::{GroupRecord, NodeCertificate, TokenRecord};
use domain::token::TokenHash;
use domain::{Boundary, EntityId, EventLog, GroupId, Kind, OrganizationId, Position, Timestamp, Version};
use projections::{
    ChangeDetail, ChangeFilter, ChangePage, EntityChange, EntityPage, EntityQuery, GroupFilter, GroupPage,
    GroupRow, GroupSelector, GroupSort, Lane, LiveError, LiveGroup, NotCaughtUp, Page, Projections,
    TagCursor, TagFilter, TagPage, ViewError, Views,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::exchange::Caller;
use super::refusal::Refusal;

/// How many records the views may be behind the log while the process is ready: what they catch up with in far less time
/// than a read waits for them.
const NEAR_THE_END: u64 = 10_000;

/// The read side as requests see it.
pub(crate) struct Reads {
    projections: Projections,
    log: Arc<dyn EventLog>,
    lane: Lane,
}

impl Reads {
    /// Reads from these projections, over the connections of a lane.
    pub(crate) const fn new(projections: Projections, log: Arc<dyn EventLog>, lane: Lane) -> Self {
        Self {
            projections,
            log,
            lane,
        }
    }

    fn views(&self) -> &Views {
        self.projections.views_for(self.lane)
    }

    /// Waits until the views hold what is durable of a group.
    pub(crate) async fn caught_up_with_group(&self, group: GroupId) -> Result<(), Refusal> {
        self.projections.caught_up(Boundary::Group(group)).await?;
        Ok(())
    }

    async fn caught_up_with_organization(&self, organization: OrganizationId) -> Result<(), Refusal> {
        let boundary = Boundary::Organization(organization);
        self.projections.caught_up(boundary).await?;
        Ok(())
    }

    /// Waits until the views hold everything that is durable.
    async fn caught_up_with_everything(&self) -> Result<(), Refusal> {
        let tail = self.log.tail().await;
        let tail = tail.map_err(|error| Refusal::unavailable(error.to_string()))?;
        self.caught_up_to(tail).await
    }

    /// Waits until the views hold a position.
    pub(crate) async fn caught_up_to(&self, position: Position) -> Result<(), Refusal> {
        Ok(self.projections.caught_up_to(position).await?)
    }

    /// Who holds a token, as its organization says now.
    pub(crate) async fn caller(&self, hash: TokenHash) -> Result<Option<Caller>, Refusal> {
        match self.views().token_by_hash(hash).await? {
            Some((organization, _)) => self.caught_up_with_organization(organization).await?,
            None => self.caught_up_with_everything().await?,
        }
        let found = self.views().token_by_hash(hash).await?;
        Ok(found.map(|(organization, token)| Caller {
            organization,
            token: Arc::new(token),
        }))
    }

    /// A group by id or name; one by id may be deleted.
    pub(crate) async fn group(
        &self,
        organization: OrganizationId,
        selector: &str,
    ) -> Result<Option<GroupRow>, Refusal> {
        let selector = match Selector::parse(selector) {
            Selector::Id(EntityId(id)) => GroupSelector::Id(GroupId(id)),
            Selector::Key(name) => GroupSelector::Name(name),
        };
        self.caught_up_with_organization(organization).await?;
        Ok(self.views().group(organization, &selector).await?)
    }

    /// A group with how much is in it now; by id or name, one by id may be deleted.
    pub(crate) async fn group_as_it_is(
        &self,
        organization: OrganizationId,
        group: GroupId,
    ) -> Result<Option<GroupRow>, Refusal> {
        self.caught_up_with_organization(organization).await?;
        self.caught_up_with_group(group).await?;
        Ok(self
            .views()
            .group(organization, &GroupSelector::Id(group))
            .await?)
    }

    /// A group's record by id or name, if it isn't deleted.
    pub(crate) async fn existing_group(
        &self,
        organization: OrganizationId,
        selector: &str,
    ) -> Result<Option<GroupRecord>, Refusal> {
        let group = self.group(organization, selector).await?;
        Ok(group
            .map(|group| group.record)
            .filter(|group| group.deleted_at.is_none()))
    }

    /// A page of an organization's groups, each with how much is in it now.
    pub(crate) async fn groups(
        &self,
        organization: OrganizationId,
        filter: &GroupFilter,
        sort: GroupSort,
        page: Page,
    ) -> Result<GroupPage, Refusal> {
        self.caught_up_with_everything().await?;
        Ok(self.views().groups(organization, filter, sort, page).await?)
    }

    /// An organization's tokens.
    pub(crate) async fn tokens(&self, organization: OrganizationId) -> Result<Vec<TokenRecord>, Refusal> {
        self.caught_up_with_organization(organization).await?;
        Ok(self.views().tokens(organization).await?)
    }

    /// The certificates in a group's record.
    pub(crate) async fn certificates(
        &self,
        organization: OrganizationId,
        group: GroupId,
    ) -> Result<Vec<NodeCertificate>, Refusal> {
        self.caught_up_with_organization(organization).await?;
        Ok(self.views().certificates_of(organization, group).await?)
    }

    /// An organization's name.
    pub(crate) async fn organization_name(&self, organization: OrganizationId) -> Result<String, Refusal> {
        self.caught_up_with_organization(organization).await?;
        let name = self.views().organization(organization).await?;
        Ok(name.unwrap_or_default())
    }

    /// The newest version of a group's configuration, once the views hold what is durable of it.
    pub(crate) async fn group_version(&self, group: GroupId) -> Result<Version, Refusal> {
        self.caught_up_with_group(group).await?;
        Ok(self.views().group_version(group).await?)
    }

    /// The newest version of an organization's history, once the views hold what is durable of it.
    pub(crate) async fn organization_version(
        &self,
        organization: OrganizationId,
    ) -> Result<Version, Refusal> {
        self.caught_up_with_organization(organization).await?;
        let boundary = Boundary::Organization(organization);
        Ok(self.views().boundary_version(boundary).await?)
    }

    /// Waits until the views hold a change of a boundary above a version; answers the newest.
    pub(crate) async fn version_above(
        &self,
        boundary: Boundary,
        version: Version,
    ) -> Result<Version, Refusal> {
        loop {
            let position = self.projections.status().position;
            let newest = self.views().boundary_version(boundary).await?;
            if newest > version {
                return Ok(newest);
            }
            self.projections.moved_past(position).await;
        }
    }

    /// A change of an organization with what was recorded before and after it.
    pub(crate) async fn organization_change(
        &self,
        organization: OrganizationId,
        version: Version,
    ) -> Result<Option<ChangeDetail>, Refusal> {
        let boundary = Boundary::Organization(organization);
        Ok(self.views().change(boundary, version).await?)
    }

    /// The version a group had at a time.
    pub(crate) async fn version_at(&self, group: GroupId, time: Timestamp) -> Result<Version, Refusal> {
        Ok(self.views().version_at(group, time).await?)
    }

    /// The entity a URL names, within a parent if it is nested; now or at a version.
    pub(crate) async fn entity(
        &self,
        group: GroupId,
        kind: Kind,
        selector: &Selector,
        parent: Option<(Kind, EntityId)>,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, Refusal> {
        let found = self.views().entity(group, kind, selector, parent, at).await?;
        match (found, selector, children::listed(kind)) {
            (None, Selector::Key(name), Some(child)) => self.owner_of(group, kind, child, name, at).await,
            (found, ..) => Ok(found),
        }
    }

    /// The entity to which the child of this name belongs, such as a certificate by one of its SNIs.
    async fn owner_of(
        &self,
        group: GroupId,
        kind: Kind,
        child: Kind,
        name: &str,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, Refusal> {
        let named = self.entity_with(group, child, "name", name, at).await?;
        match named.and_then(|child| children::belongs_to(&child, kind)) {
            Some(id) => Ok(self
                .views()
                .entity(group, kind, &Selector::Id(id), None, at)
                .await?),
            None => Ok(None),
        }
    }

    /// Whether a group ever had this entity.
    pub(crate) async fn has_existed(
        &self,
        group: GroupId,
        kind: Kind,
        id: EntityId,
    ) -> Result<bool, Refusal> {
        let touched_it = self.views().entity_history(group, kind, id, None, 1).await?;
        Ok(!touched_it.is_empty())
    }

    /// The entity that holds a value of a unique field; now or at a version.
    pub(crate) async fn entity_with(
        &self,
        group: GroupId,
        kind: Kind,
        field: &str,
        value: &str,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, Refusal> {
        Ok(self.views().entity_with(group, kind, field, value, at).await?)
    }

    /// Who has which tags, now or at a version; only one tag if it is given.
    pub(crate) async fn tags(
        &self,
        group: GroupId,
        tag: Option<&str>,
        after: Option<&TagCursor>,
        size: usize,
        at: Option<Version>,
    ) -> Result<TagPage, Refusal> {
        Ok(self.views().tags(group, tag, after, size, at).await?)
    }

    /// A page of a group's entities of one kind.
    pub(crate) async fn entities(
        &self,
        group: GroupId,
        kind: Kind,
        wanted: &EntityQuery,
    ) -> Result<EntityPage, Refusal> {
        Ok(self.views().entities(group, kind, wanted).await?)
    }

    /// Every entity of a kind that refers to a parent.
    pub(crate) async fn children(
        &self,
        group: GroupId,
        kind: Kind,
        parent: (Kind, EntityId),
        at: Option<Version>,
    ) -> Result<Vec<Arc<Entity>>, Refusal> {
        let wanted = EntityQuery {
            after: None,
            size: usize::from(u16::MAX),
            tags: TagFilter::None,
            parent: Some(parent),
            at,
        };
        Ok(self.views().entities(group, kind, &wanted).await?.entities)
    }

    /// A group's whole configuration at a version.
    pub(crate) async fn configuration(
        &self,
        group: GroupId,
        version: Version,
    ) -> Result<Vec<Arc<Entity>>, Refusal> {
        Ok(self.views().configuration(group, Some(version)).await?)
    }

    /// What leads from one version of a group's configuration to another.
    pub(crate) async fn difference(
        &self,
        group: GroupId,
        from: Version,
        to: Version,
    ) -> Result<Vec<domain::group::EntityChange>, Refusal> {
        Ok(self.views().difference(group, from, to).await?)
    }

    /// A boundary's changes that satisfy a filter, before a version (from the newest on if none), the newest first.
    pub(crate) async fn history(
        &self,
        boundary: Boundary,
        filter: &ChangeFilter,
        before: Option<Version>,
        size: u64,
    ) -> Result<ChangePage, Refusal> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        Ok(self.views().history(boundary, filter, before, size).await?)
    }

    /// The version a boundary had at a time.
    pub(crate) async fn boundary_version_at(
        &self,
        boundary: Boundary,
        time: Timestamp,
    ) -> Result<Version, Refusal> {
        Ok(self.views().boundary_version_at(boundary, time).await?)
    }

    /// Whom an id or a name means in a group's history.
    pub(crate) async fn last_holder(
        &self,
        group: GroupId,
        kind: Kind,
        selector: &Selector,
    ) -> Result<Option<EntityId>, Refusal> {
        Ok(self.views().last_holder(group, kind, selector).await?)
    }

    /// What was called by a name last in a boundary whose things aren't entities.
    pub(crate) async fn last_named(
        &self,
        boundary: Boundary,
        kind: &str,
        name: &str,
    ) -> Result<Option<Uuid>, Refusal> {
        Ok(self.views().last_named(boundary, kind, name).await?)
    }

    /// A change with what stood before and after it.
    pub(crate) async fn change(
        &self,
        group: GroupId,
        version: Version,
    ) -> Result<Option<ChangeDetail>, Refusal> {
        Ok(self.views().change(Boundary::Group(group), version).await?)
    }

    /// The same, with the events from one on that are about so many entities.
    pub(crate) async fn change_from(
        &self,
        group: GroupId,
        version: Version,
        first: u64,
        size: u64,
    ) -> Result<Option<ChangeDetail>, Refusal> {
        let (first, size) = (first as usize, size as usize);
        let boundary = Boundary::Group(group);
        Ok(self.views().change_from(boundary, version, first, size).await?)
    }

    /// The changes that touched an entity before a version (from the newest on if none), the newest first.
    pub(crate) async fn entity_history(
        &self,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        before: Option<Version>,
        size: usize,
    ) -> Result<Vec<EntityChange>, Refusal> {
        Ok(self.views().entity_history(group, kind, id, before, size).await?)
    }

    /// A group's folded state, kept current as long as it is held.
    pub(crate) async fn live(&self, group: GroupId) -> Result<LiveGroup, Refusal> {
        Ok(self.projections.live().open(group).await?)
    }

    /// Whether the views answer and are kept current, as `/readyz` says it.
    pub(crate) async fn health(&self) -> Result<Value, Value> {
        let status = self.projections.status();
        let leadership = self.projections.leadership();
        let mut body = json!({
            "ok": true, "position": status.position, "lag": status.lag,
            "projected_here": leadership.here, "projected_by": leadership.holder,
        });
        let trouble = if status.halted.is_some() {
            status.halted
        } else if status.position < status.start {
            Some(format!(
                "the read models hold the log's records up to {}, and it had {} when this process started: they catch up",
                status.position, status.start
            ))
        } else if status.lag > NEAR_THE_END {
            Some(format!(
                "the read models are {} records behind the log and catching up",
                status.lag
            ))
        } else {
            let organizations = self.views().organizations().await;
            organizations.err().map(|error| error.to_string())
        };
        match trouble {
            None => Ok(body),
            Some(reason) => {
                body["ok"] = Value::from(false);
                body["reason"] = Value::from(reason);
                Err(body)
            }
        }
    }
}

impl From<NotCaughtUp> for Refusal {
    fn from(behind: NotCaughtUp) -> Self {
        Self::unavailable(behind.to_string())
    }
}

impl From<ViewError> for Refusal {
    fn from(error: ViewError) -> Self {
        Self::unavailable(format!("the read models can't be read for the moment: {error}"))
    }
}

impl From<LiveError> for Refusal {
    fn from(error: LiveError) -> Self {
        Self::unavailable(error.to_string())
    }
}
