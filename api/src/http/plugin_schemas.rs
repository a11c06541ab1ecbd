//! Schemas of plugins that aren't Kong's, uploaded as `schema.lua` (`runtime-manager-features.md`, core-entities/plugin-schemas).

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use domain::Kind;
use domain::group::{Action, Entity, Selector, Target, custom_plugins};
use domain::sandbox::{UploadError, read_plugin_schema};
use domain::schema::{CustomPlugins, PluginDefinition};
use projections::{EntityQuery, TagFilter};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::entities;
use super::entity_routes::{AT, Place};
use super::exchange::Exchange;
use super::kong_pages::{self, PAGING};
use super::prefixes::{PREFIXES, Prefix};
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

const KIND: &str = "plugin_schemas";
const LUA: &str = "lua_schema";

/// What an item shows.
const SHOWN: [&str; 4] = ["name", LUA, "created_at", "updated_at"];

/// The endpoints, under every prefix; none as long as the catalogue has no such kind.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let under = |prefix: Prefix| {
        let kind = Kind::named(KIND)?;
        let place = Place {
            kind,
            parent: None,
            prefix,
        };
        Some(endpoints_at(place))
    };
    PREFIXES.into_iter().filter_map(under).flatten().collect()
}

fn endpoints_at(place: Place) -> Vec<Endpoint> {
    let all = format!("{}/{}", place.prefix.base, place.kind.schema().collection);
    let one = format!("{all}/{{entity}}");
    let body = || {
        json!({ "type": "object", "required": [LUA], "additionalProperties": false, "properties": {
            LUA: { "type": "string", "description": "the text of the plugin's schema.lua" },
        } })
    };
    vec![
        Endpoint::new(
            Method::GET,
            &all,
            Permission::ReadHistory,
            "List the schemas of plugins that aren't Kong's",
            move |exchange| list(exchange, place),
        )
        .reads(&PAGING)
        .reads(&[AT])
        .by_kongs_rules(),
        Endpoint::new(
            Method::POST,
            &all,
            Permission::WriteGroup,
            "Add a plugin by its schema.lua",
            move |exchange| create(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .takes(body())
        .answers(201, json!({ "type": "object" }))
        .by_kongs_rules(),
        Endpoint::new(
            Method::GET,
            &one,
            Permission::ReadHistory,
            "Read a plugin's schema.lua",
            move |exchange| read(exchange, place),
        )
        .reads(&[AT])
        .by_kongs_rules(),
        Endpoint::new(
            Method::PUT,
            &one,
            Permission::WriteGroup,
            "Replace a plugin's schema.lua; refused where a plugin in use wouldn't fit it",
            move |exchange| replace(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .takes(body())
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules(),
        Endpoint::new(
            Method::DELETE,
            &one,
            Permission::WriteGroup,
            "Remove a plugin's schema; refused while a plugin uses it",
            move |exchange| entities::delete(exchange, place),
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null)
        .by_kongs_rules(),
    ]
}

async fn list(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let wanted = EntityQuery {
        after: kong_pages::offset(&exchange.query)?.map(|[id]: [domain::EntityId; 1]| id),
        size: kong_pages::size(&exchange.query)?,
        tags: TagFilter::None,
        parent: None,
        at: moment.at,
    };
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let page = reads.entities(group, place.kind, &wanted).await?;
    let items: Vec<_> = page.entities.iter().map(|entity| item(entity)).collect();
    let mut next = kong_pages::PageBody::default();
    if let Some(last) = page.entities.last().filter(|_| page.has_more) {
        next.goes_on(
            &place.prefix.relative(&exchange.path),
            &[last.id],
            &exchange.query.given(&["size", "at"]),
        );
    }
    let body = json!({ "items": items, "page": { "next": next.next, "offset": next.offset } });
    Ok(Answer::ok(&body).tagged(moment.newest).at_version(moment.newest))
}

async fn read(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let moment = exchange.moment().await?;
    let entity = entities::found(&exchange, place, moment.at).await?;
    Ok(Answer::ok(&json!({ "item": item(&entity) }))
        .tagged(entity.touched)
        .at_version(moment.newest))
}

async fn create(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let (text, definition) = uploaded(&exchange).await?;
    let action = Action::Create(body(text, definition));
    write(&exchange, place, StatusCode::CREATED, action, None).await
}

async fn replace(exchange: Exchange, place: Place) -> Result<Answer, Refusal> {
    let named = exchange.parameter("entity")?.to_owned();
    let (text, definition) = uploaded(&exchange).await?;
    if definition.name != named {
        return Err(unusable(format!(
            "name: the schema is of the plugin '{}', the path names '{named}'",
            definition.name
        )));
    }
    let action = Action::Put(body(text, definition));
    write(
        &exchange,
        place,
        StatusCode::OK,
        action,
        Some(Selector::Key(named)),
    )
    .await
}

async fn write(
    exchange: &Exchange,
    place: Place,
    status: StatusCode,
    action: Action,
    selector: Option<Selector>,
) -> Result<Answer, Refusal> {
    let target = Target::flat(place.kind, selector);
    let accepted = entities::operate(exchange, vec![(action, target)], place).await?;
    let entity = entities::written(&accepted, place.kind)?;
    Ok(Answer::json(status, &json!({ "item": item(&entity) }))
        .tagged(entity.touched)
        .at_version(accepted.version))
}

/// Reads the text in the body.
async fn uploaded(exchange: &Exchange) -> Result<(String, PluginDefinition), Refusal> {
    let mut sent = exchange.object()?;
    let Some(Value::String(text)) = sent.swap_remove(LUA) else {
        let refusal = Refusal::bad_request(format!("the body must have `{LUA}`: the text of a schema.lua"));
        return Err(refusal
            .coded(2, "schema violation")
            .with_fields(json!({ LUA: "required field missing" })));
    };
    if let Some(other) = sent.keys().next() {
        return Err(
            Refusal::bad_request(format!("schema violation ({other}: unknown field)"))
                .coded(2, "schema violation")
                .with_fields(json!({ other.as_str(): "unknown field" })),
        );
    }
    let sandbox = exchange.services.commands.sandbox();
    match read_plugin_schema(sandbox, exchange.group()?.id, &text).await {
        Ok(definition) => Ok((text, definition)),
        Err(UploadError::Unusable(error)) => Err(unusable(error.to_string())),
        Err(UploadError::Unavailable(error)) => Err(Refusal::unavailable(error.to_string())),
    }
}

fn unusable(why: String) -> Refusal {
    Refusal::bad_request(format!("schema violation ({LUA}: {why})"))
        .coded(2, "schema violation")
        .with_fields(json!({ LUA: why }))
}

fn body(text: String, definition: PluginDefinition) -> Map<String, Value> {
    Map::from_iter([
        ("name".to_owned(), Value::from(definition.name)),
        (LUA.to_owned(), Value::from(text)),
        ("definition".to_owned(), definition.document),
    ])
}

fn item(entity: &Entity) -> Value {
    let body = entity.map();
    let shown = SHOWN
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), body.get(*field)?.clone())));
    shown.collect::<Map<_, _>>().into()
}

/// The plugin of this name, if the group has one of its own.
pub(crate) async fn custom_plugin(exchange: &Exchange, name: &str) -> Result<CustomPlugins, Refusal> {
    let mut plugins = CustomPlugins::default();
    let Some(kind) = Kind::named(KIND) else {
        return Ok(plugins);
    };
    let newest = exchange.moment().await?.at;
    let (reads, group) = (exchange.reads(), exchange.group()?.id);
    let selector = Selector::Key(name.to_owned());
    let entity: Option<Arc<Entity>> = reads.entity(group, kind, &selector, None, newest).await?;
    if let Some(entity) = entity {
        custom_plugins::note(&mut plugins, &entity);
    }
    Ok(plugins)
}
