//! The health of an upstream's targets as a Kong Admin API tells it: instances check it and don't report it here, so
//! every target is `HEALTHCHECKS_OFF` (`deck-go-kong.md` §5.9).

use axum::http::{Method, StatusCode};
use domain::Kind;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::entity_routes::{AT, Place};
use super::exchange::Exchange;
use super::kong_pages::PAGING;
use super::prefixes::ADMIN;
use super::refusal::Refusal;
use super::{entities, entity_lists};

const HEALTH: &str = "HEALTHCHECKS_OFF";

/// The endpoints of health; none as long as the catalogue has no targets.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let (Some(targets), Some(upstreams)) = (Kind::named("targets"), Kind::named("upstreams")) else {
        return Vec::new();
    };
    let place = Place {
        kind: targets,
        parent: Some(upstreams),
        prefix: ADMIN,
    };
    let path = |rest: &str| format!("{}/upstreams/{{entity}}/{rest}", ADMIN.base);
    let mut endpoints = vec![
        Endpoint::new(
            Method::GET,
            path("targets/all"),
            Permission::ReadHistory,
            "List every target of an upstream, those with weight 0 too",
            move |exchange| entity_lists::list(exchange, place),
        )
        .reads(&PAGING)
        .reads(&[AT])
        .by_kongs_rules(),
        Endpoint::new(
            Method::GET,
            path("health"),
            Permission::ReadGroup,
            "List an upstream's targets with their health, which is known to its instances only",
            move |exchange| health(exchange, place),
        )
        .reads(&PAGING)
        .reads(&[query("balancer_health", "1: one answer for the whole upstream")])
        .by_kongs_rules(),
    ];
    for word in ["healthy", "unhealthy"] {
        for method in [Method::PUT, Method::POST] {
            for rest in [
                format!("targets/{{child}}/{word}"),
                format!("targets/{{child}}/{{address}}/{word}"),
            ] {
                endpoints.push(marking(method.clone(), path(&rest), word, place));
            }
        }
    }
    endpoints
}

fn marking(method: Method, path: String, word: &str, place: Place) -> Endpoint {
    let summary = format!("Accepted without effect: instances find out by themselves what is {word}");
    Endpoint::new(method, path, Permission::WriteGroup, summary, move |exchange| {
        mark(exchange, place)
    })
    .answers(204, Value::Null)
    .by_kongs_rules()
}

async fn health(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let node = exchange.group()?.id;
    if exchange.query.flag("balancer_health")? {
        let upstream = entities::parent(&exchange, place.parent_kind()?, None).await?;
        let name = upstream.map().remove("name");
        let data = json!({ "id": upstream.id, "name": name, "health": HEALTH });
        return Ok(Answer::ok(&json!({ "data": data, "node_id": node })).at_version(newest));
    }
    let mut page = entity_lists::page(&exchange, place, None).await?;
    for target in &mut page.data {
        *target = with_health(target)?;
    }
    let mut body = json!(page);
    body["node_id"] = json!(node);
    Ok(Answer::ok(&body).at_version(newest))
}

fn with_health(target: &RawValue) -> Result<Box<RawValue>, Refusal> {
    let unreadable = |error: serde_json::Error| Refusal::unavailable(error.to_string());
    let mut body: Map<String, Value> = serde_json::from_str(target.get()).map_err(unreadable)?;
    body.insert("health".to_owned(), Value::from(HEALTH));
    to_raw_value(&body).map_err(unreadable)
}

async fn mark(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    entities::found(&exchange, place, None).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).at_version(newest))
}
