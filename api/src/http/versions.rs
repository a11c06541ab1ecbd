//! A group's history: its changes, each with who, when, why, and what stood there before and after.

use axum::http::{Method, StatusCode};
use domain::{GroupId, Kind, SnapshotDigest, Version};
use projections::{ChangeRow, EventSummary};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::groups;
use super::moment;
use super::pages::{PAGE, Page};
use super::preconditions;
use super::presentation;
use super::refusal::Refusal;

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
        .answers(200, json!({ "$ref": "#/components/schemas/ChangePage" })),
        Endpoint::new(
            Method::GET,
            format!("{group}/versions/{{version}}"),
            Permission::ReadHistory,
            "Read a change: who, when, why, and every entity before and after it",
            read,
        )
        .answers(200, json!({ "$ref": "#/components/schemas/Change" })),
    ]
}

/// A change as answers carry it, without bodies.
pub(crate) fn shown(change: &ChangeRow) -> Value {
    json!({
        "version": change.version,
        "at": change.at.rfc3339(),
        "actor": change.actor,
        "message": change.reason,
        "request_id": change.request_id,
        "source": change.source,
        "event_count": change.event_count,
        "events": change.events.iter().map(event).collect::<Vec<_>>(),
    })
}

/// An event without a name that is a secret.
fn event(event: &EventSummary) -> Value {
    let kind = event.kind.as_deref().and_then(Kind::named);
    let mut shown = json!(event);
    if kind.is_some_and(|kind| presentation::name_field(kind).is_none()) {
        shown["name"] = Value::Null;
    }
    shown
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let page = Page::of(&exchange.query)?;
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?.id;
    // Versions have no gaps, so a page is a range of them.
    let before = (newest + 1).saturating_sub(page.skipped());
    let changes = exchange.services.reads.changes_before(group, before, page.size);
    let data = changes.await?.iter().map(shown).collect();
    Ok(Answer::ok(&page.envelope(data, newest))
        .tagged(newest)
        .at_version(newest))
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
    let detail = exchange.services.reads.change(group, version).await?;
    let detail = detail.ok_or_else(before_the_first)?;
    let mut body = shown(&detail.change);
    body["digest"] = Value::from(digest(&exchange, group, version).await?);
    let with_secrets = exchange.caller()?.reads_secrets();
    body["changes"] = Value::from(EntityChanges::recorded(&detail).shown(with_secrets));
    Ok(Answer::ok(&body).tagged(version).at_version(newest))
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

/// The content hash of the group's configuration at a version: from the live state if it is recent.
async fn digest(exchange: &Exchange, group: GroupId, version: Version) -> Result<String, Refusal> {
    let reads = &exchange.services.reads;
    let recent = reads.live(group).await?.current();
    if let Some(digest) = recent.digest_at(version) {
        return Ok(digest.to_string());
    }
    let mut digest = SnapshotDigest::default();
    for entity in reads.configuration(group, version).await? {
        digest.put(entity.kind, entity.id, &entity.body);
    }
    Ok(digest.digest().to_string())
}
