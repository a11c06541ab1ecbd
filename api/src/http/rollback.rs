//! The configuration of an earlier version as a new change: `POST /rollback {"to": n}`.

use axum::http::Method;
use domain::Version;
use domain::group::GroupCommand;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::fields::Fields;
use super::groups;
use super::moment;
use super::preconditions;
use super::refusal::Refusal;
use super::undoing::DRY_RUN;
use super::writes::WRITE_HEADERS;

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/rollback"),
        Permission::WriteGroup,
        "Make a group's configuration that of an earlier version, as a new change",
        roll_back,
    )
    .reads(&[DRY_RUN])
    .computes()
    .reads(&WRITE_HEADERS)
    .takes(json!({
        "type": "object",
        "required": ["to"],
        "properties": { "to": { "type": "integer", "minimum": 0 } },
        "additionalProperties": false,
    }))
    .answers(200, json!({ "$ref": "#/components/schemas/ChangeReport" }))
}

async fn roll_back(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let to = fields.required::<Version>("to");
    fields.finish()?;
    let newest = exchange.newest_version().await?;
    let from = moment::existing(to.unwrap_or_default(), newest)?;
    let group = exchange.group()?.id;
    let entities = exchange.reads().configuration(group, from).await?;
    let command = GroupCommand::RollBack {
        from,
        entities,
        expected_version: preconditions::expected_version(&exchange.headers)?,
    };
    exchange.undo(command, from, None).await
}
