//! A group's whole configuration as a decK file, as Kong's own declarative file, or as it is stored: `/dump`, and
//! `/versions/{n}/config` for any version.

use std::sync::Arc;

use axum::http::header::ACCEPT;
use axum::http::{Method, StatusCode};
use domain::declarative::{Canonical, DumpOptions, dump, kong};
use domain::group::Entity;
use domain::{SnapshotDigest, Version};
use serde::Serialize;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Parameter, Permission, header, query};
use super::exchange::Exchange;
use super::groups;
use super::preconditions;
use super::presentation;
use super::query::Query;
use super::refusal::Refusal;
use super::versions::version_parameter;

const READS: [Parameter; 3] = [
    query(
        "format",
        "deck: decK's declarative format, if not said; kong: what a Kong without a database loads; json: bodies as stored",
    ),
    query("tags", "a,b: only entities with all of these tags; not for kong"),
    header(
        "Accept",
        "application/json for JSON; YAML otherwise, except for json",
    ),
];

/// The endpoints of whole configurations, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> Vec<Endpoint> {
    let group = format!("{prefix}/{{group}}");
    let document = json!({ "type": "object", "title": "a declarative file" });
    let at = query(
        "at",
        "a version or an RFC 3339 time: the configuration as it was then",
    );
    vec![
        Endpoint::new(
            Method::GET,
            format!("{group}/versions/{{version}}/config"),
            Permission::ReadHistory,
            "Write a group's configuration at a version (a number or `latest`) as a file",
            at_version,
        )
        .reads(&READS)
        .computes()
        .in_media("application/yaml")
        .answers(200, document.clone()),
        Endpoint::new(
            Method::GET,
            format!("{group}/dump"),
            Permission::ReadHistory,
            "Write a group's configuration as a file",
            now,
        )
        .reads(&READS)
        .computes()
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

/// What a configuration is written as.
#[derive(Clone, Copy, PartialEq)]
enum Format {
    Deck,
    Kong,
    Json,
}

impl Format {
    fn of(query: &Query) -> Result<Self, Refusal> {
        match query.get("format") {
            None | Some("deck") => Ok(Self::Deck),
            Some("kong") => Ok(Self::Kong),
            Some("json") => Ok(Self::Json),
            Some(_) => Err(Refusal::invalid("format", "enum", "must be deck, kong or json")),
        }
    }
}

async fn document(exchange: &Exchange, version: Version, newest: Version) -> Result<Answer, Refusal> {
    let format = Format::of(&exchange.query)?;
    let tags = exchange.query.get("tags").unwrap_or_default().split(',');
    let tags: Vec<_> = tags.filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
    if format == Format::Kong && !tags.is_empty() {
        let why = "can't be given with format=kong: Kong loads only what all references are in";
        return Err(Refusal::invalid("tags", "mutually_exclusive", why));
    }
    if preconditions::is_current(&exchange.headers, version) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(version)
            .at_version(newest));
    }
    let group = exchange.group()?.id;
    let entities = exchange.reads().configuration(group, version).await?;
    let readable = readable(exchange, &entities)?;
    let answer = match format {
        Format::Deck => {
            let options = DumpOptions {
                select_tags: tags,
                group: None,
            };
            written(exchange, &dump(readable.iter(), &options))?
        }
        Format::Kong => {
            let bodies = readable.iter().map(|entity| (entity.kind, &*entity.body));
            written(exchange, &kong(bodies))?
        }
        Format::Json => {
            let change = exchange.reads().change_from(group, version, 0, 1).await?;
            let at = change.map(|detail| detail.change.at);
            let selected = readable.iter().filter(|entity| entity.has_tags(&tags));
            let digest = SnapshotDigest::of(entities.iter());
            let digest = exchange.caller()?.reads_secrets().then_some(digest);
            Answer::ok(&Canonical::new(version, at, digest).with(selected))
        }
    };
    Ok(answer.tagged(version).at_version(newest))
}

/// YAML, or JSON where the reader asks for it.
fn written(exchange: &Exchange, document: &impl Serialize) -> Result<Answer, Refusal> {
    if wants_json(exchange)? {
        return Ok(Answer::ok(document));
    }
    let text = serde_saphyr::to_string(document).map_err(|error| {
        Refusal::unavailable(format!("the configuration can't be written as YAML: {error}"))
    })?;
    Ok(Answer::text(StatusCode::OK, "application/yaml", text))
}

/// The entities as the caller may see them.
fn readable(exchange: &Exchange, entities: &[Arc<Entity>]) -> Result<Vec<Arc<Entity>>, Refusal> {
    if exchange.caller()?.reads_secrets() {
        return Ok(entities.to_vec());
    }
    let blotted = |entity: &Arc<Entity>| {
        presentation::without_secrets(entity).map_or_else(|| Arc::clone(entity), Arc::new)
    };
    Ok(entities.iter().map(blotted).collect())
}

fn wants_json(exchange: &Exchange) -> Result<bool, Refusal> {
    let accepted = exchange.header(ACCEPT.as_str())?.unwrap_or_default();
    Ok(accepted.contains("application/json") && !accepted.contains("yaml"))
}
