//! One entity: create, read, replace, change, delete, by id or endpoint key, flat or nested; by Kong's rules
//! (`deck-go-kong.md` §5).

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::ETAG;
use domain::gateway::Accepted;
use domain::group::children::sni_names;
use domain::group::decide::Outcome;
use domain::group::{Action, Condition, Entity, GroupError, Operation, Selector, Target};
use domain::schema::{Generator as _, Secrets};
use domain::{EntityId, Kind, Timestamp, Version};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body;
use super::entity_routes::Place;
use super::exchange::Exchange;
use super::preconditions;
use super::presentation::{self, listed_children};
use super::refusal::Refusal;

/// GET of one.
pub(crate) async fn read(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let entity = match found(&exchange, place, moment.at).await {
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => return Err(absent(&exchange, place)?),
        found => found?,
    };
    answer_read(&exchange, &entity, moment.at, moment.newest).await
}

/// What a GET says of an entity that isn't there: like Kong, of a certificate by its id which one.
fn absent(exchange: &Exchange, place: Place) -> Result<Refusal, Refusal> {
    let kind = place.kind;
    Ok(
        match (place.parent, listed_children(kind), selector(exchange, place)?) {
            (None, Some(_), Selector::Id(id)) => GroupError::NotFound {
                kind,
                selector: id.to_string(),
            }
            .into(),
            _ => Refusal::not_found(),
        },
    )
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
    let id = related_id(&child, field, parent).ok_or_else(Refusal::not_found)?;
    let group = exchange.group()?.id;
    let entity = exchange
        .reads()
        .entity(group, parent, &Selector::Id(id), None, moment.at)
        .await?
        .ok_or_else(Refusal::not_found)?;
    answer_read(&exchange, &entity, moment.at, moment.newest).await
}

/// POST.
pub(crate) async fn create(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, None)?;
    let body = exchange.object_of(place.kind)?;
    let accepted = operate(&exchange, vec![(Action::Create(body), target)], place).await?;
    let entity = written(&accepted, place.kind)?;
    let answer = answer_written(&exchange, StatusCode::CREATED, &entity, &accepted).await?;
    Ok(answer.located(&format!("{}/{}", exchange.path.trim_end_matches('/'), entity.id)))
}

/// PUT.
pub(crate) async fn put(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    let body = exchange.object_of(place.kind)?;
    replace(&exchange, Action::Put(body), target, place).await
}

/// PATCH.
pub(crate) async fn patch(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    let body = change_body(&exchange, place).await?;
    replace(&exchange, Action::Patch(body), target, place).await
}

/// PUT of what one refers to; what it doesn't refer to yet is made and then referred to, as one change.
pub(crate) async fn put_related(
    exchange: Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Answer, Refusal> {
    let body = exchange.object_of(parent)?;
    let newest = exchange.moment().await?.at;
    let referring = found(&exchange, child, newest).await?;
    let Some(id) = related_id(&referring, field, parent) else {
        let id = EntityId(exchange.context().uuid());
        let reference = Map::from_iter([(field.to_owned(), json!({ "id": id }))]);
        let steps = vec![
            (Action::Put(body), by_id(parent, id)),
            (Action::Patch(reference), by_id(referring.kind, referring.id)),
        ];
        let accepted = operate(&exchange, steps, child).await?;
        let entity = written(&accepted, parent)?;
        return answer_written(&exchange, StatusCode::OK, &entity, &accepted).await;
    };
    replace(&exchange, Action::Put(body), by_id(parent, id), child).await
}

/// PATCH of what one refers to.
pub(crate) async fn patch_related(
    exchange: Exchange,
    child: Place,
    field: &'static str,
    parent: Kind,
) -> Result<Answer, Refusal> {
    let body = exchange.object_of(parent)?;
    let newest = exchange.moment().await?.at;
    let referring = found(&exchange, child, newest).await?;
    let id = related_id(&referring, field, parent).ok_or_else(Refusal::not_found)?;
    replace(&exchange, Action::Patch(body), by_id(parent, id), child).await
}

/// DELETE.
pub(crate) async fn delete(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let target = target(&exchange, place, Some(selector(&exchange, place)?))?;
    let accepted = operate(&exchange, vec![(Action::Delete, target)], place).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).at_version(accepted.version))
}

/// A PATCH's body; a form that doesn't say which subschema is meant, such as a plugin's name, means the stored one.
async fn change_body(exchange: &Exchange, place: Place) -> Result<Map<String, Value>, Refusal> {
    let is_form = body::form(&exchange.headers, &exchange.body)?.is_some();
    if !is_form || place.kind.schema().subschema_key.is_none() {
        return exchange.object_of(place.kind);
    }
    let newest = exchange.moment().await?.at;
    let stored = found(exchange, place, newest).await?;
    exchange.object_over(place.kind, Some(&stored.map()))
}

async fn replace(
    exchange: &Exchange,
    action: Action,
    target: Target,
    place: Place,
) -> Result<Answer, Refusal> {
    let kind = target.kind;
    let accepted = operate(exchange, vec![(action, target)], place).await?;
    let entity = written(&accepted, kind)?;
    answer_written(exchange, StatusCode::OK, &entity, &accepted).await
}

