//! Who is in which consumer group, from both sides, as Kong's Admin API has it: `/consumer_groups/{g}/consumers` and
//! `/consumers/{c}/consumer_groups`; and a group together with its members (`deck-go-kong.md` §5.9).

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use domain::group::{Action, Entity, Selector, Target};
use domain::{EntityId, Kind, Version};
use projections::{EntityQuery, TagFilter};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body::KONG_MEDIA_TYPES;
use super::endpoint::{Endpoint, Permission, query};
use super::entities;
use super::entity_routes::{AT, Place};
use super::exchange::Exchange;
use super::kong_pages::{self, PAGING, PageBody};
use super::prefixes::{PREFIXES, Prefix};
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

/// The kind whose member GET is answered here.
const GROUPS: &str = "consumer_groups";
const CONSUMERS: &str = "consumers";
const MEMBERSHIPS: &str = "consumer_group_consumers";

/// Memberships seen from one of their ends.
#[derive(Clone, Copy, Debug)]
struct Side {
    near: Kind,
    far: Kind,
    membership: Kind,
    /// The near entity's name in an answer, and the membership's field.
    near_field: &'static str,
    far_field: &'static str,
    /// What a body that adds a membership calls the far entity.
    named: &'static str,
    prefix: Prefix,
}

impl Side {
    /// The same memberships seen from the other end.
    const fn turned(self) -> Self {
        Self {
            near: self.far,
            far: self.near,
            near_field: self.far_field,
            far_field: self.near_field,
            ..self
        }
    }
}

/// The endpoints, under every prefix; none as long as the catalogue has no consumer groups.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let all = PREFIXES.into_iter().flat_map(|prefix| {
        let [Some(groups), Some(consumers), Some(membership)] =
            [GROUPS, CONSUMERS, MEMBERSHIPS].map(Kind::named)
        else {
            return Vec::new();
        };
        let of_group = Side {
            near: groups,
            far: consumers,
            membership,
            near_field: "consumer_group",
            far_field: "consumer",
            named: "consumer",
            prefix,
        };
        let of_consumer = Side {
            named: "group",
            ..of_group.turned()
        };
        let mut endpoints = vec![whole(of_group)];
        endpoints.extend(memberships(of_group));
        endpoints.extend(memberships(of_consumer));
        endpoints
    });
    all.collect()
}

/// Whether an endpoint made from the schemas gives way to the one made here.
pub(crate) fn replaces(endpoint: &Endpoint) -> bool {
    endpoint.method == Method::GET && endpoint.path.ends_with("/consumer_groups/{entity}")
}

fn whole(side: Side) -> Endpoint {
    Endpoint::new(
        Method::GET,
        format!("{}/{GROUPS}/{{entity}}", side.prefix.base),
        Permission::ReadHistory,
        "Read a consumer group with its members",
        move |exchange| read(exchange, side),
    )
    .reads(&[query("list_consumers", "false: without the members"), AT])
    .by_kongs_rules()
}

