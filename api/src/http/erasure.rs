//! Erasure of a consumer: `POST …/core-entities/consumers/{id}/erase`.

use axum::http::{Method, StatusCode};
use domain::group::decide::EntityChange;
use domain::group::{GroupCommand, Selector};
use domain::{EntityId, Kind};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::groups;
use super::preconditions;
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

/// The kind that can be erased.
const CONSUMERS: &str = "consumers";

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    let id = || json!({ "type": "string", "format": "uuid" });
    let gone = json!({
        "type": "object",
        "required": ["kind", "id"],
        "properties": { "kind": { "type": "string" }, "id": id() },
    });
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/core-entities/consumers/{{entity}}/erase"),
        Permission::WriteGroup,
        "Erase a consumer: delete it with all that belongs to it, and make what the history holds of it unreadable for ever",
        erase,
    )
    .reads(&WRITE_HEADERS)
    .answers(
        200,
        json!({
            "type": "object",
            "required": ["version", "changed", "consumer", "deleted"],
            "properties": {
                "version": { "type": "integer", "minimum": 0 },
                "changed": { "type": "boolean" },
                "consumer": id(),
                "deleted": { "type": "array", "items": gone },
            },
        }),
    )
}

async fn erase(exchange: Exchange) -> Result<Answer, Refusal> {
    let consumer = named(&exchange).await?;
    let accepted = exchange
        .change_group(GroupCommand::EraseConsumer {
            consumer,
            condition: preconditions::condition(&exchange.headers)?,
        })
        .await?;
    let gone = |change: &EntityChange| json!({ "kind": change.kind, "id": change.id });
    let body = json!({
        "version": accepted.version,
        "changed": accepted.changed || accepted.replayed,
        "consumer": consumer,
        "deleted": accepted.outcome.changes.iter().map(gone).collect::<Vec<Value>>(),
    });
    Ok(Answer::ok(&body)
        .tagged(accepted.version)
        .at_version(accepted.version))
}

/// The consumer in the path: one that exists by id or name, one that was deleted by its id.
async fn named(exchange: &Exchange) -> Result<EntityId, Refusal> {
    let kind = Kind::named(CONSUMERS).ok_or_else(Refusal::not_found)?;
    let segment = exchange.parameter("entity")?;
    let selector = exchange.named(kind, segment)?;
    exchange.newest_version().await?;
    let (group, reads) = (exchange.group()?.id, exchange.reads());
    if let Some(consumer) = reads.entity(group, kind, &selector, None, None).await? {
        return Ok(consumer.id);
    }
    match selector {
        Selector::Id(id) if reads.has_existed(group, kind, id).await? => Ok(id),
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!(
                "there is no consumer {segment}, and never was one with this id: give the id of a deleted one"
            ),
        )),
    }
}
