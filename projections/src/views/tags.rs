//! Tags of a group, and the entities that have them.

use domain::{EntityId, GroupId, Kind};
use uuid::Uuid;

use super::{Views, limit};
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
        let mut tagged = rows.iter().map(tagged).collect::<Result<Vec<_>, _>>()?;
        let has_more = tagged.len() > size;
        tagged.truncate(size);
        Ok(TagPage { tagged, has_more })
    }
}

fn tagged(row: &Row) -> Result<TaggedEntity, ViewError> {
    let kind: &str = row.get(1)?;
    let tag = search_key::tag_of(row.get(0)?);
    Ok(TaggedEntity {
        tag: tag
            .ok_or_else(|| ViewError::damaged("a tag isn't text"))?
            .to_owned(),
        kind: Kind::named(kind)
            .ok_or_else(|| ViewError::damaged(format!("entity kind `{kind}` is unknown")))?,
        id: EntityId(Uuid::from_slice(row.get(2)?).map_err(ViewError::damaged)?),
    })
}