fn memberships(side: Side) -> Vec<Endpoint> {
    let (near, far) = (side.near, side.far);
    let path = format!(
        "{}/{}/{{entity}}/{}",
        side.prefix.base,
        near.schema().collection,
        far.schema().collection
    );
    vec![
        Endpoint::new(
            Method::GET,
            &path,
            Permission::ReadHistory,
            format!("List the {far} of one of the {near}"),
            move |exchange| list(exchange, side),
        )
        .reads(&PAGING)
        .reads(&[AT])
        .by_kongs_rules(),
        Endpoint::new(
            Method::POST,
            &path,
            Permission::WriteGroup,
            format!("Add to the {far} of one of the {near}, by id or name"),
            move |exchange| add(exchange, side),
        )
        .reads(&WRITE_HEADERS)
        .takes_media(
            &KONG_MEDIA_TYPES,
            json!({ "type": "object", "required": [side.named], "properties": {
                side.named: { "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            } }),
        )
        .answers(201, json!({ "type": "object" }))
        .by_kongs_rules(),
        Endpoint::new(
            Method::DELETE,
            &path,
            Permission::WriteGroup,
            format!("Remove all {far} from one of the {near}"),
            move |exchange| remove_all(exchange, side),
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null)
        .by_kongs_rules(),
        Endpoint::new(
            Method::DELETE,
            format!("{path}/{{child}}"),
            Permission::WriteGroup,
            format!("Remove one of the {far} from one of the {near}; a success if it isn't there"),
            move |exchange| remove(exchange, side),
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null)
        .by_kongs_rules(),
    ]
}

async fn read(exchange: Exchange, side: Side) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let group = entities::parent(&exchange, side.near, moment.at).await?;
    let mut body = Map::new();
    body.insert(
        side.near_field.to_owned(),
        shown(&exchange, &group, moment.at).await?,
    );
    if exchange.query.get("list_consumers") != Some("false") {
        let members = memberships_of(&exchange, side, group.id, moment.at).await?;
        let mut consumers = Vec::with_capacity(members.len());
        for member in &members {
            let consumer = far_end(&exchange, side, member, moment.at).await?;
            consumers.push(shown(&exchange, &consumer, moment.at).await?);
        }
        body.insert(CONSUMERS.to_owned(), Value::Array(consumers));
    }
    Ok(Answer::ok(&body).at_version(moment.newest))
}

async fn list(exchange: Exchange, side: Side) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let near = entities::parent(&exchange, side.near, moment.at).await?;
    let wanted = EntityQuery {
        after: kong_pages::offset(&exchange.query)?.map(|[id]: [EntityId; 1]| id),
        size: kong_pages::size(&exchange.query)?,
        tags: TagFilter::None,
        parent: Some((side.near, near.id)),
        at: moment.at,
    };
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let page = reads.entities(group, side.membership, &wanted).await?;
    let mut body = PageBody::default();
    for membership in &page.entities {
        let far = far_end(&exchange, side, membership, moment.at).await?;
        body.data.push(entities::raw(&exchange, &far, moment.at).await?);
    }
    if let Some(last) = page.entities.last().filter(|_| page.has_more) {
        body.goes_on(
            &side.prefix.relative(&exchange.path),
            &[last.id],
            &exchange.query.given(&["at"]),
        );
    }
    Ok(Answer::ok(&body).tagged(moment.newest).at_version(moment.newest))
}

async fn add(exchange: Exchange, side: Side) -> Result<Answer, Refusal> {
    let newest = exchange.moment().await?.at;
    let near = entities::parent(&exchange, side.near, newest).await?;
    let mut added = Vec::new();
    for name in names(&exchange.object_of(side.membership)?, side.named)? {
        let selector = exchange.named(side.far, &name)?;
        let (reads, group) = (exchange.reads(), exchange.group()?.id);
        let far = reads.entity(group, side.far, &selector, None, newest).await?;
        added.push(far.ok_or_else(Refusal::not_found)?);
    }
    let step = |far: &Arc<Entity>| {
        let body = json!({ side.near_field: { "id": near.id }, side.far_field: { "id": far.id } });
        let body = body.as_object().cloned().unwrap_or_default();
        (Action::Create(body), Target::flat(side.membership, None))
    };
    let accepted = entities::operate(&exchange, added.iter().map(step).collect(), place(side)).await?;
    let mut bodies = Vec::with_capacity(added.len());
    for far in &added {
        bodies.push(shown(&exchange, far, newest).await?);
    }
    let body = json!({
        side.near_field: shown(&exchange, &near, newest).await?,
        side.far.schema().collection: bodies,
    });
    Ok(Answer::json(StatusCode::CREATED, &body).at_version(accepted.version))
}

async fn remove_all(exchange: Exchange, side: Side) -> Result<Answer, Refusal> {
    let newest = exchange.moment().await?.at;
    let near = entities::parent(&exchange, side.near, newest).await?;
    let gone = memberships_of(&exchange, side, near.id, newest).await?;
    delete(&exchange, side, &gone).await
}

async fn remove(exchange: Exchange, side: Side) -> Result<Answer, Refusal> {
    let newest = exchange.moment().await?.at;
    let near = entities::parent(&exchange, side.near, newest).await?;
    let named = exchange.named_in_path(side.far, "child")?;
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let far = reads.entity(group, side.far, &named, None, newest).await?;
    let between = match far {
        Some(far) => between(&exchange, side, near.id, far.id, newest).await?,
        None => Vec::new(),
    };
    delete(&exchange, side, &between).await
}

async fn delete(exchange: &Exchange, side: Side, gone: &[Arc<Entity>]) -> Result<Answer, Refusal> {
    let step = |membership: &Arc<Entity>| {
        (
            Action::Delete,
            Target::flat(side.membership, Some(Selector::Id(membership.id))),
        )
    };
    let accepted = entities::operate(exchange, gone.iter().map(step).collect(), place(side)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT).at_version(accepted.version))
}

async fn memberships_of(
    exchange: &Exchange,
    side: Side,
    near: EntityId,
    at: Option<Version>,
) -> Result<Vec<Arc<Entity>>, Refusal> {
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    reads
        .children(group, side.membership, (side.near, near), at)
        .await
}

/// The membership between two entities, looked for among the consumer's: it is in few groups, a group may have very many members.
async fn between(
    exchange: &Exchange,
    side: Side,
    near: EntityId,
    far: EntityId,
    at: Option<Version>,
) -> Result<Vec<Arc<Entity>>, Refusal> {
    let (side, near, far) = match side.near.name() {
        CONSUMERS => (side, near, far),
        _ => (side.turned(), far, near),
    };
    let mut memberships = memberships_of(exchange, side, near, at).await?;
    memberships.retain(|membership| far_id(side, membership) == Some(far));
    Ok(memberships)
}

fn far_id(side: Side, membership: &Entity) -> Option<EntityId> {
    let mut references = membership.references.iter();
    references
        .find(|reference| reference.kind == side.far)
        .map(|reference| reference.id)
}

async fn far_end(
    exchange: &Exchange,
    side: Side,
    membership: &Entity,
    at: Option<Version>,
) -> Result<Arc<Entity>, Refusal> {
    let id = far_id(side, membership).ok_or_else(Refusal::not_found)?;
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let far = reads.entity(group, side.far, &Selector::Id(id), None, at).await?;
    far.ok_or_else(Refusal::not_found)
}

/// One name, or several in a list.
fn names(body: &Map<String, Value>, field: &str) -> Result<Vec<String>, Refusal> {
    let texts = match body.get(field) {
        Some(Value::String(name)) => Some(vec![name.clone()]),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect(),
        _ => None,
    };
    texts.filter(|names| !names.is_empty()).ok_or_else(|| {
        let why = format!("must have `{field}`: an id or a name, or a list of them");
        Refusal::bad_request(format!("the body {why}"))
            .coded(2, "schema violation")
            .with_fields(json!({ field: "required field missing" }))
    })
}

const fn place(side: Side) -> Place {
    Place {
        kind: side.membership,
        parent: None,
        prefix: side.prefix,
    }
}

async fn shown(exchange: &Exchange, entity: &Entity, at: Option<Version>) -> Result<Value, Refusal> {
    let text = entities::shown(exchange, entity, at).await?;
    serde_json::from_str(&text).map_err(|error| Refusal::unavailable(error.to_string()))
}
