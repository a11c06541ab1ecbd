//! Entities of a group: by id, by endpoint key, in pages, and all of them; now and at any version.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::group::{Entity, Selector, UniqueKey, references};
use domain::{DataKeys, EntityId, GroupId, Kind, Version};
use futures::TryStreamExt;
use uuid::Uuid;

use super::entity_row::EntityRow;
use super::{Moment, Views, intervals, limit};
use crate::database::Value as Argument;
use crate::error::ViewError;
use crate::search_key;

const BY_ID: &str = "SELECT * FROM (
        SELECT entity_id, from_version, to_version, expires_at, body, sealed FROM entity
        WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id = $4 AND from_version <= $5
        ORDER BY from_version DESC LIMIT 1) AS newest
    WHERE to_version > $5 AND (expires_at IS NULL OR expires_at > $6)";
const PAGE_NOW: &str = "SELECT entity_id, from_version, to_version, expires_at, body, sealed FROM entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id > $4 AND to_version = 9223372036854775807
    AND (expires_at IS NULL OR expires_at > $5) ORDER BY entity_id LIMIT $6";
/// Steps from id to id and looks for the one row of each that spans the version, however many it has had; stops soon
/// after it has passed as many as are wanted, or cut off after so many steps. Each step finds the next id, and the row of
/// the one before.
const PAGE_THEN: &str = "WITH RECURSIVE step (entity_id, passed_id, passed_from, passed, number) AS (
        SELECT (SELECT entity_id FROM entity WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity_id > $4
            ORDER BY entity_id LIMIT 1), $4, CAST(NULL AS BIGINT), 0, 0
        UNION ALL
        SELECT (SELECT entity.entity_id FROM entity WHERE generation = $1 AND group_id = $2 AND kind = $3
            AND entity.entity_id > step.entity_id ORDER BY entity.entity_id LIMIT 1),
            step.entity_id,
            (SELECT CASE WHEN past.to_version > $5 THEN past.from_version END FROM entity AS past
                WHERE past.generation = $1 AND past.group_id = $2
                AND past.kind = $3 AND past.entity_id = step.entity_id AND past.from_version <= $5
                ORDER BY past.from_version DESC LIMIT 1),
            step.passed + CASE WHEN step.passed_from IS NULL THEN 0 ELSE 1 END,
            step.number + 1
        FROM step WHERE step.entity_id IS NOT NULL AND step.passed < $6 AND step.number < $7)
    SELECT entity.entity_id, from_version, to_version, expires_at, body, sealed,
        CASE WHEN step.number = $7 AND step.entity_id IS NOT NULL THEN 1 ELSE 0 END
    FROM step LEFT JOIN entity ON generation = $1 AND group_id = $2 AND kind = $3
    AND entity.entity_id = step.passed_id AND from_version = step.passed_from
    WHERE step.passed_from IS NOT NULL OR step.number = $7 ORDER BY step.number";
/// That both have one id is said in words that don't tell SQLite that the entity's, too, is behind `$4`: it would rather walk along all of
/// those than look for the one.
const FOUND_NOW: &str = "SELECT entity.entity_id, entity.from_version, entity.to_version, expires_at, body, sealed
    FROM entity_key CROSS JOIN entity
    WHERE entity_key.generation = $1 AND entity_key.group_id = $2 AND entity_key.kind = $3 AND entity_key.entity_id > $4
    AND search_key = $5 AND entity_key.to_version = 9223372036854775807
    AND entity.generation = $1 AND entity.group_id = $2 AND entity.kind = $3
    AND entity.entity_id = COALESCE(entity_key.entity_id, entity_key.entity_id) AND entity.to_version = 9223372036854775807
    AND (expires_at IS NULL OR expires_at > $6) ORDER BY entity_key.entity_id LIMIT $7";
const ALL_NOW: &str = "SELECT entity_id, from_version, to_version, expires_at, body, sealed, kind FROM entity
    WHERE generation = $1 AND group_id = $2 AND to_version = 9223372036854775807
    AND (expires_at IS NULL OR expires_at > $3)";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_ID, PAGE_NOW, PAGE_THEN, FOUND_NOW, ALL_NOW];

