//! What a running server says of itself.

use std::path::Path;
use std::time::Duration;

use domain::health::Severity;
use reqwest::Url;
use serde_json::Value;

use super::finding::Report;
use crate::cli::client::http_client;
use crate::cli::output::cell;
use crate::clock::machine::{Machine, TimeSource};

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn look(url: &Url, ca: Option<&Path>, report: &mut Report) {
    let answer = match ask(url, ca).await {
        Ok(answer) => answer,
        Err(error) => {
            let detail = format!("it doesn't answer at {url}: {error}; name its address with --url");
            return report.fail("readiness", &detail);
        }
    };
    let checks = &answer["checks"];
    for (name, check) in [("log", &checks["log"]), ("views", &checks["projections"])] {
        if check["ok"] == Value::Bool(true) {
            report.ok(name, &format!("at position {}", cell(&check["position"])));
        } else {
            report.fail(name, &cell(&check["reason"]));
        }
    }
    look_at_projector(&checks["projections"], report);
    let durability = &checks["durability"];
    if durability["verified"] == Value::Bool(true) {
        report.ok("durability", "what is acknowledged is on disk");
    } else {
        report.warn("durability", &cell(&durability["reason"]));
    }
    let conditions = answer["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    if !conditions.iter().any(|condition| condition["name"] == "clock") {
        report.ok("clock", &Machine.time().rfc3339());
    }
    for condition in conditions {
        look_at_condition(condition, report);
    }
}

fn look_at_condition(condition: &Value, report: &mut Report) {
    let (name, reason) = (cell(&condition["name"]), cell(&condition["reason"]));
    if condition["severity"] == Severity::Notice.name() {
        report.warn(&name, &reason);
    } else {
        report.fail(&name, &reason);
    }
}

fn look_at_projector(views: &Value, report: &mut Report) {
    let holder = &views["projected_by"];
    match views["projected_here"].as_bool() {
        Some(true) => report.ok("projector", "projects the views: yes"),
        Some(false) if holder.is_string() => report.ok(
            "projector",
            &format!("projects the views: no (held by {})", cell(holder)),
        ),
        Some(false) => report.warn(
            "projector",
            "projects the views: no, and nobody else does: another process takes over within seconds, look again",
        ),
        // The views didn't answer: that is told already.
        None => {}
    }
}

async fn ask(url: &Url, ca: Option<&Path>) -> anyhow::Result<Value> {
    let address = format!("{}/readyz", url.as_str().trim_end_matches('/'));
    let client = http_client(ca)?.timeout(PATIENCE).build()?;
    Ok(client.get(address).send().await?.json().await?)
}
