//! What differs between two versions of a group: `/diff?from=&to=`.

use axum::http::Method;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::groups;
use super::moment;
use super::refusal::Refusal;

/// The endpoint of differences, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    let versions = [
        query("from", "the version to compare from; 0 is the empty group"),
        query("to", "the version to compare with; the newest if not said"),
    ];
    Endpoint::new(
        Method::GET,
        format!("{prefix}/{{group}}/diff"),
        Permission::ReadHistory,
        "Compare two versions of a group",
        compare,
    )
    .reads(&versions)
    .answers(200, json!({ "$ref": "#/components/schemas/Difference" }))
}

async fn compare(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let from = exchange.query.number("from")?;
    let from =
        from.ok_or_else(|| Refusal::invalid("from", "required", "is required: a version, 0 for empty"))?;
    let to = exchange.query.number("to")?.unwrap_or(newest);
    let (from, to) = (moment::existing(from, newest)?, moment::existing(to, newest)?);
    let group = exchange.group()?.id;
    let changes = exchange.services.reads.difference(group, from, to).await?;
    let changes = EntityChanges::decided(&changes).shown(exchange.caller()?.reads_secrets());
    let body = json!({ "from": from, "to": to, "changes": changes });
    Ok(Answer::ok(&body).at_version(newest))
}