/// How many ids a page of the past passes that were not there then, beside one for each that was.
const DEAD_STEPS: usize = 256;

/// Which tags an entity must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagFilter {
    /// Any or none.
    #[default]
    None,
    /// All of these.
    All(Vec<String>),
    /// At least one of these.
    Any(Vec<String>),
}

/// A page of one kind's entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityQuery {
    /// Entities after this id; from the first on if none.
    pub after: Option<EntityId>,
    /// At most so many.
    pub size: usize,
    /// Which tags they must have.
    pub tags: TagFilter,
    /// Only those that refer to this entity.
    pub parent: Option<(Kind, EntityId)>,
    /// As they were at this version; as they are if none.
    pub at: Option<Version>,
}

/// A page of entities, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityPage {
    /// The entities.
    pub entities: Vec<Arc<Entity>>,
    /// Whether more follow.
    pub has_more: bool,
}

impl Views {
    /// The entity a URL names: by id, or by the kind's endpoint key, within a parent where the key is unique only
    /// there. A key means its holder of today; one that nobody holds today, its holder at that version.
    pub async fn entity(
        &self,
        group: GroupId,
        kind: Kind,
        selector: &Selector,
        parent: Option<(Kind, EntityId)>,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        let generation = self.generation().await?;
        let key = match selector {
            Selector::Id(id) => {
                return self
                    .entity_at(generation, group, kind, *id, self.moment(at))
                    .await;
            }
            Selector::Key(key) => key,
        };
        for unique in url_keys(kind, key, parent) {
            let found = self.holder_of_today(generation, group, kind, unique, at).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The entity that holds a value of a field that is unique by itself; now or, as with [`Self::entity`], at a version.
    pub async fn entity_with(
        &self,
        group: GroupId,
        kind: Kind,
        field: &str,
        value: &str,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        let generation = self.generation().await?;
        match references::unique_key(kind, field, value) {
            Some(key) => self.holder_of_today(generation, group, kind, key, at).await,
            None => Ok(None),
        }
    }

    async fn holder_of_today(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        key: UniqueKey,
        at: Option<Version>,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        let today = self
            .holder(generation, group, kind, key, self.moment(None))
            .await?;
        match (today, at) {
            (Some(holder), Some(_)) => {
                self.entity_at(generation, group, kind, holder.id, self.moment(at))
                    .await
            }
            (None, Some(_)) => self.holder(generation, group, kind, key, self.moment(at)).await,
            (holder, None) => Ok(holder),
        }
    }

    pub(super) async fn entity_at(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        moment: Moment,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        let row = self
            .database()
            .fetch_optional(
                BY_ID,
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    kind.name().into(),
                    id.0.as_bytes().into(),
                    moment.version.into(),
                    moment.hide_expired_by.0.into(),
                ],
            )
            .await?;
        match row {
            Some(row) => Ok(Some(self.open(group, kind, EntityRow::read(&row)?).await?)),
            None => Ok(None),
        }
    }

    async fn holder(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        key: UniqueKey,
        moment: Moment,
    ) -> Result<Option<Arc<Entity>>, ViewError> {
        let Some(search_key) = self.search_key(group, key).await? else {
            return Ok(None);
        };
        let row = self
            .database()
            .fetch_optional(
                intervals::HOLDER,
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    search_key.into(),
                    kind.name().into(),
                    moment.version.into(),
                ],
            )
            .await?;
        let Some(row) = row else {
            return Ok(None);
        };
        let id = EntityId(Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?);
        let entity = self.entity_at(generation, group, kind, id, moment).await?;
        // An erased name finds nobody any more.
        Ok(entity.filter(|entity| entity.unique.contains(&key)))
    }

