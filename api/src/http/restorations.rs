//! An entity as it was: `POST /core-entities/{collection}/{entity}/restore`. One that was deleted comes back with what went with
//! it; one that exists becomes what it was at a version.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use domain::group::{Entity, GroupCommand, Selector};
use domain::schema::OnDelete;
use domain::{EntityId, GroupId, Kind, Version};
use projections::EntityChange;
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Parameter, Permission, query};
use super::entity_routes;
use super::exchange::Exchange;
use super::fields::Fields;
use super::groups;
use super::moment;
use super::preconditions;
use super::refusal::Refusal;
use super::undoing::DRY_RUN;
use super::writes::WRITE_HEADERS;

const CASCADE: Parameter = query(
    "cascade",
    "false: without what belonged to it and was deleted with it; true if not said",
);
/// Among how many changes of an entity its last deletion is looked for.
const CHANGES: usize = 100;

/// The endpoints of every kind, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let of_prefix = |prefix| entity_routes::served_kinds().map(move |kind| under(prefix, kind));
    groups::PREFIXES.into_iter().flat_map(of_prefix).collect()
}

fn under(prefix: &str, kind: Kind) -> Endpoint {
    let collection = kind.schema().collection;
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/core-entities/{collection}/{{entity}}/restore"),
        Permission::WriteGroup,
        format!("Make one of the {kind} again what it was, as a new change; a name means its last holder"),
        move |exchange| restore(exchange, kind),
    )
    .reads(&[DRY_RUN, CASCADE])
    .computes()
    .reads(&WRITE_HEADERS)
    .takes(json!({
        "type": "object",
        "properties": { "version": { "type": "integer", "minimum": 1 } },
        "additionalProperties": false,
    }))
    .answers(200, json!({ "$ref": "#/components/schemas/ChangeReport" }))
}

async fn restore(exchange: Exchange, kind: Kind) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let version = fields.optional::<Version>("version");
    fields.finish()?;
    let takes_along = exchange.query.get("cascade").is_none() || exchange.query.flag("cascade")?;
    let newest = exchange.newest_version().await?;
    let version = version
        .map(|version| moment::existing(version, newest))
        .transpose()?;
    let group = exchange.group()?.id;
    let reads = exchange.reads();
    let selector = exchange.named_in_path(kind, "entity")?;
    let id = reads.last_holder(group, kind, &selector).await?;
    let id = id.ok_or_else(|| never_existed(kind, &selector))?;
    let history = reads.entity_history(group, kind, id, None, CHANGES).await?;
    let last = history.first().ok_or_else(|| never_existed(kind, &selector))?;
    let (entity, since) = match version {
        Some(version) => (as_it_was(&exchange, group, kind, id, version).await?, version),
        None => last_deleted(&history, kind, id)?,
    };
    let belongings = match last.after.is_none() && takes_along {
        true => belongings(&exchange, group, (kind, id), last.change.version).await?,
        false => Vec::new(),
    };
    // An id only: what people are called is no message.
    let reason = format!("restore of {kind} {id} as of version {since}");
    let command = GroupCommand::RestoreEntity {
        entity,
        belongings,
        replace: version.is_some(),
        expected_version: preconditions::expected_version(&exchange.headers)?,
    };
    exchange.undo(command, since, Some(reason)).await
}

fn never_existed(kind: Kind, selector: &Selector) -> Refusal {
    let message = format!("the history has none of the {kind} called '{selector}': name it by its id");
    Refusal::new(StatusCode::NOT_FOUND, message)
}

async fn as_it_was(
    exchange: &Exchange,
    group: GroupId,
    kind: Kind,
    id: EntityId,
    version: Version,
) -> Result<Arc<Entity>, Refusal> {
    let reads = exchange.reads();
    let then = reads
        .entity(group, kind, &Selector::Id(id), None, Some(version))
        .await?;
    then.ok_or_else(|| {
        let message = format!("{kind} {id} didn't exist at version {version}: name one at which it did");
        Refusal::new(StatusCode::NOT_FOUND, message)
    })
}

/// The entity as its last deletion found it, and the version before.
fn last_deleted(
    history: &[EntityChange],
    kind: Kind,
    id: EntityId,
) -> Result<(Arc<Entity>, Version), Refusal> {
    let mut deletions = history.iter().filter(|change| change.after.is_none());
    let deletion = deletions.find_map(|change| Some((change.before.clone()?, change.change.version - 1)));
    deletion.ok_or_else(|| {
        let message = format!(
            "{kind} {id} wasn't deleted: send {{\"version\": n}} to make it what it was at a version"
        );
        Refusal::new(StatusCode::CONFLICT, message)
    })
}

/// What belonged to an entity and was deleted by the same change.
async fn belongings(
    exchange: &Exchange,
    group: GroupId,
    owner: (Kind, EntityId),
    deletion: Version,
) -> Result<Vec<Arc<Entity>>, Refusal> {
    let detail = exchange.reads().change(group, deletion).await?;
    let events = detail.into_iter().flat_map(|detail| detail.events);
    let deleted = events.filter(|event| event.after.is_none());
    let mut others: Vec<_> = deleted.filter_map(|event| event.before).collect();
    let mut owners = BTreeSet::from([owner]);
    let mut found = Vec::new();
    loop {
        let belongs = |entity: &Arc<Entity>| {
            let keys = &entity.kind.schema().foreign_keys;
            let mut to = entity.references.iter();
            let goes_along =
                |to: &domain::group::entity::Reference| keys[to.foreign_key].on_delete == OnDelete::Cascade;
            to.any(|to| goes_along(to) && owners.contains(&(to.kind, to.id)))
        };
        let (belonging, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(belongs);
        if belonging.is_empty() {
            return Ok(found);
        }
        owners.extend(belonging.iter().map(|entity| (entity.kind, entity.id)));
        found.extend(belonging);
        others = rest;
    }
}
