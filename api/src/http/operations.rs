//! For those who operate it: is it alive, is it ready, what does it count.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::openapi;
use super::refusal::Refusal;

/// The endpoints of operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/healthz",
            Permission::Public,
            "Is the process alive",
            healthz,
        ),
        Endpoint::new(
            Method::GET,
            "/readyz",
            Permission::Public,
            "Can it take requests; 503 says why not",
            readyz,
        ),
        Endpoint::new(
            Method::GET,
            "/metrics",
            Permission::ReadOrganization,
            "Counters and timings in Prometheus' text format",
            metrics,
        )
        .in_media("text/plain"),
        Endpoint::new(
            Method::GET,
            "/openapi.json",
            Permission::Member,
            "This API as an OpenAPI 3.1 document",
            openapi_json,
        ),
    ]
}

async fn healthz(_: Exchange) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&json!({ "status": "ok" })))
}

async fn readyz(exchange: Exchange) -> Result<Answer, Refusal> {
    let services = &exchange.services;
    let log = match services.log.tail().await {
        Ok(tail) => Ok(json!({ "ok": true, "position": tail })),
        Err(error) => Err(json!({ "ok": false, "reason": error.to_string() })),
    };
    let views = services.reads.health();
    let durability = match &services.settings.durability_unverified {
        None => json!({ "verified": true }),
        Some(why) => json!({ "verified": false, "reason": format!("durability not verified: {why}") }),
    };
    let ready = log.is_ok() && views.is_ok();
    let flat = |check: Result<Value, Value>| check.unwrap_or_else(|failed| failed);
    let body = json!({
        "status": if ready { "ready" } else { "not ready" },
        "checks": { "log": flat(log), "projections": flat(views), "durability": durability },
    });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(Answer::json(status, &body))
}

async fn metrics(exchange: Exchange) -> Result<Answer, Refusal> {
    let text = exchange.services.metrics.render();
    Ok(Answer::text(StatusCode::OK, "text/plain; version=0.0.4", text))
}

async fn openapi_json(_: Exchange) -> Result<Answer, Refusal> {
    Ok(Answer::json_text(StatusCode::OK, openapi::text()))
}
