//! What was valid at a version, however old the group is: rows that have ended are found by their forks (migration
//! `0004_intervals`), so that looking costs what was valid then, and never what ended before.

use std::sync::Arc;

use domain::group::Entity;
use domain::{EntityId, GroupId};

use super::entities::Scope;
use super::{Views, limit};
use crate::error::ViewError;

/// The forks that rows valid at a version may have: for each power of two the one ancestor, and the fork of whatever
/// was valid for longer than those reach.
macro_rules! ancestors_of {
    ($version:literal) => {
        concat!(
            "ancestor (level, fork) AS (SELECT 0, CAST(0 AS BIGINT) UNION ALL SELECT level + 1, ((CAST(",
            $version,
            " AS BIGINT) >> (level + 1)) << (level + 1)) | (CAST(1 AS BIGINT) << level) FROM ancestor WHERE level < 40)"
        )
    };
}
pub(super) use ancestors_of;

/// The first page of one kind at a version. An id isn't looked for but compared, in words that no database takes for a
/// reason to walk along all ids there ever were.
const PAGE: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$5"),
    ", valid (entity_id, from_version) AS (
        SELECT past.entity_id, past.from_version FROM ancestor CROSS JOIN entity AS past
        WHERE past.generation = $1 AND past.group_id = $2 AND past.kind = $3 AND past.fork = ancestor.fork
        AND past.to_version > $5 AND past.to_version < 9223372036854775807 AND past.from_version <= $5
        AND CASE WHEN past.entity_id > $4 THEN 1 ELSE 0 END = 1
        UNION ALL
        SELECT entity_id, from_version FROM (
            SELECT entity_id, from_version FROM entity WHERE generation = $1 AND group_id = $2 AND kind = $3
            AND entity_id > $4 AND to_version = 9223372036854775807 AND from_version <= $5
            ORDER BY entity_id LIMIT $6) AS still)
    SELECT entity.entity_id, entity.from_version, to_version, expires_at, body, sealed
    FROM (SELECT entity_id, from_version FROM valid ORDER BY entity_id LIMIT $6) AS found CROSS JOIN entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3
    AND entity.entity_id = found.entity_id AND entity.from_version = found.from_version ORDER BY found.entity_id"
);
/// The first page of what was found by a search key at a version.
pub(super) const FOUND: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$6"),
    ", valid (entity_id) AS (
        SELECT past.entity_id FROM ancestor CROSS JOIN entity_key AS past
        WHERE past.generation = $1 AND past.group_id = $2 AND past.search_key = $5 AND past.kind = $3
        AND past.fork = ancestor.fork
        AND past.to_version > $6 AND past.to_version < 9223372036854775807 AND past.from_version <= $6
        AND CASE WHEN past.entity_id > $4 THEN 1 ELSE 0 END = 1
        UNION ALL
        SELECT entity_id FROM (
            SELECT entity_id FROM entity_key WHERE generation = $1 AND group_id = $2 AND search_key = $5 AND kind = $3
            AND to_version = 9223372036854775807 AND entity_id > $4 AND from_version <= $6
            ORDER BY entity_id LIMIT $7) AS still)
    SELECT entity.entity_id, entity.from_version, to_version, expires_at, body, sealed
    FROM (SELECT entity_id FROM valid ORDER BY entity_id LIMIT $7) AS found CROSS JOIN entity
    WHERE generation = $1 AND group_id = $2 AND kind = $3 AND entity.entity_id = found.entity_id
    AND entity.from_version = (
        SELECT past.from_version FROM entity AS past WHERE past.generation = $1 AND past.group_id = $2
        AND past.kind = $3 AND past.entity_id = found.entity_id AND past.from_version <= $6
        ORDER BY past.from_version DESC LIMIT 1)
    ORDER BY found.entity_id"
);
/// A unique key has one holder at a time, so the one at a version is whose holding ended first after it.
pub(super) const HOLDER: &str = "SELECT entity_id FROM (
        SELECT entity_id, from_version FROM entity_key
        WHERE generation = $1 AND group_id = $2 AND search_key = $3 AND kind = $4 AND to_version > $5
        ORDER BY to_version LIMIT 1) AS next
    WHERE from_version <= $5";
