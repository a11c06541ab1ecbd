//! One change taken back, with later changes kept: `POST /versions/{version}/revert`.

use axum::http::{Method, StatusCode};
use domain::group::{EntityChange, GroupCommand};
use domain::{EntityId, Kind};
use projections::{ChangeDetail, EventDetail};
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::fields::Fields;
use super::groups;
use super::preconditions;
use super::refusal::Refusal;
use super::undoing::DRY_RUN;
use super::versions;
use super::writes::WRITE_HEADERS;

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/versions/{{version}}/revert"),
        Permission::WriteGroup,
        "Take back what one change did, as a new change; later changes stay",
        revert,
    )
    .reads(&[DRY_RUN])
    .computes()
    .reads(&WRITE_HEADERS)
    .answers(200, json!({ "$ref": "#/components/schemas/ChangeReport" }))
}

async fn revert(exchange: Exchange) -> Result<Answer, Refusal> {
    Fields::of(exchange.object()?).finish()?;
    let newest = exchange.newest_version().await?;
    let version = versions::version_parameter(&exchange, newest)?;
    let group = exchange.group()?.id;
    let detail = exchange.reads().change(group, version).await?;
    let detail = detail.ok_or_else(versions::before_the_first)?;
    let message = format!("revert of version {version}");
    let reason = match &detail.change.reason {
        Some(reason) => format!("{message}: {reason}"),
        None => message,
    };
    let command = GroupCommand::Revert {
        version,
        changes: entity_changes(&detail)?,
        expected_version: preconditions::expected_version(&exchange.headers)?,
    };
    exchange.undo(command, version, Some(reason)).await
}

/// What a change did to entities; what isn't about entities can't be taken back this way.
fn entity_changes(detail: &ChangeDetail) -> Result<Vec<EntityChange>, Refusal> {
    let one = |event: &EventDetail| {
        let summary = &event.summary;
        let kind = summary.kind.as_deref().and_then(Kind::named);
        let kind = kind.filter(|_| summary.what.starts_with("entity."));
        let (Some(kind), Some(id)) = (kind, summary.id) else {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                format!(
                    "version {} can't be reverted: `{}` is no change of entities. A deleted group is restored with POST \
                     \u{2026}/restore; what was erased stays erased",
                    detail.change.version, summary.what
                ),
            ));
        };
        let (before, after) = (event.before.clone(), event.after.clone());
        Ok(EntityChange {
            kind,
            id: EntityId(id),
            before,
            after,
        })
    };
    detail.events.iter().map(one).collect()
}
