//! One entity: create, read, replace, change, delete, by id or endpoint key, flat or nested; by Kong's rules
//! (`deck-go-kong.md` §5).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::ETAG;
use domain::gateway::Accepted;
use domain::group::children::sni_names;
use domain::group::decide::Outcome;
use domain::group::{Action, Condition, Entity, GroupCommand, Operation, Selector, Target};
use domain::{EntityId, Kind, Version};
use serde_json::Value;

use super::answer::Answer;
use super::entity_routes::Place;
use super::exchange::Exchange;
use super::preconditions;
use super::presentation::{self, listed_children};
use super::refusal::Refusal;

/// GET of one.
pub(crate) async fn read(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let entity = found(&exchange, place, moment.at).await?;
    answer_read(&exchange, &entity, moment.at, moment.newest).await
}

/// GET of what one refers to.
pub(crate) async fn read_related(
    exchange: Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let child = found(&exchange, child, moment.at).await?;
    let id = related_id(&child, field, parent)?;
    let group = exchange.group()?.id;
    let entity = exchange
        .services
        .reads
        .entity(group, parent, &Selector::Id(id), None, moment.at)
        .await?
        .ok_or_else(Refusal::not_found)?;
    answer_read(&exchange, &entity, moment.at, moment.newest).await
}

/// POST.
pub(crate) async fn create(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, None)?;
    let accepted = operate(&exchange, Action::Create(exchange.object()?), target, place).await?;
    let entity = written(&accepted, place.kind)?;
    let answer = answer_written(&exchange, StatusCode::CREATED, &entity, &accepted).await?;
    Ok(answer.located(&format!("{}/{}", exchange.path.trim_end_matches('/'), entity.id)))
}

/// PUT.
pub(crate) async fn put(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    replace(&exchange, Action::Put(exchange.object()?), target, place).await
}

/// PATCH.
pub(crate) async fn patch(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    replace(&exchange, Action::Patch(exchange.object()?), target, place).await
}

/// PUT of what one refers to.
pub(crate) async fn put_related(
    exchange: Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Answer, Refusal> {
    let target = related(&exchange, child, field, parent).await?;
    replace(&exchange, Action::Put(exchange.object()?), target, child).await
}

/// PATCH of what one refers to.
pub(crate) async fn patch_related(
    exchange: Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Answer, Refusal> {
    let target = related(&exchange, child, field, parent).await?;
    replace(&exchange, Action::Patch(exchange.object()?), target, child).await
}

/// DELETE.
pub(crate) async fn delete(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    let accepted = operate(&exchange, Action::Delete, target, place).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).at_version(accepted.version))
}

async fn replace(
    exchange: &Exchange,
    action: Action,
    target: Target,
    place: Place,
) -> Result<Answer, Refusal> {
    let kind = target.kind;
    let accepted = operate(exchange, action, target, place).await?;
    let entity = written(&accepted, kind)?;
    answer_written(exchange, StatusCode::OK, &entity, &accepted).await
}

async fn operate(
    exchange: &Exchange,
    action: Action,
    target: Target,
    place: Place,
) -> Result<Accepted<Outcome>, Refusal> {
    let condition = preconditions::condition(&exchange.headers)?;
    if matches!(action, Action::Create(_)) && !matches!(condition, Condition::Always | Condition::Absent) {
        return Err(Refusal::bad_request(
            "If-Match means nothing for a POST, which creates a new entity: leave it out or use PUT",
        ));
    }
    let operation = Operation {
        action,
        target,
        condition,
        omitted_children: place.omitted_children,
    };
    let command = GroupCommand::Operate {
        operations: vec![operation],
        expected_version: None,
    };
    let mut accepted = exchange.change_group(command).await?;
    exchange.recall_bodies(&mut accepted).await?;
    Ok(accepted)
}

fn selector(exchange: &Exchange, place: Place) -> Result<Selector, Refusal> {
    Ok(Selector::parse(exchange.parameter(place.selector())?))
}

fn target(exchange: &Exchange, place: Place, selector: Option<Selector>) -> Result<Target, Refusal> {
    let parent = match place.parent {
        Some(kind) => Some((kind, Selector::parse(exchange.parameter("entity")?))),
        None => None,
    };
    Ok(Target {
        kind: place.kind,
        selector,
        parent,
    })
}

