//! The fleet: a group's runtime instances, and how far a version has got.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use dataplane_sync::nodes::ForgetError;
use dataplane_sync::observed_nodes::ObservedNodesUnavailable;
use dataplane_sync::rollout::{RolloutError, RolloutRefusal};
use dataplane_sync::{Node, Rollout};
use domain::{GroupId, NodeId, Timestamp, Version};
use projections::{GroupFilter, GroupRow, GroupSort, Page};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::exchange::Exchange;
use super::groups;
use super::kong_node;
use super::moment;
use super::presentation::REDACTED;
use super::refusal::Refusal;

/// The longest `wait` of `/rollout`.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The endpoints of nodes, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = groups::PREFIXES.into_iter().flat_map(under).collect();
    let items = json!({ "type": "array", "items": { "$ref": "#/components/schemas/Node" } });
    endpoints.push(
        Endpoint::new(
            Method::GET,
            "/v2/orphaned-nodes",
            Permission::ReadOrganization,
            "List runtime instances of deleted groups: they serve what they had",
            orphans,
        )
        .answers(200, json!({ "type": "object", "properties": { "items": items } })),
    );
    endpoints
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let group = format!("{prefix}/{{group}}");
    let one = format!("{group}/nodes/{{node}}");
    let schema = json!({ "$ref": "#/components/schemas/Node" });
    let item = json!({ "type": "object", "properties": { "item": schema } });
    let items = json!({ "type": "object", "properties": { "items": { "type": "array", "items": schema } } });
    let rollout = [
        query("version", "which version; the newest if not said"),
        query("wait", "how long to wait for it, at most 300s: 30s, 500ms"),
    ];
    let whole = json!({ "type": "integer" });
    let hash = json!({ "type": "object", "properties": {
        "expected_hash": { "type": ["string", "null"] }, "created_at": whole, "updated_at": whole,
    } });
    vec![
        Endpoint::new(
            Method::GET,
            format!("{group}/nodes"),
            Permission::ReadGroup,
            "List runtime instances",
            list,
        )
        .answers(200, items),
        Endpoint::new(
            Method::GET,
            format!("{group}/nodes/eol"),
            Permission::ReadGroup,
            "List runtime instances whose version isn't maintained any more, or won't be soon",
            near_their_end,
        )
        .answers(200, json!({ "type": "object" })),
        Endpoint::new(
            Method::GET,
            format!("{group}/expected-config-hash"),
            Permission::ReadGroup,
            "Read the hash that instances of Kong's newest version should have",
            expected_hash,
        )
        .answers(200, hash),
        Endpoint::new(
            Method::GET,
            &one,
            Permission::ReadGroup,
            "Read a runtime instance",
            read,
        )
        .answers(200, item),
        Endpoint::new(
            Method::DELETE,
            &one,
            Permission::WriteGroup,
            "Forget a runtime instance that isn't connected",
            forget,
        )
        .answers(204, Value::Null),
        Endpoint::new(
            Method::GET,
            format!("{group}/rollout"),
            Permission::ReadGroup,
            "Which connected instances run a version; waits until all do, one refuses, or the time is up",
            rollout_of,
        )
        .reads(&rollout)
        .answers(200, json!({ "$ref": "#/components/schemas/Rollout" })),
    ]
}

fn shown(node: &Node, with_secrets: bool) -> Result<Value, Refusal> {
    let mut body = serde_json::to_value(node).map_err(|error| Refusal::unavailable(error.to_string()))?;
    let record = &node.record;
    body["first_seen"] = Value::from(record.first_seen.rfc3339());
    body["last_seen"] = Value::from(record.last_seen.rfc3339());
    body["connected_since"] = json!(record.connected_since.map(Timestamp::rfc3339));
    body["applied_version"] = json!(record.applied.map(|applied| applied.version));
    if let Some(refusal) = &record.refusal {
        body["refusal"]["at"] = Value::from(refusal.at.rfc3339());
    }
    if let Value::Object(body) = &mut body {
        body.remove("kong");
        body.extend(kong_node::fields(record));
    }
    if !with_secrets {
        blot_out(&mut body);
    }
    Ok(body)
}

