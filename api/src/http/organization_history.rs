//! An organization's history: its groups, tokens and certificates, each before and after; instances that were admitted or
//! refused a configuration.

use axum::http::{Method, StatusCode};
use domain::group::operations::changed_fields;
use domain::{Boundary, Version};
use projections::{EventDetail, Recorded};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::change_filters::FILTERS;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::field_changes::ChangedPaths;
use super::pages::{AFTER, PAGE};
use super::preconditions;
use super::presentation;
use super::refusal::Refusal;
use super::{groups, node_certificates, tokens, versions};

const PATH: &str = "/v2/organizations/me/versions";

/// The endpoints of an organization's history.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            PATH,
            Permission::ReadOrganization,
            "List the organization's changes, the newest first: groups, tokens, certificates, admissions and refusals of instances",
            list,
        )
        .reads(&PAGE)
        .reads(&AFTER)
        .reads(&FILTERS)
        .answers(200, json!({ "$ref": "#/components/schemas/ChangePage" })),
        Endpoint::new(
            Method::GET,
            format!("{PATH}/{{version}}"),
            Permission::ReadOrganization,
            "Read a change of the organization: who, when, why, and every record before and after it",
            read,
        )
        .answers(200, json!({ "$ref": "#/components/schemas/OrganizationChange" })),
    ]
}

impl Exchange {
    /// The caller's organization's history, and its newest version, once the views hold everything that was durable when
    /// the request came.
    pub(crate) async fn organization_history(&self) -> Result<(Boundary, Version), Refusal> {
        let organization = self.caller()?.organization;
        let newest = self.reads().organization_version(organization).await?;
        Ok((Boundary::Organization(organization), newest))
    }
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let (boundary, newest) = exchange.organization_history().await?;
    let body = versions::page(&exchange, boundary, newest).await?;
    Ok(Answer::ok(&body).tagged(newest))
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let (_, newest) = exchange.organization_history().await?;
    let version = versions::version_parameter(&exchange, newest)?;
    if preconditions::is_current(&exchange.headers, version) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).tagged(version));
    }
    let organization = exchange.caller()?.organization;
    let reads = exchange.reads();
    let detail = reads.organization_change(organization, version).await?;
    let detail = detail.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            "versions begin with 1: before it there was no organization",
        )
    })?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let mut body = versions::shown(&detail.change, with_secrets);
    let changes = detail
        .events
        .iter()
        .map(|event| shown(&exchange, event, with_secrets));
    body["changes"] = changes.collect();
    Ok(Answer::ok(&body).tagged(version))
}

/// What an event did to the thing it is about.
fn shown(exchange: &Exchange, event: &EventDetail, with_secrets: bool) -> Value {
    let summary = &event.summary;
    let record =
        |recorded: Option<&Recorded>| recorded.map(|recorded| record(exchange, recorded, with_secrets));
    let before = record(event.earlier.as_ref());
    let after = record(summary.recorded.as_deref());
    let (changed, fields) = match (&before, &after) {
        (Some(before), Some(after)) => {
            let changed = changed_fields(before, after);
            let fields = ChangedPaths::below(&changed, before, after).shown(before, after);
            (changed, fields)
        }
        _ => Default::default(),
    };
    json!({
        "what": summary.what,
        "kind": summary.kind,
        "id": summary.id,
        "name": summary.name,
        "changed": changed,
        "fields": fields,
        "before": before,
        "after": after,
    })
}

/// A record as the endpoints of its own kind show it.
fn record(exchange: &Exchange, recorded: &Recorded, with_secrets: bool) -> Map<String, Value> {
    let shown = match recorded {
        Recorded::Group(group) => groups::as_recorded(group, exchange),
        Recorded::Token(token) => tokens::shown(token),
        Recorded::Certificate(certificate) => node_certificates::as_recorded(certificate),
        Recorded::Admission { group, credential } => json!({ "group": group, "credential": credential }),
        Recorded::Refusal {
            group,
            version,
            digest,
            reason,
            ..
        } => json!({
            "group": group,
            "version": version,
            "digest": presentation::digest(digest, with_secrets),
            "reason": presentation::said_of_a_configuration(reason, with_secrets),
        }),
    };
    match shown {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
