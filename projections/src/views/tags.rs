//! Tags of a group, and the entities that have them.

use domain::{EntityId, GroupId, Kind, Timestamp};
use uuid::Uuid;

use super::{Moment, Views, limit};
use crate::database::Row;
use crate::error::ViewError;
use crate::search_key;

const PAGE: &str = "SELECT search_key, kind, entity_id FROM entity_key
    WHERE generation = $1 AND group_id = $2 AND search_key >= $3 AND search_key < $4 AND to_version = 9223372036854775807
    AND (search_key, kind, entity_id) > ($5, $6, $7) ORDER BY search_key, kind, entity_id LIMIT $8";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[PAGE];

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
    /// Who has which tags now; only one tag if it is given.
    pub async fn tags(
        &self,
        group: GroupId,
        tag: Option<&str>,
        after: Option<&TagCursor>,
        size: usize,
    ) -> Result<TagPage, ViewError> {
        let generation = *self.generation().await;
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
            page.push(self.tagged(generation, group, row).await?);
        }
        Ok(TagPage {
            tagged: page,
            has_more: rows.len() > size,
        })
    }

    async fn tagged(&self, generation: i64, group: GroupId, row: &Row) -> Result<TaggedEntity, ViewError> {
        let (search_key, kind): (&[u8], &str) = (row.get(0)?, row.get(1)?);
        let unknown = || ViewError::damaged(format!("entity kind `{kind}` is unknown"));
        let kind = Kind::named(kind).ok_or_else(unknown)?;
        let id = EntityId(Uuid::from_slice(row.get(2)?).map_err(ViewError::damaged)?);
        let tag = match search_key::tag_of(search_key) {
            Some(tag) => tag.to_owned(),
            None => self.long_tag(generation, group, kind, id, search_key).await?,
        };
        Ok(TaggedEntity { tag, kind, id })
    }

    /// A tag that stands whole in the entity only.
    async fn long_tag(
        &self,
        generation: i64,
        group: GroupId,
        kind: Kind,
        id: EntityId,
        search_key: &[u8],
    ) -> Result<String, ViewError> {
        // Entities that have expired keep their tags until their deletion is recorded.
        let moment = Moment {
            hide_expired_by: Timestamp(i64::MIN),
            ..self.moment(None)
        };
        let entity = self.entity_at(generation, group, kind, id, moment).await?;
        let tags = entity.iter().flat_map(|entity| entity.tags.iter());
        let mut found = tags.filter(|tag| search_key::tag(tag) == search_key);
        let tag = found.next().map(|tag| (**tag).to_owned());
        tag.ok_or_else(|| ViewError::damaged(format!("{kind} {id} has lost a tag")))
    }
}