/// Takes away by what secrets could be found: digests of configurations, and what the instance says of one it refused, which may
/// repeat it.
fn blot_out(body: &mut Value) {
    for digest in [
        "/applied/digest",
        "/expected/digest",
        "/refusal/refused/digest",
        "/config_hash",
        "/expected_config_hash",
    ] {
        if let Some(digest) = body.pointer_mut(digest) {
            *digest = Value::Null;
        }
    }
    let mut said = vec!["/errors"];
    if !body["refusal"].is_null() {
        said.extend(["/refusal/reason", "/last_error"]);
    }
    for text in said {
        match body.pointer_mut(text) {
            Some(Value::Array(texts)) => texts.iter_mut().for_each(|text| *text = Value::from(REDACTED)),
            Some(text) if !text.is_null() => *text = Value::from(REDACTED),
            _ => {}
        }
    }
}

fn page_of(items: &[Value]) -> Answer {
    let page = json!({ "total": items.len(), "next": null });
    Answer::ok(&json!({ "items": items, "page": page }))
}

async fn near_their_end(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let nodes = exchange.services.nodes.list(group).await;
    let nodes = nodes.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let now = exchange.services.clock.now();
    let nodes = nodes.iter().filter_map(|node| kong_node::end(&node.record, now));
    Ok(page_of(&nodes.collect::<Vec<_>>()))
}

async fn expected_hash(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?;
    let expected = exchange.services.nodes.expected_hash(group.id).await;
    let with_secrets = exchange.caller()?.reads_secrets();
    let (hash, at) = expected.map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(Answer::ok(&json!({
        "expected_hash": hash.filter(|_| with_secrets),
        "created_at": group.created_at.seconds(),
        "updated_at": at.seconds(),
    })))
}

async fn orphans(exchange: Exchange) -> Result<Answer, Refusal> {
    let nodes = &exchange.services.nodes;
    let unavailable = |error: ObservedNodesUnavailable| Refusal::unavailable(error.to_string());
    let living = all_groups(&exchange, false).await?;
    let living: HashSet<GroupId> = living.iter().map(|group| group.record.id).collect();
    let with_secrets = exchange.caller()?.reads_secrets();
    let mut items = Vec::new();
    for group in all_groups(&exchange, true).await? {
        let left_behind = nodes.list_left_behind(group.record.id).await;
        for node in left_behind.map_err(unavailable)? {
            let adopted = nodes.is_adopted(&node.record, &living).await;
            if adopted.map_err(unavailable)? {
                continue;
            }
            let mut body = shown(&node, with_secrets)?;
            body["group_name"] = json!(group.record.name);
            items.push(body);
        }
    }
    Ok(page_of(&items))
}

/// The groups of the caller's organization that are deleted, or those that aren't.
async fn all_groups(exchange: &Exchange, deleted: bool) -> Result<Vec<GroupRow>, Refusal> {
    let filter = GroupFilter {
        deleted,
        ..GroupFilter::default()
    };
    let all = Page {
        number: 1,
        size: usize::MAX,
    };
    let (organization, reads) = (exchange.caller()?.organization, exchange.reads());
    let found = reads
        .groups(organization, &filter, GroupSort::default(), all)
        .await?;
    Ok(found.items)
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let nodes = exchange.services.nodes.list(group).await;
    let nodes = nodes.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let items = nodes.iter().map(|node| shown(node, with_secrets));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Ok(page_of(&items))
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let (group, node) = (exchange.group()?.id, NodeId(exchange.id_parameter("node")?));
    let found = exchange.services.nodes.get(group, node).await;
    let found = found.map_err(|error| Refusal::unavailable(error.to_string()))?;
    match found {
        Some(node) => {
            let with_secrets = exchange.caller()?.reads_secrets();
            Ok(Answer::ok(&json!({ "item": shown(&node, with_secrets)? })))
        }
        None => Err(no_node(&ForgetError::NoSuchNode(node))),
    }
}

