//! Lists of entities: pages by id with an opaque offset, tag filters, nested below a parent (`deck-go-kong.md`
//! §5.2, §5.3).

use axum::http::StatusCode;
use domain::{EntityId, Kind, Version};
use projections::{EntityQuery, TagFilter};
use serde_json::json;

use super::answer::Answer;
use super::entities;
use super::entity_routes::Place;
use super::exchange::Exchange;
use super::kong_pages::{self, PageBody};
use super::preconditions;
use super::query::Query;
use super::refusal::Refusal;

const MOST_TAGS: usize = 5;
/// A consumer's other unique name.
const CUSTOM_ID: &str = "custom_id";

/// GET of a collection.
pub(crate) async fn list(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    if preconditions::is_current(&exchange.headers, moment.newest) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(moment.newest)
            .at_version(moment.newest));
    }
    let body = match exchange.query.get(CUSTOM_ID) {
        Some(value) if is_found_by_custom_id(place.kind) => found(&exchange, place, value, moment.at).await?,
        _ => page(&exchange, place, moment.at).await?,
    };
    Ok(Answer::ok(&body).tagged(moment.newest).at_version(moment.newest))
}

/// The page of a collection that the query asks for.
pub(crate) async fn page(
    exchange: &Exchange,
    place: Place,
    at: Option<Version>,
) -> Result<PageBody, Refusal> {
    let group = exchange.group()?.id;
    let parent = match place.parent {
        Some(kind) => Some((kind, entities::parent(exchange, kind, at).await?.id)),
        None => None,
    };
    // Kong ignores tags on nested lists.
    let tags = match parent {
        None => tags(&exchange.query)?,
        Some(_) => TagFilter::None,
    };
    let wanted = EntityQuery {
        after: kong_pages::offset(&exchange.query)?.map(|[id]: [EntityId; 1]| id),
        size: kong_pages::size(&exchange.query)?,
        tags,
        parent,
        at,
    };
    let page = exchange.reads().entities(group, place.kind, &wanted).await?;
    let mut body = PageBody::default();
    for entity in &page.entities {
        body.data.push(entities::raw(exchange, entity, at).await?);
    }
    if let Some(last) = page.entities.last().filter(|_| page.has_more) {
        // Kong's nested lists carry the offset only.
        let parameters = match parent {
            None => exchange.query.given(&["size", "tags", "at"]),
            Some(_) => exchange.query.given(&["at"]),
        };
        let path = place.prefix.relative(&exchange.path);
        body.goes_on(&path, &[last.id], &parameters);
    }
    Ok(body)
}

/// Whether lists of a kind take `?custom_id=`.
pub(crate) fn is_found_by_custom_id(kind: Kind) -> bool {
    kind.schema().unique.iter().any(|rule| rule.fields == [CUSTOM_ID])
}

/// The one entity with a `custom_id`, as a list.
async fn found(
    exchange: &Exchange,
    place: Place,
    custom_id: &str,
    at: Option<Version>,
) -> Result<PageBody, Refusal> {
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let entity = reads
        .entity_with(group, place.kind, CUSTOM_ID, custom_id, at)
        .await?;
    let mut body = PageBody::default();
    if let Some(entity) = entity {
        body.data.push(entities::raw(exchange, &entity, at).await?);
    }
    Ok(body)
}

/// `a,b` means all of them, `a/b` any.
fn tags(query: &Query) -> Result<TagFilter, Refusal> {
    let Some(text) = query.get("tags") else {
        return Ok(TagFilter::None);
    };
    if text.is_empty() {
        return Err(bad_tags("cannot be null"));
    }
    let every = text.contains(',');
    let any = text.contains('/');
    let separator = if any { '/' } else { ',' };
    let names: Vec<String> = text.split(separator).map(str::to_owned).collect();
    let valid = |name: &String| !name.is_empty() && !name.chars().any(char::is_control);
    if (every && any) || !names.iter().all(valid) {
        return Err(bad_tags("invalid filter syntax"));
    }
    if names.len() > MOST_TAGS {
        return Err(bad_tags("cannot query more than 5 tags"));
    }
    Ok(if any {
        TagFilter::Any(names)
    } else {
        TagFilter::All(names)
    })
}

fn bad_tags(why: &str) -> Refusal {
    let mut refusal =
        Refusal::bad_request(format!("invalid option (tags: {why})")).coded(11, "invalid options");
    refusal.options = Some(json!({ "tags": why }));
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn tags_are_all_or_any_and_never_both() {
        assert!(matches!(tags(&query("tags=a,b")).unwrap(), TagFilter::All(names) if names == ["a", "b"]));
        assert!(matches!(tags(&query("tags=a/b")).unwrap(), TagFilter::Any(names) if names == ["a", "b"]));
        for (text, message) in [
            ("tags=a,b/c", "invalid option (tags: invalid filter syntax)"),
            ("tags=", "invalid option (tags: cannot be null)"),
            (
                "tags=a,b,c,d,e,f",
                "invalid option (tags: cannot query more than 5 tags)",
            ),
        ] {
            assert_eq!(tags(&query(text)).unwrap_err().message, message);
        }
    }
}
