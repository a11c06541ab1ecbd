//! The registry of an organization's runtime groups.

use std::collections::BTreeMap;

use domain::organization::GroupRecord;
use domain::{Boundary, GroupId, Kind, OrganizationId, Timestamp, Version};

use super::Views;
use crate::database::Row;
use crate::error::ViewError;

const BY_ID: &str =
    "SELECT record FROM runtime_group WHERE generation = $1 AND organization_id = $2 AND group_id = $3";
const BY_NAME: &str = "SELECT record FROM runtime_group
    WHERE generation = $1 AND organization_id = $2 AND name = $3 AND deleted = 0";
const ALL: &str = "SELECT record FROM runtime_group
    WHERE generation = $1 AND organization_id = $2 AND deleted = $3 ORDER BY created_at, group_id";
const VERSION: &str = "SELECT version FROM boundary WHERE generation = $1 AND boundary = $2";
const COUNTS: &str =
    "SELECT kind, entities FROM entity_count WHERE generation = $1 AND group_id = $2 AND entities > 0";
const VERSION_AT: &str = "SELECT version FROM change
    WHERE generation = $1 AND boundary = $2 AND at <= $3 ORDER BY at DESC, version DESC LIMIT 1";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_ID, BY_NAME, ALL, VERSION, COUNTS, VERSION_AT];

/// How a URL names a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupSelector {
    /// By its id; finds deleted groups too.
    Id(GroupId),
    /// By its name; finds the group that has it now.
    Name(String),
}

/// A runtime group as its organization knows it, and how much is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// The organization's record; its `touched` is the group's ETag.
    pub record: GroupRecord,
    /// The newest version of its configuration.
    pub version: Version,
    /// How many entities it has of each kind; none of the kinds that are absent.
    pub entities: BTreeMap<Kind, u64>,
}

/// Which groups a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// One of these ids; any if empty.
    pub ids: Vec<GroupId>,
    /// Exactly this name.
    pub name_equals: Option<String>,
    /// A name in which this occurs, in upper or lower case.
    pub name_contains: Option<String>,
    /// Not this name.
    pub name_differs: Option<String>,
    /// Labels they must have: a key with a value, or a key with any value.
    pub labels: Vec<(String, Option<String>)>,
    /// What `cloud_gateway` must be.
    pub cloud_gateway: Option<bool>,
    /// The deleted groups instead of those that exist.
    pub deleted: bool,
}

/// In which order groups are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupSort {
    /// The oldest first.
    #[default]
    CreatedAscending,
    /// The newest first.
    CreatedDescending,
    /// By name.
    Name,
}

/// Which page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// 1, 2, 3 …
    pub number: usize,
    /// How many items a page has.
    pub size: usize,
}

/// A page of groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPage {
    /// The groups.
    pub items: Vec<GroupRow>,
    /// How many there are on all pages.
    pub total: usize,
}