async fn forget(exchange: Exchange) -> Result<Answer, Refusal> {
    let (group, node) = (exchange.group()?.id, NodeId(exchange.id_parameter("node")?));
    match exchange.services.nodes.forget(group, node).await {
        Ok(()) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
        Err(error @ ForgetError::NoSuchNode(_)) => Err(no_node(&error)),
        Err(error @ ForgetError::Connected(_)) => Err(Refusal::new(StatusCode::CONFLICT, error.to_string())),
        Err(error) => Err(Refusal::unavailable(error.to_string())),
    }
}

fn no_node(error: &ForgetError) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, error.to_string())
}

async fn rollout_of(exchange: Exchange) -> Result<Answer, Refusal> {
    let group = exchange.group()?.id;
    let newest = exchange.newest_version().await?;
    let version = match exchange.query.number("version")? {
        Some(version) => moment::existing(version, newest)?,
        None => newest,
    };
    let wait = patience(exchange.query.get("wait"))?;
    let nodes = &exchange.services.nodes;
    let rollout = match wait {
        Some(wait) => tokio::select! {
            rollout = nodes.wait_rollout(group, version, wait) => rollout,
            // Better asked again at another process than cut off at this one.
            () = exchange.services.shutdown.cancelled() => nodes.rollout(group, version).await,
        },
        None => nodes.rollout(group, version).await,
    };
    let rollout = rollout.map_err(|error: RolloutError| Refusal::unavailable(error.to_string()))?;
    let fleet = nodes.list(group).await;
    let fleet = fleet.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let with_secrets = exchange.caller()?.reads_secrets();
    Ok(Answer::ok(&progress(version, &rollout, &fleet, with_secrets)).at_version(newest))
}

/// How far a version has got, connected instance by instance.
fn progress(version: Version, rollout: &Rollout, fleet: &[Node], with_secrets: bool) -> Value {
    let hindered = |refusal: &RolloutRefusal| if refusal.withheld { "withheld" } else { "refused" };
    let state = match rollout.refused.iter().find(|refusal| !refusal.withheld) {
        _ if rollout.complete() => "live",
        Some(_) => "refused",
        None => rollout.refused.first().map_or("pending", hindered),
    };
    let connected = fleet.iter().filter(|node| node.record.connected_since.is_some());
    let one = |node: &Node| {
        let record = &node.record;
        let refusal = rollout.refused.iter().find(|refusal| refusal.node == record.id);
        let state = match refusal {
            Some(refusal) => hindered(refusal),
            None if rollout.pending.contains(&record.id) => "pending",
            None => "live",
        };
        json!({
            "id": record.id,
            "hostname": record.hostname,
            "state": state,
            "version": record.applied.map(|applied| applied.version),
            "reason": refusal.map(|refusal| match with_secrets || refusal.withheld {
                true => refusal.reason.as_str(),
                false => REDACTED,
            }),
        })
    };
    json!({
        "version": version,
        "state": state,
        "connected": rollout.connected,
        "current": rollout.current,
        "nodes": connected.map(one).collect::<Vec<_>>(),
    })
}

/// Reads `30s`, `500ms`, `2m` or plain seconds.
fn patience(text: Option<&str>) -> Result<Option<Duration>, Refusal> {
    let Some(text) = text else {
        return Ok(None);
    };
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let number = digits.parse::<u64>().ok();
    let wait = number.and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    });
    match wait {
        Some(wait) if wait <= LONGEST_WAIT => Ok(Some(wait)),
        _ => Err(Refusal::invalid(
            "wait",
            "invalid",
            "must be a time up to 300s, such as 30s or 500ms",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_has_a_unit_and_an_end() {
        assert_eq!(patience(None).unwrap(), None);
        assert_eq!(patience(Some("30s")).unwrap(), Some(Duration::from_secs(30)));
        assert_eq!(patience(Some("250ms")).unwrap(), Some(Duration::from_millis(250)));
        for wrong in ["", "s", "1h", "301s", "-1s"] {
            assert!(patience(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
