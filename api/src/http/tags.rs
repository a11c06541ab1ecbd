//! `/tags` and `/tags/{tag}`: who has which tags (`deck-go-kong.md` §5.3).

use axum::http::Method;
use domain::{EntityId, Kind};
use projections::TagCursor;
use serde_json::json;
use serde_json::value::to_raw_value;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::entity_routes::AT;
use super::exchange::Exchange;
use super::kong_pages::{self, PAGING, PageBody};
use super::prefixes::{PREFIXES, Prefix};
use super::refusal::Refusal;

/// The endpoints of tags under every prefix.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: Prefix) -> [Endpoint; 2] {
    let listing = |path: &str, summary: &str| {
        let path = format!("{}{path}", prefix.base);
        Endpoint::new(
            Method::GET,
            path,
            Permission::ReadHistory,
            summary,
            move |exchange| list(exchange, prefix),
        )
        .reads(&PAGING)
        .reads(&[AT])
        .answers(200, page())
        .by_kongs_rules()
    };
    [
        listing("/tags", "List every tag of every entity"),
        listing("/tags/{tag}", "List the entities that have a tag"),
    ]
}

async fn list(exchange: Exchange, prefix: Prefix) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let tag = exchange.parameter("tag").ok();
    if let Some(tag) = tag {
        check(tag)?;
    }
    let size = kong_pages::size(&exchange.query)?;
    let after = kong_pages::offset(&exchange.query)?.and_then(cursor);
    let moment = exchange.moment().await?;
    let page = exchange
        .reads()
        .tags(group, tag, after.as_ref(), size, moment.at)
        .await?;
    let mut body = PageBody::default();
    for tagged in &page.tagged {
        let item = json!({ "entity_id": tagged.id, "entity_name": tagged.kind, "tag": tagged.tag });
        body.data
            .push(to_raw_value(&item).expect("a JSON value is JSON text"));
    }
    if let Some(last) = page.tagged.last().filter(|_| page.has_more) {
        let key = (&last.tag, last.kind, last.id);
        let given = exchange.query.given(&["size", "at"]);
        body.goes_on(&prefix.relative(&exchange.path), &key, &given);
    }
    Ok(Answer::ok(&body).tagged(moment.newest).at_version(moment.newest))
}

fn cursor((tag, kind, id): (String, String, EntityId)) -> Option<TagCursor> {
    let kind = Kind::named(&kind)?;
    Some(TagCursor { tag, kind, id })
}

fn check(tag: &str) -> Result<(), Refusal> {
    if tag.contains([',', '/']) || tag.chars().any(char::is_control) {
        let message = format!(
            "invalid tag '{tag}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
        );
        return Err(Refusal::bad_request(message));
    }
    Ok(())
}

fn page() -> serde_json::Value {
    let text = json!({ "type": "string" });
    json!({
        "type": "object",
        "properties": {
            "data": { "type": "array", "items": {
                "type": "object",
                "properties": { "entity_id": text, "entity_name": text, "tag": text },
            } },
            "next": { "type": ["string", "null"] },
            "offset": text,
        },
    })
}
