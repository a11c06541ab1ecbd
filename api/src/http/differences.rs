//! What differs: `GET /diff` between two versions of a group, a version and what a runtime instance runs, or two groups;
//! `POST /diff` between a version and a decK file.

use std::future::ready;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use dataplane_sync::nodes::ForgetError;
use domain::declarative::parse;
use domain::gateway::CommandError;
use domain::group::{EntityChange, Group, GroupCommand, decide, difference, hashing, matching};
use domain::organization::GroupRecord;
use domain::sandbox::with_judgements;
use domain::{NodeId, Version};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::apply;
use super::blind_comparison::{blinded, telling};
use super::endpoint::{Endpoint, Parameter, Permission, query};
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::groups;
use super::refusal::Refusal;
use super::streamed::StreamedObject;

const FROM: Parameter = query(
    "from",
    "a version or an RFC 3339 time to compare from; 0 is the empty group",
);

/// The endpoints of differences, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().flat_map(under).collect()
}

fn under(prefix: &str) -> [Endpoint; 2] {
    let path = format!("{prefix}/{{group}}/diff");
    let compared = [
        FROM,
        query(
            "to",
            "a version or an RFC 3339 time to compare with; the newest if not said",
        ),
        query(
            "with",
            "another runtime group, whose version `to` is compared with; `from` is the newest if not said",
        ),
        query("node", "a runtime instance, to compare from what it runs"),
    ];
    let answer = json!({ "$ref": "#/components/schemas/Difference" });
    let against_file = Endpoint::new(
        Method::POST,
        &path,
        Permission::ReadHistory,
        "Compare a version of a group with a decK file: what applying and pruning would change there",
        with_file,
    );
    [
        Endpoint::new(
            Method::GET,
            &path,
            Permission::ReadHistory,
            "Compare two versions of a group, two groups, or what a runtime instance runs with a version",
            compare,
        )
        .reads(&compared)
        .computes()
        .answers(200, answer.clone()),
        against_file
            .reads(&[FROM])
            .takes_media(
                &apply::MEDIA_TYPES,
                json!({ "type": "object", "title": "a decK file" }),
            )
            .takes_large_bodies()
            .answers(200, answer),
    ]
}

/// A difference as it is answered. Secrets are shown to nobody, and named where they changed; compared with what somebody brings only
/// for those who may read them.
#[derive(Serialize)]
struct Difference {
    from: Version,
    /// None for a file.
    to: Option<Version>,
    #[serde(flatten)]
    compared_with: Option<Compared>,
    /// Whether what differs in nothing but a secret is among the changes.
    secrets_compared: bool,
    #[serde(skip)]
    changes: EntityChanges,
}

/// What isn't another version of the same group.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Compared {
    With(Value),
    Node(Value),
}

impl Difference {
    fn new(
        from: Version,
        to: Option<Version>,
        compared_with: Option<Compared>,
        secrets_compared: bool,
        changes: &[EntityChange],
    ) -> Self {
        Self {
            from,
            to,
            compared_with,
            secrets_compared,
            changes: EntityChanges::decided(changes),
        }
    }

    fn answer(self) -> Answer {
        StreamedObject::beginning_with(&self)
            .with_list("changes", self.changes.shown(false))
            .ok()
    }
}

async fn compare(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let difference = match (exchange.query.get("with"), exchange.query.get("node")) {
        (None, None) => between_versions(&exchange, newest).await?,
        (Some(other), None) => between_groups(&exchange, newest, other).await?,
        (None, Some(_)) => from_node(&exchange, newest).await?,
        (Some(_), Some(_)) => {
            let why = "can't be given together with `with`: compare one after the other";
            return Err(Refusal::invalid("node", "mutually_exclusive", why));
        }
    };
    Ok(difference.answer().at_version(newest))
}

async fn between_versions(exchange: &Exchange, newest: Version) -> Result<Difference, Refusal> {
    let group = exchange.group()?.id;
    let from = exchange.version_in("from", group, newest).await?;
    let from = from.ok_or_else(|| {
        Refusal::invalid(
            "from",
            "required",
            "is required: a version or a time; 0 is the empty group",
        )
    })?;
    let to = exchange.version_in("to", group, newest).await?.unwrap_or(newest);
    let changes = exchange.reads().difference(group, from, to).await?;
    Ok(Difference::new(from, Some(to), None, true, &changes))
}

