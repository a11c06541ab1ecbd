//! A group's whole configuration as a decK file: `/dump`, and `/versions/{n}/config` for any version.

use std::sync::Arc;

use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use domain::Version;
use domain::declarative::{DumpOptions, dump};
use domain::group::Entity;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Parameter, Permission, header, query};
use super::exchange::Exchange;
use super::groups;
use super::preconditions;
use super::presentation;
use super::refusal::Refusal;
use super::versions::version_parameter;

const READS: [Parameter; 3] = [
    query("format", "deck: decK's declarative format, the only one"),
    query("tags", "a,b: only entities with all of these tags"),
    header("Accept", "application/json for JSON; YAML otherwise"),
];

/// The endpoints of whole configurations, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let group = format!("{prefix}/{{group}}");
    let document = json!({ "type": "object", "title": "a decK file" });
    let at = query(
        "at",
        "a version or an RFC 3339 time: the configuration as it was then",
    );
    vec![
        Endpoint::new(
            Method::GET,
            format!("{group}/versions/{{version}}/config"),
            Permission::ReadHistory,
            "Write a group's configuration at a version (a number or `latest`) as a decK file",
            at_version,
        )
        .reads(&READS)
        .in_media("application/yaml")
        .answers(200, document.clone()),
        Endpoint::new(
            Method::GET,
            format!("{group}/dump"),
            Permission::ReadHistory,
            "Write a group's configuration as a decK file",
            now,
        )
        .reads(&READS)
        .reads(&[at])
        .in_media("application/yaml")
        .answers(200, document),
    ]
}

async fn at_version(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let version = version_parameter(&exchange, newest)?;
    document(&exchange, version, newest).await
}

async fn now(exchange: Exchange) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    document(&exchange, moment.at.unwrap_or(moment.newest), moment.newest).await
}

async fn document(exchange: &Exchange, version: Version, newest: Version) -> Result<Answer, Refusal> {
    if !matches!(exchange.query.get("format"), None | Some("deck")) {
        return Err(Refusal::invalid("format", "enum", "must be deck"));
    }
    if preconditions::is_current(&exchange.headers, version) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(version)
            .at_version(newest));
    }
    let tags = exchange.query.get("tags").unwrap_or_default().split(',');
    let options = DumpOptions {
        select_tags: tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        group: None,
    };
    let entities = entities_at(exchange, version).await?;
    let document = dump(entities.iter(), &options);
    let answer = if wants_json(exchange)? {
        Answer::ok(&document)
    } else {
        let text = serde_saphyr::to_string(&document)
            .map_err(|error| Refusal::unavailable(format!("the dump can't be written as YAML: {error}")))?;
        Answer::text(StatusCode::OK, "application/yaml", text)
    };
    Ok(answer.tagged(version).at_version(newest))
}

async fn entities_at(exchange: &Exchange, version: Version) -> Result<Vec<Arc<Entity>>, Refusal> {
    let group = exchange.group()?.id;
    let entities = exchange.services.reads.configuration(group, version).await?;
    if exchange.caller()?.reads_secrets() {
        return Ok(entities);
    }
    let blotted = |entity: Arc<Entity>| presentation::without_secrets(&entity).map_or(entity, Arc::new);
    Ok(entities.into_iter().map(blotted).collect())
}

fn wants_json(exchange: &Exchange) -> Result<bool, Refusal> {
    let accepted = exchange.header(ACCEPT.as_str())?.unwrap_or_default();
    Ok(accepted.contains("application/json") && !accepted.contains("yaml"))
}
