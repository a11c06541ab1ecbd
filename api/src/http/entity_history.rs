//! Everything that happened to one entity, under all its names and after its deletion:
//! `…/core-entities/services/orders/history`.

use axum::http::{Method, StatusCode};
use domain::Kind;
use domain::group::EntityChange;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::entity_changes::EntityChanges;
use super::entity_routes;
use super::exchange::Exchange;
use super::groups;
use super::pages::{self, AFTER, Page};
use super::refusal::Refusal;
use super::versions;

/// The endpoint of each kind, under both prefixes of groups.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let under = |prefix: &str| {
        entity_routes::served_kinds()
            .map(|kind| of(prefix, kind))
            .collect::<Vec<_>>()
    };
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn of(prefix: &str, kind: Kind) -> Endpoint {
    let collection = &kind.schema().collection;
    Endpoint::new(
        Method::GET,
        format!("{prefix}/{{group}}/core-entities/{collection}/{{entity}}/history"),
        Permission::ReadHistory,
        format!("List the changes that touched one of the {kind}, the newest first, with what it was before and after each"),
        move |exchange| list(exchange, kind),
    )
    .reads(&[query("page[size]", "how many on a page, 1 to 1000; 100 if not said")])
    .reads(&AFTER)
    .answers(200, json!({ "$ref": "#/components/schemas/ChangePage" }))
}

async fn list(exchange: Exchange, kind: Kind) -> Result<Answer, Refusal> {
    let page = Page::of(&exchange.query)?;
    let after = pages::after(&exchange.query)?;
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?.id;
    let named = exchange.parameter("entity")?;
    let reads = exchange.reads();
    let unknown = || {
        let reason = format!("none of the {kind} of this group is or ever was called '{named}'");
        Refusal::new(StatusCode::NOT_FOUND, reason)
    };
    let id = reads
        .last_holder(group, kind, &exchange.named(kind, named)?)
        .await?;
    let id = id.ok_or_else(unknown)?;
    let mut changes = reads
        .entity_history(group, kind, id, after, page.size as usize + 1)
        .await?;
    if changes.is_empty() && after.is_none() {
        return Err(unknown());
    }
    let more = changes.len() as u64 > page.size;
    changes.truncate(page.size as usize);
    let next = changes.last().map(|last| last.change.version).filter(|_| more);
    let with_secrets = exchange.caller()?.reads_secrets();
    let one = |touched: projections::EntityChange| {
        let mut shown = versions::facts(&touched.change);
        let change = EntityChange {
            kind,
            id,
            before: touched.before,
            after: touched.after,
        };
        shown["changes"] = json!(
            EntityChanges::decided(&[change])
                .shown(with_secrets)
                .collect::<Vec<_>>()
        );
        shown
    };
    let data = changes.into_iter().map(one).collect();
    Ok(Answer::ok(&page.uncounted(data, next))
        .tagged(newest)
        .at_version(newest))
}