/// From what an instance runs.
async fn from_node(exchange: &Exchange, newest: Version) -> Result<Difference, Refusal> {
    let group = exchange.group()?.id;
    let node = exchange.query.get("node").unwrap_or_default();
    let node = Uuid::try_parse(node).map_err(|_| Refusal::invalid("node", "is_uuid", "must be a UUID"))?;
    if exchange.query.get("from").is_some() {
        let why = "can't be given together with `node`: what the instance runs is compared from";
        return Err(Refusal::invalid("from", "mutually_exclusive", why));
    }
    let found = exchange.services.nodes.get(group, NodeId(node)).await;
    let found = found.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let found = found.ok_or_else(|| {
        Refusal::new(
            StatusCode::NOT_FOUND,
            ForgetError::NoSuchNode(NodeId(node)).to_string(),
        )
    })?;
    let record = &found.record;
    let Some(applied) = record.applied.filter(|applied| applied.version <= newest) else {
        let why = record.last_error.clone().map_or_else(
            || "it has not said yet that it runs a configuration of this group".to_owned(),
            |error| format!("it runs nothing known; the last thing heard of it: {error}"),
        );
        let hostname = &record.hostname;
        let message = format!("there is nothing to compare with on the runtime instance {hostname}: {why}");
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    };
    let to = exchange.version_in("to", group, newest).await?.unwrap_or(newest);
    let changes = exchange.reads().difference(group, applied.version, to).await?;
    let shown = json!({
        "id": record.id, "hostname": record.hostname, "version": record.version, "sync_status": found.status,
    });
    Ok(Difference::new(
        applied.version,
        Some(to),
        Some(Compared::Node(shown)),
        true,
        &changes,
    ))
}

/// To another group's configuration, as if its entities stood in this one.
async fn between_groups(exchange: &Exchange, newest: Version, other: &str) -> Result<Difference, Refusal> {
    let group = exchange.group()?.id;
    let from = exchange
        .version_in("from", group, newest)
        .await?
        .unwrap_or(newest);
    let other = other_group(exchange, other).await?;
    let reads = exchange.reads();
    let theirs = reads.group_version(other.id).await?;
    let to = exchange
        .version_in("to", other.id, theirs)
        .await?
        .unwrap_or(theirs);
    let here = reads.configuration(group, from).await?;
    let there = reads.configuration(other.id, to).await?;
    // Somebody who may write the other group could put guesses there.
    let with_secrets = exchange.caller()?.reads_secrets();
    let (here, there) = match with_secrets {
        true => (here, there),
        false => (blinded(&here), blinded(&there)),
    };
    let here = Group::of(from, here);
    let there = matching::as_if_here(&here, &there);
    let mut changes = difference(here.entities(), there.iter());
    if !with_secrets {
        changes = telling(changes);
    }
    let with = json!({ "id": other.id, "name": other.name });
    Ok(Difference::new(
        from,
        Some(to),
        Some(Compared::With(with)),
        with_secrets,
        &changes,
    ))
}

/// The other group, which the caller must be allowed to see as well.
async fn other_group(exchange: &Exchange, selector: &str) -> Result<Arc<GroupRecord>, Refusal> {
    let (caller, services) = (exchange.caller()?, &exchange.services);
    let (permission, now) = (Permission::ReadHistory, services.clock.now());
    let other = services
        .access
        .group(caller, permission, selector, exchange.reads(), now);
    other.await
}

async fn with_file(mut exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?.id;
    let from = exchange
        .version_in("from", group, newest)
        .await?
        .unwrap_or(newest);
    let document = apply::document(&mut exchange)?;
    let declaration =
        parse(document).map_err(|error| Refusal::invalid(&error.path, "invalid", error.reason))?;
    let entities = exchange.reads().configuration(group, from).await?;
    let with_secrets = exchange.caller()?.reads_secrets();
    let entities = match with_secrets {
        true => entities,
        false => blinded(&entities),
    };
    let (context, declaration) = (exchange.context(), Arc::new(declaration));
    let state = Group::of(from, entities);
    let judged = with_judgements(exchange.services.commands.sandbox(), group, |judgements| {
        let mut context = context.clone().knowing(judgements);
        let command = GroupCommand::Declare {
            declaration: Arc::clone(&declaration),
            prune: true,
            expected_version: None,
        };
        let command = hashing::hash(command, &state, &mut context);
        ready(decide(&state, &command, &mut context).map_err(CommandError::from))
    });
    let mut changes = judged.await?.outcome.changes;
    if !with_secrets {
        changes = telling(changes);
    }
    Ok(Difference::new(from, None, None, with_secrets, &changes)
        .answer()
        .at_version(newest))
}
