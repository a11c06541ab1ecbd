//! Tags of a group, and the entities that have them.

use domain::group::Entity;
use domain::{EntityId, GroupId, Kind, Timestamp, Version};
use uuid::Uuid;

use super::intervals::ancestors_of;
use super::{Moment, Views, limit};
use crate::database::Row;
use crate::error::ViewError;
use crate::search_key;

const PAGE: &str = "SELECT search_key, kind, entity_id FROM entity_key
    WHERE generation = $1 AND group_id = $2 AND search_key >= $3 AND search_key < $4 AND to_version = 9223372036854775807
    AND (search_key, kind, entity_id) > ($5, $6, $7) ORDER BY search_key, kind, entity_id LIMIT $8";
/// The next tags that entities of each kind ever had, in order, from a tag and kind on.
const EVER: &str = "WITH RECURSIVE pair (search_key, kind, number) AS (
        SELECT search_key, kind, 1 FROM (SELECT search_key, kind FROM entity_key WHERE generation = $1 AND group_id = $2
            AND search_key < $4 AND (search_key, kind) >= ($3, $5) ORDER BY search_key, kind LIMIT 1) AS first
        UNION ALL
        SELECT (SELECT next.search_key FROM entity_key AS next WHERE next.generation = $1 AND next.group_id = $2
                AND next.search_key < $4 AND (next.search_key, next.kind) > (pair.search_key, pair.kind)
                ORDER BY next.search_key, next.kind LIMIT 1),
            (SELECT next.kind FROM entity_key AS next WHERE next.generation = $1 AND next.group_id = $2
                AND next.search_key < $4 AND (next.search_key, next.kind) > (pair.search_key, pair.kind)
                ORDER BY next.search_key, next.kind LIMIT 1),
            number + 1
        FROM pair WHERE pair.search_key IS NOT NULL AND number < $6)
    SELECT search_key, kind FROM pair WHERE search_key IS NOT NULL ORDER BY number";
/// The entities of a kind that had a tag at a version.
const THEN: &str = concat!(
    "WITH RECURSIVE ",
    ancestors_of!("$6"),
    "SELECT entity_id FROM (
        SELECT past.entity_id FROM ancestor CROSS JOIN entity_key AS past
        WHERE past.generation = $1 AND past.group_id = $2 AND past.search_key = $3 AND past.kind = $4
        AND past.fork = ancestor.fork
        AND past.to_version > $6 AND past.to_version < 9223372036854775807 AND past.from_version <= $6
        AND CASE WHEN past.entity_id > $5 THEN 1 ELSE 0 END = 1
        UNION ALL
        SELECT entity_id FROM (
            SELECT entity_id FROM entity_key WHERE generation = $1 AND group_id = $2 AND search_key = $3 AND kind = $4
            AND to_version = 9223372036854775807 AND entity_id > $5 AND from_version <= $6
            ORDER BY entity_id LIMIT $7) AS still) AS tagged
    ORDER BY entity_id LIMIT $7"
);

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PAGE, EVER, THEN];

/// How many tags are looked up at a time.
const TAGS_AT_A_TIME: usize = 64;

/// An entity that has a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaggedEntity {
    /// The tag.
    pub tag: String,
    /// The entity's kind.
    pub kind: Kind,
    /// The entity's id.
    pub id: EntityId,
}

/// Where a page of tags ended.
pub type TagCursor = TaggedEntity;

/// A page of tags, by tag, kind name and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagPage {
    /// The tags and who has them.
    pub tagged: Vec<TaggedEntity>,
    /// Whether more follow.
    pub has_more: bool,
}

impl Views {
    /// Who has which tags, now or at a version; only one tag if it is given.
    pub async fn tags(
        &self,
        group: GroupId,
        tag: Option<&str>,
        after: Option<&TagCursor>,
        size: usize,
        at: Option<Version>,
    ) -> Result<TagPage, ViewError> {
        let generation = self.generation().await?;
        let (from, until) = match tag {
            // The zero byte, which no tag holds, makes the next larger key.
            Some(tag) => (search_key::tag(tag), [search_key::tag(tag), vec![0]].concat()),
            None => (search_key::tag(""), search_key::after_tags().to_vec()),
        };
        let (after_key, after_kind, after_id) = match after {
            Some(cursor) => (
                search_key::tag(&cursor.tag),
                cursor.kind.name(),
                cursor.id.0.as_bytes().to_vec(),
            ),
            None => (Vec::new(), "", Vec::new()),
        };
        if at.is_some() {
            let scope = (generation, group, self.moment(at));
            let after = (from.max(after_key), after_kind.to_owned(), after_id);
            return self.past_tags(scope, after, until, size).await;
        }
        let rows = self
            .database()
            .fetch_all(
                PAGE,
                [
                    generation.into(),
                    group.0.as_bytes().into(),
                    from.into(),
                    until.into(),
                    after_key.into(),
                    after_kind.into(),
                    after_id.into(),
                    limit(size.saturating_add(1)).into(),
                ],
            )
            .await?;
        let mut page = Vec::with_capacity(rows.len());
        for row in rows.iter().take(size) {
            let place = (generation, group, self.moment(None));
            page.push(self.tagged(place, row.get(0)?, row.get(1)?, row.get(2)?).await?);
        }
        Ok(TagPage {
            tagged: page,
            has_more: rows.len() > size,
        })
    }