/// One change of one or more steps; the request's condition is about the first.
pub(crate) async fn operate(
    exchange: &Exchange,
    steps: Vec<(Action, Target)>,
    place: Place,
) -> Result<Accepted<Outcome>, Refusal> {
    let condition = preconditions::condition(&exchange.headers)?;
    let creates = steps
        .iter()
        .any(|(action, _)| matches!(action, Action::Create(_)));
    if creates && !matches!(condition, Condition::Always | Condition::Absent) {
        return Err(Refusal::bad_request(
            "If-Match means nothing for a POST, which creates a new entity: leave it out or use PUT",
        ));
    }
    let patches = steps.iter().any(|(action, _)| matches!(action, Action::Patch(_)));
    let secrets = match place.skips_hashing() && exchange.query.flag("skip_hash")? {
        true => Secrets::Hashed,
        false => Secrets::Plain,
    };
    let mut conditions = Some(condition).into_iter();
    let operations = steps.into_iter().map(|(action, target)| Operation {
        action,
        target,
        condition: conditions.next().unwrap_or_default(),
        omitted_children: place.prefix.omitted_children,
        secrets,
    });
    let accepted = exchange.change_entities(operations.collect()).await;
    // Where nothing has to exist but the parent, it is the path that leads nowhere.
    let mut accepted = accepted.map_err(|refusal| match refusal.status {
        StatusCode::NOT_FOUND if !patches && refusal.code.is_some() => Refusal::not_found(),
        _ => refusal,
    })?;
    exchange.recall_bodies(&mut accepted).await?;
    Ok(accepted)
}

fn selector(exchange: &Exchange, place: Place) -> Result<Selector, Refusal> {
    exchange.named_in_path(place.kind, place.selector())
}

fn target(exchange: &Exchange, place: Place, selector: Option<Selector>) -> Result<Target, Refusal> {
    let parent = match place.parent {
        Some(kind) => Some((kind, exchange.named_in_path(kind, "entity")?)),
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

fn by_id(kind: Kind, id: EntityId) -> Target {
    Target::flat(kind, Some(Selector::Id(id)))
}

fn related_id(child: &Entity, field: &str, parent: Kind) -> Option<EntityId> {
    let keys = &child.kind.schema().foreign_keys;
    let reference = child
        .references
        .iter()
        .find(|reference| reference.kind == parent && keys[reference.foreign_key].field == field);
    reference.map(|reference| reference.id)
}

/// The entity a path names, as it was at a version.
pub(crate) async fn found(
    exchange: &Exchange,
    place: Place,
    at: Option<Version>,
) -> Result<Arc<Entity>, Refusal> {
    let group = exchange.group()?.id;
    let reads = exchange.reads();
    let selector = selector(exchange, place)?;
    let entity = match place.parent {
        None => reads.entity(group, place.kind, &selector, None, at).await?,
        Some(kind) => {
            let parent = (kind, parent(exchange, kind, at).await?.id);
            let child = reads
                .entity(group, place.kind, &selector, Some(parent), at)
                .await?;
            child.filter(|child| belongs_to(child, parent))
        }
    };
    entity.ok_or_else(Refusal::not_found)
}

/// The entity that a nested path is below.
pub(crate) async fn parent(
    exchange: &Exchange,
    kind: Kind,
    at: Option<Version>,
) -> Result<Arc<Entity>, Refusal> {
    let named = exchange.named_in_path(kind, "entity")?;
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let parent = reads.entity(group, kind, &named, None, at).await?;
    parent.ok_or_else(Refusal::not_found)
}

/// The entity that a change wrote.
pub(crate) fn written(accepted: &Accepted<Outcome>, kind: Kind) -> Result<Arc<Entity>, Refusal> {
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
        let reads = exchange.reads();
        reads.caught_up_to(accepted.position).await?;
    }
    let now = exchange.services.clock.now();
    let body = shown_at(exchange, entity, Some(accepted.version), Some(now)).await?;
    Ok(Answer::json_text(status, body)
        .tagged(entity.touched)
        .at_version(accepted.version))
}

/// An entity's JSON text as answers carry it: with the names of the children that its body lists and, unless it is one of
/// the past, what is left of its life.
pub(crate) async fn shown(
    exchange: &Exchange,
    entity: &Entity,
    at: Option<Version>,
) -> Result<String, Refusal> {
    let now = at.is_none().then(|| exchange.services.clock.now());
    shown_at(exchange, entity, at, now).await
}

/// The same, ready to stand in a larger body.
pub(crate) async fn raw(
    exchange: &Exchange,
    entity: &Entity,
    at: Option<Version>,
) -> Result<Box<RawValue>, Refusal> {
    let text = shown(exchange, entity, at).await?;
    Ok(RawValue::from_string(text).expect("an entity's body is JSON"))
}

async fn shown_at(
    exchange: &Exchange,
    entity: &Entity,
    at: Option<Version>,
    now: Option<Timestamp>,
) -> Result<String, Refusal> {
    let with_secrets = exchange.caller()?.reads_secrets();
    let listed = listed_children(entity.kind);
    let left = now.and_then(|now| presentation::time_left(entity, now));
    if listed.is_none() && left.is_none() {
        return Ok(presentation::text(entity, with_secrets));
    }
    let mut body = presentation::body(entity, with_secrets);
    if let Some((field, child)) = listed {
        let (group, parent) = (exchange.group()?.id, (entity.kind, entity.id));
        let children = exchange.reads().children(group, child, parent, at).await?;
        let names = sni_names(children.iter().map(AsRef::as_ref));
        body.insert(field.to_owned(), Value::from(names));
    }
    if let Some(left) = left {
        body.insert("ttl".to_owned(), Value::from(left));
    }
    Ok(Value::Object(body).to_string())
}