const CONFIGURATION: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$3"),
    "SELECT past.entity_id, past.from_version, past.to_version, past.expires_at, past.body, past.sealed, past.kind
    FROM entity_count CROSS JOIN ancestor CROSS JOIN entity AS past
    WHERE entity_count.generation = $1 AND entity_count.group_id = $2
    AND past.generation = $1 AND past.group_id = $2 AND past.kind = entity_count.kind AND past.fork = ancestor.fork
    AND past.to_version > $3 AND past.to_version < 9223372036854775807 AND past.from_version <= $3
    UNION ALL
    SELECT entity_id, from_version, to_version, expires_at, body, sealed, kind FROM entity
    WHERE generation = $1 AND group_id = $2 AND to_version = 9223372036854775807 AND from_version <= $3"
);
/// What was valid at a version and wasn't any more at a later one.
const GONE: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$3"),
    "SELECT past.entity_id, past.from_version, past.to_version, past.expires_at, past.body, past.sealed, past.kind
    FROM entity_count CROSS JOIN ancestor CROSS JOIN entity AS past
    WHERE entity_count.generation = $1 AND entity_count.group_id = $2
    AND past.generation = $1 AND past.group_id = $2 AND past.kind = entity_count.kind AND past.fork = ancestor.fork
    AND past.to_version > $3 AND past.to_version <= $4 AND past.to_version < 9223372036854775807
    AND past.from_version <= $3"
);
/// What was valid at a version and wasn't yet at an earlier one.
const COME: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$4"),
    "SELECT past.entity_id, past.from_version, past.to_version, past.expires_at, past.body, past.sealed, past.kind
    FROM entity_count CROSS JOIN ancestor CROSS JOIN entity AS past
    WHERE entity_count.generation = $1 AND entity_count.group_id = $2
    AND past.generation = $1 AND past.group_id = $2 AND past.kind = entity_count.kind AND past.fork = ancestor.fork
    AND past.to_version > $4 AND past.to_version < 9223372036854775807
    AND past.from_version > $3 AND past.from_version <= $4
    UNION ALL
    SELECT entity_id, from_version, to_version, expires_at, body, sealed, kind FROM entity
    WHERE generation = $1 AND group_id = $2 AND to_version = 9223372036854775807
    AND from_version > $3 AND from_version <= $4"
);

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PAGE, FOUND, HOLDER, CONFIGURATION, GONE, COME];

impl Views {
    /// A page of one kind's entities as they were at a version.
    pub(super) async fn past_page(
        &self,
        scope: Scope,
        version: i64,
        after: Option<EntityId>,
        wanted: usize,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let mut arguments = scope.arguments(after);
        arguments.extend([version.into(), limit(wanted).into()]);
        self.opened(scope, PAGE, arguments).await
    }

    /// A group's whole configuration at a version, by kind and id.
    pub(super) async fn past_configuration(
        &self,
        generation: i64,
        group: GroupId,
        version: i64,
    ) -> Result<Vec<Arc<Entity>>, ViewError> {
        let arguments = [generation.into(), group.0.as_bytes().into(), version.into()];
        self.of_all_kinds(group, CONFIGURATION, arguments).await
    }

    /// What stood at a version and was gone or changed at a later one, as it was; and what stood at the later one and
    /// had come or changed since, as it became.
    pub(super) async fn gone_and_come(
        &self,
        generation: i64,
        group: GroupId,
        earlier: i64,
        later: i64,
    ) -> Result<(Vec<Arc<Entity>>, Vec<Arc<Entity>>), ViewError> {
        let arguments = || {
            [
                generation.into(),
                group.0.as_bytes().into(),
                earlier.into(),
                later.into(),
            ]
        };
        // Both are of the past, which doesn't change between two statements.
        let gone = self.of_all_kinds(group, GONE, arguments());
        let come = self.of_all_kinds(group, COME, arguments());
        futures::try_join!(gone, come)
    }
}