    pub(super) async fn search_key(
        &self,
        group: GroupId,
        key: UniqueKey,
    ) -> Result<Option<Vec<u8>>, ViewError> {
        let keyring = &*self.shared.keyring;
        let hash_key = loop {
            match search_key::hash_key(group, keyring as &dyn DataKeys) {
                Ok(hash_key) => break hash_key,
                Err(missing) => match keyring.load(&[missing.0].into()).await {
                    Ok(()) => {}
                    // A group without a change has no key yet, and no entity.
                    Err(domain::keyring::KeyringError::Missing(_)) => break None,
                    Err(error) => return Err(error.into()),
                },
            }
        };
        Ok(search_key::unique(key, hash_key.as_ref()))
    }

    /// A page of one kind's entities, by id.
    pub async fn entities(
        &self,
        group: GroupId,
        kind: Kind,
        query: &EntityQuery,
    ) -> Result<EntityPage, ViewError> {
        let generation = self.generation().await?;
        let scope = Scope {
            generation,
            group,
            kind,
            at: query.at,
        };
        let wanted = query.size.saturating_add(1);
        let mut entities = match (&query.parent, &query.tags) {
            (None, TagFilter::None) => self.page(scope, query.after, wanted).await?,
            (None, TagFilter::All(tags)) if tags.is_empty() => self.page(scope, query.after, wanted).await?,
            (Some((parent, id)), tags) => {
                let key = search_key::reference(*parent, *id);
                self.found(scope, &key, query.after, wanted, &|entity| has_tags(entity, tags))
                    .await?
            }
            (None, TagFilter::All(tags)) => {
                let all = |entity: &Entity| has_tags(entity, &query.tags);
                self.found(scope, &search_key::tag(&tags[0]), query.after, wanted, &all)
                    .await?
            }
            (None, TagFilter::Any(tags)) => {
                let mut merged = BTreeMap::new();
                for tag in tags {
                    let page = self
                        .found(scope, &search_key::tag(tag), query.after, wanted, &|_| true)
                        .await?;
                    merged.extend(page.into_iter().map(|entity| (entity.id, entity)));
                }
                merged.into_values().collect()
            }
        };
        let has_more = entities.len() > query.size;
        entities.truncate(query.size);
        Ok(EntityPage { entities, has_more })
    }

    async fn page(
        &self,
        scope: Scope,
        after: Option<EntityId>,
        wanted: usize,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let moment = self.moment(scope.at);
        if scope.at.is_none() {
            let mut arguments = scope.arguments(after);
            arguments.extend([moment.hide_expired_by.0.into(), limit(wanted).into()]);
            return self.opened(scope, PAGE_NOW, arguments).await;
        }
        match self.stepped_page(scope, moment.version, after, wanted).await? {
            Some(page) => Ok(page),
            None => self.past_page(scope, moment.version, after, wanted).await,
        }
    }

    /// A page of the past by way of all ids there ever were; none if too few of them were there at that version.
    async fn stepped_page(
        &self,
        scope: Scope,
        version: i64,
        after: Option<EntityId>,
        wanted: usize,
    ) -> Result<Option<Vec<Arc<Entity>>>, ViewError> {
        let mut arguments = scope.arguments(after);
        let steps = limit(wanted.saturating_mul(2).saturating_add(DEAD_STEPS));
        arguments.extend([version.into(), limit(wanted).into(), steps.into()]);
        let mut rows = self.database().fetch(PAGE_THEN, arguments);
        let mut entities = Vec::new();
        while let Some(row) = rows.try_next().await? {
            if row.get::<Option<&[u8]>>(0)?.is_some() {
                entities.push(self.open(scope.group, scope.kind, EntityRow::read(&row)?).await?);
            }
            if entities.len() >= wanted {
                break;
            }
            if row.get::<i32>(6)? == 1 {
                return Ok(None);
            }
        }
        Ok(Some(entities))
    }