    /// Tag by tag and kind by kind, each by the intervals in which entities had it.
    async fn past_tags(
        &self,
        (generation, group, moment): (i64, GroupId, Moment),
        (mut key, mut kind, mut id): (Vec<u8>, String, Vec<u8>),
        until: Vec<u8>,
        size: usize,
    ) -> Result<TagPage, ViewError> {
        let mut page = TagPage::default();
        loop {
            let pairs = self
                .tags_from(generation, group, (key.as_slice(), kind.as_str()), &until)
                .await?;
            for (search_key, of_kind) in &pairs {
                let after = match (search_key, of_kind) == (&key, &kind) {
                    true => std::mem::take(&mut id),
                    false => Vec::new(),
                };
                let left = limit(size.saturating_add(1).saturating_sub(page.tagged.len()));
                let arguments = [
                    generation.into(),
                    group.0.as_bytes().into(),
                    search_key.clone().into(),
                    of_kind.as_str().into(),
                    after.into(),
                    moment.version.into(),
                    left.into(),
                ];
                for row in self.database().fetch_all(THEN, arguments).await? {
                    let place = (generation, group, moment);
                    let found = self.tagged(place, search_key, of_kind, row.get(0)?).await?;
                    page.tagged.push(found);
                }
                if page.tagged.len() > size {
                    page.tagged.truncate(size);
                    page.has_more = true;
                    return Ok(page);
                }
            }
            match pairs.into_iter().next_back() {
                // With the smallest character after it, a kind comes before every other one.
                Some((last_key, last_kind)) => (key, kind) = (last_key, format!("{last_kind}\u{1}")),
                None => return Ok(page),
            }
        }
    }

    /// The next pairs of a tag's search key and a kind, from one on.
    async fn tags_from(
        &self,
        generation: i64,
        group: GroupId,
        (key, kind): (&[u8], &str),
        until: &[u8],
    ) -> Result<Vec<(Vec<u8>, String)>, ViewError> {
        let arguments = [
            generation.into(),
            group.0.as_bytes().into(),
            key.into(),
            until.into(),
            kind.into(),
            limit(TAGS_AT_A_TIME).into(),
        ];
        let rows = self.database().fetch_all(EVER, arguments).await?;
        let pair = |row: &Row| Ok::<_, ViewError>((row.get(0)?, row.get(1)?));
        rows.iter().map(pair).collect()
    }

    async fn tagged(
        &self,
        (generation, group, moment): (i64, GroupId, Moment),
        search_key: &[u8],
        kind: &str,
        id: &[u8],
    ) -> Result<TaggedEntity, ViewError> {
        let unknown = || ViewError::damaged(format!("entity kind `{kind}` is unknown"));
        let kind = Kind::named(kind).ok_or_else(unknown)?;
        let id = EntityId(Uuid::from_slice(id).map_err(ViewError::damaged)?);
        // Entities that have expired keep their tags until their deletion is recorded.
        let moment = Moment {
            hide_expired_by: Timestamp(i64::MIN),
            ..moment
        };
        let tag = match search_key::tag_of(search_key) {
            Some(tag) => tag.to_owned(),
            None => {
                let entity = self.entity_at(generation, group, kind, id, moment).await?;
                long_tag(entity.as_deref(), search_key)
                    .ok_or_else(|| ViewError::damaged(format!("{kind} {id} has lost a tag")))?
            }
        };
        Ok(TaggedEntity { tag, kind, id })
    }
}

/// A tag that stands whole in the entity only.
fn long_tag(entity: Option<&Entity>, search_key: &[u8]) -> Option<String> {
    let mut tags = entity?.tags.iter();
    tags.find(|tag| search_key::tag(tag) == search_key)
        .map(|tag| (**tag).to_owned())
}
