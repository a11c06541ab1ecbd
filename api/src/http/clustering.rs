//! A group's data planes as the Admin API of Kong's control plane lists them (`kong-hybrid-protocol.md` §6).

use axum::http::{HeaderName, HeaderValue, Method};
use domain::NodeId;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::kong_node;
use super::kong_pages::{self, PAGING, PageBody};
use super::prefixes::ADMIN;
use super::refusal::Refusal;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// The endpoints about the cluster.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            format!("{}/clustering/data-planes", ADMIN.base),
            Permission::ReadGroup,
            "List the data planes",
            data_planes,
        )
        .reads(&PAGING)
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules(),
        Endpoint::new(
            Method::GET,
            format!("{}/clustering/status", ADMIN.base),
            Permission::ReadGroup,
            "Which configuration each data plane runs; use /clustering/data-planes",
            status,
        )
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules(),
    ]
}

async fn data_planes(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let size = kong_pages::size(&exchange.query)?;
    let after: Option<NodeId> = kong_pages::offset(&exchange.query)?;
    let nodes = exchange.services.nodes.list(group).await;
    let nodes = nodes.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let (retention, now) = (
        exchange.services.settings.node_retention,
        exchange.services.clock.now(),
    );
    let with_secrets = exchange.caller()?.reads_secrets();
    let row = |node: &dataplane_sync::Node| {
        let mut row = kong_node::row(&node.record, retention, now)?;
        if !with_secrets {
            row["config_hash"] = Value::Null;
        }
        Some((node.record.id, row))
    };
    let rows = nodes.iter().filter_map(row);
    let mut rows = rows
        .skip_while(|(id, _)| after.is_some_and(|after| *id <= after))
        .peekable();
    let mut body = PageBody::default();
    let mut last = None;
    while body.data.len() < size
        && let Some((id, row)) = rows.next()
    {
        body.data
            .push(to_raw_value(&row).expect("a JSON value is JSON text"));
        last = Some(id);
    }
    if let Some(last) = last.filter(|_| rows.peek().is_some()) {
        let size = exchange.query.get("size").map(|size| ("size", size));
        body.goes_on("/clustering/data-planes", &last, size.as_slice());
    }
    Ok(Answer::ok(&body))
}

async fn status(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let nodes = exchange.services.nodes.list(group).await;
    let nodes = nodes.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let status = nodes.iter().filter_map(|node| {
        let (id, mut status) = kong_node::status(&node.record)?;
        if !with_secrets {
            status["config_hash"] = Value::Null;
        }
        Some((id, status))
    });
    let status: Map<String, Value> = status.collect();
    Ok(Answer::ok(&status).with(DEPRECATION, HeaderValue::from_static("true")))
}
