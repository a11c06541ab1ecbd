//! Lists of entities: pages by id with an opaque offset, tag filters, nested below a parent (`deck-go-kong.md`
//! §5.2, §5.3).

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::EntityId;
use domain::group::Selector;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use projections::{EntityQuery, TagFilter};
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::answer::Answer;
use super::entities;
use super::entity_routes::Place;
use super::exchange::Exchange;
use super::preconditions;
use super::query::Query;
use super::refusal::Refusal;

const SIZE: usize = 100;
const LARGEST: usize = 1000;
const MOST_TAGS: usize = 5;

/// GET of a collection.
pub(crate) async fn list(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let size = size(&exchange.query)?;
    let after = offset(&exchange.query)?;
    let moment = exchange.moment().await?;
    if preconditions::is_current(&exchange.headers, moment.newest) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(moment.newest)
            .at_version(moment.newest));
    }
    let reads = &exchange.services.reads;
    let parent = match place.parent {
        Some(kind) => {
            let named = Selector::parse(exchange.parameter("entity")?);
            let parent = reads.entity(group, kind, &named, None, moment.at).await?;
            Some((kind, parent.ok_or_else(Refusal::not_found)?.id))
        }
        None => None,
    };
    // Kong ignores tags on nested lists.
    let tags = match parent {
        None => tags(&exchange.query)?,
        Some(_) => TagFilter::None,
    };
    let wanted = EntityQuery {
        after,
        size,
        tags,
        parent,
        at: moment.at,
    };
    let page = reads.entities(group, place.kind, &wanted).await?;
    let mut body = PageBody::default();
    for entity in &page.entities {
        let text = entities::shown(&exchange, entity, moment.at).await?;
        let text = RawValue::from_string(text).expect("an entity's body is JSON");
        body.data.push(text);
    }
    if let Some(last) = page.entities.last().filter(|_| page.has_more) {
        let token = BASE64.encode(json!([last.id]).to_string());
        body.next = Some(next(&exchange, place, &token));
        body.offset = Some(token);
    }
    Ok(Answer::ok(&body).tagged(moment.newest).at_version(moment.newest))
}

/// A page as Kong writes it.
#[derive(Default, Serialize)]
struct PageBody {
    data: Vec<Box<RawValue>>,
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
}

fn size(query: &Query) -> Result<usize, Refusal> {
    let refused = |message: &str| {
        let refusal = Refusal::bad_request(message).coded(9, "invalid size");
        Err(refusal.with_fields(json!({ "size": message })))
    };
    match query.get("size") {
        None => Ok(SIZE),
        Some(text) => match text.parse::<f64>() {
            Err(_) => refused("size must be a number"),
            Ok(size) if size.fract() == 0.0 && (1.0..=LARGEST as f64).contains(&size) => Ok(size as usize),
            Ok(_) => refused("size must be an integer between 1 and 1000"),
        },
    }
}

fn offset(query: &Query) -> Result<Option<EntityId>, Refusal> {
    let Some(text) = query.get("offset") else {
        return Ok(None);
    };
    let refused = |why: &str| {
        let message = format!("'{text}' is not a valid offset: {why}");
        let refusal = Refusal::bad_request(message.clone()).coded(7, "invalid offset");
        refusal.with_fields(json!({ "offset": message }))
    };
    let bytes = BASE64.decode(text).map_err(|_| refused("bad base64 encoding"))?;
    let [id]: [EntityId; 1] = serde_json::from_slice(&bytes).map_err(|_| refused("bad key"))?;
    Ok(Some(id))
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

/// The next page's path, relative to the prefix; nested lists carry the offset only, as Kong's do.
fn next(exchange: &Exchange, place: Place, token: &str) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let collection = place.kind.schema().collection;
    let offset = escaped(token);
    if let Some(parent) = place.parent {
        let named = escaped(exchange.parameter("entity").unwrap_or_default());
        let (parents, children) = (parent.schema().collection, place.kind.schema().nested_collection);
        return format!("/{parents}/{named}/{children}?offset={offset}");
    }
    let mut next = format!("/{collection}?offset={offset}");
    for name in ["size", "tags", "at"] {
        if let Some(value) = exchange.query.get(name) {
            next.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn sizes_outside_1_to_1000_are_refused_in_kongs_words() {
        assert_eq!(size(&query("")).unwrap(), 100);
        assert_eq!(size(&query("size=1000")).unwrap(), 1000);
        assert_eq!(
            size(&query("size=x")).unwrap_err().message,
            "size must be a number"
        );
        for wrong in ["size=0", "size=1001", "size=1.5", "size=-1"] {
            let refusal = size(&query(wrong)).unwrap_err();
            assert_eq!(
                refusal.message, "size must be an integer between 1 and 1000",
                "{wrong}"
            );
            assert_eq!(refusal.code, Some((9, "invalid size")));
        }
    }

    #[test]
    fn an_offset_that_is_not_ours_is_refused() {
        let refusal = offset(&query("offset=%21")).unwrap_err();
        assert_eq!(refusal.message, "'!' is not a valid offset: bad base64 encoding");
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