    /// Entities found by a search key that satisfy a condition, read in pages until there are enough.
    async fn found(
        &self,
        scope: Scope,
        search_key: &[u8],
        mut after: Option<EntityId>,
        wanted: usize,
        satisfies: &(dyn Fn(&Entity) -> bool + Sync),
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let mut entities = Vec::new();
        loop {
            let page = self.found_page(scope, search_key, after, wanted).await?;
            let last_page = page.len() < wanted;
            after = page.last().map(|entity| entity.id);
            entities.extend(page.into_iter().filter(|entity| satisfies(entity)));
            if last_page || entities.len() >= wanted {
                entities.truncate(wanted);
                return Ok(entities);
            }
        }
    }

    async fn found_page(
        &self,
        scope: Scope,
        search_key: &[u8],
        after: Option<EntityId>,
        wanted: usize,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let moment = self.moment(scope.at);
        let mut arguments = scope.arguments(after);
        let (statement, moment) = match scope.at {
            None => (FOUND_NOW, moment.hide_expired_by.0),
            Some(_) => (intervals::FOUND, moment.version),
        };
        arguments.extend([search_key.into(), moment.into(), limit(wanted).into()]);
        self.opened(scope, statement, arguments).await
    }

    pub(super) async fn opened(
        &self,
        scope: Scope,
        statement: &'static str,
        arguments: Vec<Argument>,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let mut rows = self.database().fetch(statement, arguments);
        let mut entities = Vec::new();
        while let Some(row) = rows.try_next().await? {
            entities.push(self.open(scope.group, scope.kind, EntityRow::read(&row)?).await?);
        }
        Ok(entities)
    }

    /// A group's whole configuration, by kind and id.
    pub async fn configuration(
        &self,
        group: GroupId,
        at: Option<Version>,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let generation = self.generation().await?;
        let moment = self.moment(at);
        if at.is_some() {
            return self.past_configuration(generation, group, moment.version).await;
        }
        let arguments = [
            generation.into(),
            group.0.as_bytes().into(),
            moment.hide_expired_by.0.into(),
        ];
        self.of_all_kinds(group, ALL_NOW, arguments).await
    }

    /// The entities that a statement finds which answers their kinds too, by kind and id.
    pub(super) async fn of_all_kinds(
        &self,
        group: GroupId,
        statement: &'static str,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let mut rows = self.database().fetch(statement, arguments);
        let mut entities = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let name: &str = row.get(6)?;
            let unknown = || ViewError::damaged(format!("entity kind `{name}` is unknown"));
            let kind = Kind::named(name).ok_or_else(unknown)?;
            entities.push(self.open(group, kind, EntityRow::read(&row)?).await?);
        }
        entities.sort_unstable_by_key(|entity| (entity.kind, entity.id));
        Ok(entities)
    }
}

/// Which entities a page is of.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    generation: i64,
    group: GroupId,
    kind: Kind,
    at: Option<Version>,
}

impl Scope {
    /// The parameters with which every page begins.
    pub(super) fn arguments(&self, after: Option<EntityId>) -> Vec<Argument> {
        vec![
            self.generation.into(),
            self.group.0.as_bytes().into(),
            self.kind.name().into(),
            // The empty text stands before every id.
            after
                .map(|id| id.0.as_bytes().to_vec())
                .unwrap_or_default()
                .into(),
        ]
    }
}

fn has_tags(entity: &Entity, filter: &TagFilter) -> bool {
    let has = |tag: &String| entity.tags.iter().any(|name| **name == **tag);
    match filter {
        TagFilter::None => true,
        TagFilter::All(tags) => tags.iter().all(has),
        TagFilter::Any(tags) => tags.iter().any(has),
    }
}

/// The unique keys that a URL's segment may stand for: alone, or together with the parent.
pub(super) fn url_keys(kind: Kind, key: &str, parent: Option<(Kind, EntityId)>) -> Vec<UniqueKey> {
    let alone = kind
        .schema()
        .endpoint_key
        .and_then(|field| references::unique_key(kind, field, key));
    let below = parent.and_then(|parent| references::unique_key_below(kind, key, parent));
    alone.into_iter().chain(below).collect()
}
