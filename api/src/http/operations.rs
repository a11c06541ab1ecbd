//! For those who operate it: is it alive, is it ready, what does it count.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use domain::Boundary;
use domain::health::{Condition, Severity};
use domain::keyring::KeyId;
use projections::Lane;
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::openapi;
use super::refusal::Refusal;
use super::services::Services;

/// How long each check of readiness may take: shorter than a load balancer's patience.
const PATIENCE: Duration = Duration::from_secs(2);

/// The media type of Prometheus' text format.
pub(crate) const METRICS_TEXT: &str = "text/plain; version=0.0.4";

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
    let (status, body) = readiness(&exchange.services).await;
    Ok(Answer::json(status, &body))
}

/// Whether requests can be taken; the body says why not.
pub(crate) async fn readiness(services: &Services) -> (StatusCode, Value) {
    let (log, keyring, views) = tokio::join!(
        in_time(log(services)),
        in_time(keyring(services)),
        in_time(services.reads(Lane::Serving).health()),
    );
    let durability = match &services.settings.durability_unverified {
        None => json!({ "verified": true }),
        Some(why) => json!({ "verified": false, "reason": format!("durability not verified: {why}") }),
    };
    let conditions = services.health.all();
    let worst = conditions.iter().map(|condition| condition.severity).max();
    let answers = log.is_ok() && keyring.is_ok() && views.is_ok();
    let flat = |check: Result<Value, Value>| check.unwrap_or_else(|failed| failed);
    let (status, word) = match worst {
        _ if services.draining.is_cancelled() => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        _ if !answers => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        Some(Severity::Down) => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        Some(Severity::Degraded) => (StatusCode::OK, "degraded"),
        Some(Severity::Notice) | None => (StatusCode::OK, "ready"),
    };
    let body = json!({
        "status": word,
        "checks": {
            "log": flat(log), "keyring": flat(keyring), "projections": flat(views), "durability": durability,
        },
        "conditions": conditions.iter().map(shown).collect::<Vec<_>>(),
    });
    (status, body)
}

fn shown(condition: &Condition) -> Value {
    json!({ "name": condition.name, "severity": condition.severity.name(), "reason": condition.reason })
}

async fn log(services: &Services) -> Result<Value, Value> {
    match services.log.tail().await {
        Ok(tail) => Ok(json!({ "ok": true, "position": tail })),
        Err(error) => Err(failed(&error.to_string())),
    }
}

/// Reads a key that every installation has.
async fn keyring(services: &Services) -> Result<Value, Value> {
    let key = KeyId {
        boundary: Boundary::System,
        owner: None,
    };
    match services.keyring.load(&BTreeSet::from([key])).await {
        Ok(()) => Ok(json!({ "ok": true })),
        Err(error) => Err(failed(&error.to_string())),
    }
}

async fn in_time(check: impl Future<Output = Result<Value, Value>>) -> Result<Value, Value> {
    let late = |_| failed(&format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, check).await.map_err(late)?
}

fn failed(reason: &str) -> Value {
    json!({ "ok": false, "reason": reason })
}

async fn metrics(exchange: Exchange) -> Result<Answer, Refusal> {
    let text = exchange.services.metrics.render();
    Ok(Answer::text(StatusCode::OK, METRICS_TEXT, text))
}

async fn openapi_json(_: Exchange) -> Result<Answer, Refusal> {
    Ok(Answer::json_text(StatusCode::OK, openapi::text()))
}
