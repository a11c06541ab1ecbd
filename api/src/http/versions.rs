//! A group's history: its changes, each with who, when, why, and what stood there before and after.

use axum::http::{Method, StatusCode};
use domain::{Boundary, Digest, GroupId, Kind, SnapshotDigest, Version};
use projections::{ChangeFilter, ChangeRow, EventSummary, Recorded};
use serde_json::{Value, json};

use super::answer::Answer;
use super::change_filters::FILTERS;
use super::endpoint::{Endpoint, Parameter, Permission, query};
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::groups;
use super::moment;
use super::pages::{self, AFTER, PAGE, Page};
use super::preconditions;
use super::presentation;
use super::refusal::Refusal;
use super::streamed::StreamedObject;

/// The endpoints of history, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let group = format!("{prefix}/{{group}}");
    vec![
        Endpoint::new(
            Method::GET,
            format!("{group}/versions"),
            Permission::ReadHistory,
            "List a group's changes, the newest first",
            list,
        )
        .reads(&PAGE)
        .reads(&AFTER)
        .reads(&FILTERS)
        .answers(200, json!({ "$ref": "#/components/schemas/ChangePage" })),
        Endpoint::new(
            Method::GET,
            format!("{group}/versions/{{version}}"),
            Permission::ReadHistory,
            "Read a change: who, when, why, and every entity before and after it",
            read,
        )
        .reads(&ENTITY_PAGE)
        .answers(200, json!({ "$ref": "#/components/schemas/Change" })),
    ]
}

/// Which of a change's entities are wanted.
const ENTITY_PAGE: [Parameter; 2] = [
    query("page[size]", "how many entities, 1 to 1000; 1000 if not said"),
    AFTER[0],
];

/// A change as answers carry it, without bodies.
pub(crate) fn shown(change: &ChangeRow, with_secrets: bool) -> Value {
    let mut shown = facts(change);
    let events = change.events.iter().map(|one| event(one, with_secrets));
    shown["events"] = events.collect();
    shown
}

/// Who made a change, when, why and how.
pub(crate) fn facts(change: &ChangeRow) -> Value {
    json!({
        "version": change.version,
        "at": change.at.rfc3339(),
        "actor": change.actor,
        "message": change.reason,
        "request_id": change.request_id,
        "source": change.source,
        "event_count": change.event_count,
    })
}

/// An event without a name that is a secret, and of what is recorded only why a configuration was refused.
fn event(event: &EventSummary, with_secrets: bool) -> Value {
    let kind = event.kind.as_deref().and_then(Kind::named);
    let mut shown = json!(event);
    if kind.is_some_and(|kind| presentation::name_field(kind).is_none()) {
        shown["name"] = Value::Null;
    }
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("repeated");
        shown.remove("recorded");
    }
    if let Some(Recorded::Refusal { reason, .. }) = event.recorded.as_deref() {
        shown["reason"] = json!(presentation::said_of_a_configuration(reason, with_secrets));
    }
    shown
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let boundary = Boundary::Group(exchange.group()?.id);
    let body = page(&exchange, boundary, newest).await?;
    Ok(Answer::ok(&body).tagged(newest).at_version(newest))
}

/// A page of a boundary's history as the query asks for it.
pub(crate) async fn page(exchange: &Exchange, boundary: Boundary, newest: Version) -> Result<Value, Refusal> {
    let page = Page::of(&exchange.query)?;
    let after = pages::after(&exchange.query)?;
    let filter = exchange.change_filter(boundary).await?;
    let counted = after.is_none() && filter == ChangeFilter::default();
    if page.number > 1 && !counted {
        let reason = "a history with filters goes on with page[after]";
        return Err(Refusal::invalid("page[number]", "max", reason));
    }
    // Versions have no gaps, so without filters a page is a range of them.
    let before = after.unwrap_or_else(|| (newest + 1).saturating_sub(page.skipped()));
    let reads = exchange.reads();
    let found = reads.history(boundary, &filter, Some(before), page.size).await?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let data = found.changes.iter().map(|change| shown(change, with_secrets));
    let data = data.collect();
    Ok(match counted {
        true => {
            let mut body = page.envelope(data, newest);
            body["meta"]["page"]["next"] = json!(found.next.map(pages::cursor));
            body
        }
        false => page.uncounted(data, found.next),
    })
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?.id;
    let version = version_parameter(&exchange, newest)?;
    if preconditions::is_current(&exchange.headers, version) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(version)
            .at_version(newest));
    }
    let first = pages::after(&exchange.query)?.unwrap_or(0);
    let size = match exchange.query.get("page[size]") {
        Some(_) => Page::of(&exchange.query)?.size,
        None => pages::LARGEST,
    };
    let reads = exchange.reads();
    let detail = reads.change_from(group, version, first, size).await?;
    let detail = detail.ok_or_else(before_the_first)?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let mut body = shown(&detail.change, with_secrets);
    let (digest, erased) = digest(&exchange, group, version).await?;
    body["digest"] = presentation::digest(digest, with_secrets);
    body["erased"] = Value::from(erased);
    let next = detail.next.map(|next| pages::cursor(next as u64));
    body["meta"] = json!({ "page": { "size": size, "next": next } });
    Ok(StreamedObject::beginning_with(&body)
        .with_list("changes", EntityChanges::recorded(&detail).shown(with_secrets))
        .ok()
        .tagged(version)
        .at_version(newest))
}

/// The refusal to tell of a change before the first.
pub(crate) fn before_the_first() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "versions begin with 1: before it the group is empty",
    )
}

/// The version in a path, which must exist; `latest` is the newest.
pub(crate) fn version_parameter(exchange: &Exchange, newest: Version) -> Result<Version, Refusal> {
    let text = exchange.parameter("version")?;
    if text == "latest" {
        return Ok(newest);
    }
    let version = text.parse::<Version>();
    let version = version.map_err(|_| {
        Refusal::invalid(
            "version",
            "is_integer",
            "must be a version, a whole number, or latest",
        )
    })?;
    moment::existing(version, newest)
}

/// The content hash of the group's configuration at a version, and whether something of it was erased since: then it is the hash of what
/// is left, which no instance ever ran. From the live state if the version is recent.
async fn digest(exchange: &Exchange, group: GroupId, version: Version) -> Result<(Digest, bool), Refusal> {
    let reads = exchange.reads();
    let recent = reads.live(group).await?.current();
    let whole = recent.group.erased.is_empty() || version == recent.group.version;
    if let Some(digest) = recent.digest_at(version).filter(|_| whole) {
        return Ok((digest, false));
    }
    let entities = reads.configuration(group, version).await?;
    let erased = entities.iter().any(|entity| entity.erased);
    Ok((SnapshotDigest::of(entities.iter()), erased))
}