fn belongs_to(child: &Entity, parent: (Kind, EntityId)) -> bool {
    let mut references = child.references.iter();
    references.any(|reference| (reference.kind, reference.id) == parent)
}

async fn related(
    exchange: &Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Target, Refusal> {
    let newest = exchange.moment().await?.at;
    let child = found(exchange, child, newest).await?;
    let id = related_id(&child, field, parent)?;
    Ok(Target {
        kind: parent,
        selector: Some(Selector::Id(id)),
        parent: None,
    })
}

fn related_id(child: &Entity, field: &str, parent: Kind) -> Result<EntityId, Refusal> {
    let keys = &child.kind.schema().foreign_keys;
    let reference = child
        .references
        .iter()
        .find(|reference| reference.kind == parent && keys[reference.foreign_key].field == field);
    reference
        .map(|reference| reference.id)
        .ok_or_else(Refusal::not_found)
}

/// The entity a path names, as it was at a version.
async fn found(exchange: &Exchange, place: Place, at: Option<Version>) -> Result<Arc<Entity>, Refusal> {
    let group = exchange.group()?.id;
    let reads = &exchange.services.reads;
    let selector = selector(exchange, place)?;
    let entity = match place.parent {
        None => reads.entity(group, place.kind, &selector, None, at).await?,
        Some(kind) => {
            let named = Selector::parse(exchange.parameter("entity")?);
            let parent = reads
                .entity(group, kind, &named, None, at)
                .await?
                .ok_or_else(Refusal::not_found)?;
            let parent = (kind, parent.id);
            let child = reads
                .entity(group, place.kind, &selector, Some(parent), at)
                .await?;
            child.filter(|child| belongs_to(child, parent))
        }
    };
    entity.ok_or_else(Refusal::not_found)
}

/// The entity that a change wrote.
fn written(accepted: &Accepted<Outcome>, kind: Kind) -> Result<Arc<Entity>, Refusal> {
    let results = accepted.outcome.results.iter();
    let mut written = results
        .filter(|result| result.kind == kind)
        .filter_map(|result| result.entity.clone());
    written
        .next()
        .ok_or_else(|| Refusal::unavailable("the change is made; read the entity to see it"))
}

async fn answer_read(
    exchange: &Exchange,
    entity: &Entity,
    at: Option<Version>,
    newest: Version,
) -> Result<Answer, Refusal> {
    if preconditions::is_current(&exchange.headers, entity.touched) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED)
            .tagged(entity.touched)
            .at_version(newest));
    }
    let body = shown(exchange, entity, at).await?;
    Ok(Answer::json_text(StatusCode::OK, body)
        .with(ETAG, preconditions::entity_tag(entity.touched))
        .at_version(newest))
}

async fn answer_written(
    exchange: &Exchange,
    status: StatusCode,
    entity: &Entity,
    accepted: &Accepted<Outcome>,
) -> Result<Answer, Refusal> {
    if listed_children(entity.kind).is_some() {
        let reads = &exchange.services.reads;
        reads.caught_up_to(accepted.position).await?;
    }
    let body = shown(exchange, entity, Some(accepted.version)).await?;
    Ok(Answer::json_text(status, body)
        .tagged(entity.touched)
        .at_version(accepted.version))
}

/// An entity's JSON text as answers carry it, with the names of the children that its body lists.
pub(crate) async fn shown(
    exchange: &Exchange,
    entity: &Entity,
    at: Option<Version>,
) -> Result<String, Refusal> {
    let with_secrets = exchange.caller()?.reads_secrets();
    let Some((field, child)) = listed_children(entity.kind) else {
        return Ok(presentation::text(entity, with_secrets));
    };
    let (group, parent) = (exchange.group()?.id, (entity.kind, entity.id));
    let children = exchange.services.reads.children(group, child, parent, at).await?;
    let mut body = presentation::body(entity, with_secrets);
    let names = sni_names(children.iter().map(AsRef::as_ref));
    body.insert(field.to_owned(), Value::from(names));
    Ok(Value::Object(body).to_string())
}