impl Views {
    /// A group of an organization; one by id may be deleted (`deleted_at`).
    pub async fn group(
        &self,
        organization: OrganizationId,
        selector: &GroupSelector,
    ) -> Result<Option<GroupRow>, ViewError> {
        let generation = self.generation().await?;
        let (statement, named) = match selector {
            GroupSelector::Id(id) => (BY_ID, id.0.as_bytes().into()),
            GroupSelector::Name(name) => (BY_NAME, name.as_str().into()),
        };
        let arguments = [generation.into(), organization.0.as_bytes().into(), named];
        match self.database().fetch_optional(statement, arguments).await? {
            Some(row) => Ok(Some(self.group_row(generation, record(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// A page of an organization's groups.
    pub async fn groups(
        &self,
        organization: OrganizationId,
        filter: &GroupFilter,
        sort: GroupSort,
        page: Page,
    ) -> Result<GroupPage, ViewError> {
        let generation = self.generation().await?;
        let rows = self
            .database()
            .fetch_all(
                ALL,
                [
                    generation.into(),
                    organization.0.as_bytes().into(),
                    i64::from(filter.deleted).into(),
                ],
            )
            .await?;
        let mut records = rows.iter().map(record).collect::<Result<Vec<_>, _>>()?;
        records.retain(|record| filter.admits(record));
        match sort {
            GroupSort::CreatedAscending => {}
            GroupSort::CreatedDescending => records.reverse(),
            GroupSort::Name => records.sort_by(|one, other| one.name.cmp(&other.name)),
        }
        let total = records.len();
        let skipped = page.number.saturating_sub(1).saturating_mul(page.size);
        let mut items = Vec::new();
        for record in records.into_iter().skip(skipped).take(page.size) {
            items.push(self.group_row(generation, record).await?);
        }
        Ok(GroupPage { items, total })
    }

    async fn group_row(&self, generation: i64, record: GroupRecord) -> Result<GroupRow, ViewError> {
        let version = self.version(generation, record.id).await?;
        let rows = self
            .database()
            .fetch_all(COUNTS, [generation.into(), record.id.0.as_bytes().into()])
            .await?;
        let mut entities = BTreeMap::new();
        for row in rows {
            if let Some(kind) = Kind::named(row.get(0)?) {
                entities.insert(kind, row.get::<i64>(1)?.unsigned_abs());
            }
        }
        Ok(GroupRow {
            record,
            version,
            entities,
        })
    }

    async fn version(&self, generation: i64, group: GroupId) -> Result<Version, ViewError> {
        let subject = Boundary::Group(group).subject();
        let arguments = [generation.into(), subject.into()];
        version(self.database().fetch_optional(VERSION, arguments).await?)
    }

    /// The newest version of a group's configuration; 0 before its first change.
    pub async fn group_version(&self, group: GroupId) -> Result<Version, ViewError> {
        let generation = self.generation().await?;
        self.version(generation, group).await
    }

    /// The newest version of any boundary; 0 before its first change.
    pub async fn boundary_version(&self, boundary: Boundary) -> Result<Version, ViewError> {
        let generation = self.generation().await?;
        let arguments = [generation.into(), boundary.subject().into()];
        version(self.database().fetch_optional(VERSION, arguments).await?)
    }

    /// The version a group had at a time: that of the last change at or before it; 0 before the first.
    pub async fn version_at(&self, group: GroupId, at: Timestamp) -> Result<Version, ViewError> {
        self.boundary_version_at(Boundary::Group(group), at).await
    }

    /// The same for any boundary.
    pub async fn boundary_version_at(&self, boundary: Boundary, at: Timestamp) -> Result<Version, ViewError> {
        let generation = self.generation().await?;
        let subject = boundary.subject();
        let arguments = [generation.into(), subject.into(), at.0.into()];
        version(self.database().fetch_optional(VERSION_AT, arguments).await?)
    }
}

impl GroupFilter {
    fn admits(&self, group: &GroupRecord) -> bool {
        let label = |(key, value): &(String, Option<String>)| {
            let found = group.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| found == value))
        };
        let contains = |text: &String| group.name.to_lowercase().contains(&text.to_lowercase());
        (self.ids.is_empty() || self.ids.contains(&group.id))
            && self.name_equals.as_ref().is_none_or(|name| *name == group.name)
            && self.name_contains.as_ref().is_none_or(contains)
            && self.name_differs.as_ref().is_none_or(|name| *name != group.name)
            && self
                .cloud_gateway
                .is_none_or(|cloud| cloud == group.settings.cloud_gateway)
            && self.labels.iter().all(label)
    }
}

/// The version in the answer's only column; 0 if there is none.
fn version(row: Option<Row>) -> Result<Version, ViewError> {
    match row {
        Some(row) => Ok(row.get::<i64>(0)?.cast_unsigned()),
        None => Ok(0),
    }
}

fn record(row: &Row) -> Result<GroupRecord, ViewError> {
    serde_json::from_str(row.get(0)?).map_err(ViewError::damaged)
}
