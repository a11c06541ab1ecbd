//! `/schemas/…`: what entities, plugins and vaults look like, and whether a body would fit, by Kong's rules
//! (`deck-go-kong.md` §5.9).

use std::future::ready;

use axum::http::{Method, StatusCode};
use domain::gateway::CommandError;
use domain::group::GroupError;
use domain::group::decide::all_judged;
use domain::sandbox::with_judgements;
use domain::schema::{CustomPlugins, Secrets, Write, document, fill_and_validate, subschema_document};
use domain::{Context, Kind};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body::KONG_MEDIA_TYPES;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::plugin_schemas::custom_plugin;
use super::prefixes::{ADMIN, PREFIXES};
use super::refusal::Refusal;

/// The endpoints of schemas under every prefix.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = PREFIXES.iter().flat_map(|prefix| under(prefix.base)).collect();
    let older = format!("{}/plugins/schema/{{name}}", ADMIN.base);
    endpoints.push(reading(
        older,
        "Read a plugin's schema at its older place",
        plugin_schema,
    ));
    endpoints
}

fn under(base: &str) -> Vec<Endpoint> {
    let path = |rest: &str| format!("{base}/schemas/{rest}");
    vec![
        reading(path("{entity}"), "Read an entity's schema", entity_schema),
        reading(path("plugins/{name}"), "Read a plugin's schema", plugin_schema),
        reading(path("vaults/{name}"), "Read a vault's schema", vault_schema),
        validating(path("{entity}/validate"), |exchange| async move {
            let kind = kind_named(exchange.parameter("entity")?)?;
            validate(exchange, kind).await
        }),
        validating(path("plugins/validate"), |exchange| async move {
            validate(exchange, kind_named("plugins")?).await
        }),
        validating(path("vaults/validate"), |exchange| async move {
            validate(exchange, kind_named("vaults")?).await
        }),
    ]
}

fn reading<Handling>(
    path: String,
    summary: &str,
    handler: impl Fn(Exchange) -> Handling + Send + Sync + 'static,
) -> Endpoint
where
    Handling: Future<Output = Result<Answer, Refusal>> + Send + 'static,
{
    Endpoint::new(Method::GET, path, Permission::ReadGroup, summary, handler)
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules()
}

fn validating<Handling>(
    path: String,
    handler: impl Fn(Exchange) -> Handling + Send + Sync + 'static,
) -> Endpoint
where
    Handling: Future<Output = Result<Answer, Refusal>> + Send + 'static,
{
    let summary = "Say whether a body fits; what it refers to isn't looked up";
    Endpoint::new(Method::POST, path, Permission::ReadGroup, summary, handler)
        .takes_media(&KONG_MEDIA_TYPES, json!({ "type": "object" }))
        .computes()
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules()
}

async fn entity_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let kind = kind_named(exchange.parameter("entity")?)?;
    Ok(Answer::ok(&document(kind)))
}

async fn plugin_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let name = exchange.parameter("name")?;
    let schema = schema_of_plugin(&exchange, name).await?;
    let schema = schema.ok_or_else(|| absent(&format!("No plugin named '{name}'")))?;
    Ok(Answer::ok(&schema))
}

async fn vault_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let name = exchange.parameter("name")?;
    let schema = Kind::named("vaults").and_then(|vaults| subschema_document(vaults, name));
    let schema = schema.ok_or_else(|| absent(&format!("No vault named '{name}'")))?;
    Ok(Answer::ok(&schema))
}

/// A plugin's schema: every group has the catalogue's plugins, and its own.
async fn schema_of_plugin(exchange: &Exchange, name: &str) -> Result<Option<Value>, Refusal> {
    let bundled = Kind::named("plugins").and_then(|plugins| subschema_document(plugins, name));
    if bundled.is_some() {
        return Ok(bundled);
    }
    Ok(custom_plugin(exchange, name).await?.document(name).cloned())
}

async fn validate(exchange: Exchange, kind: Kind) -> Result<Answer, Refusal> {
    let body = exchange.object_of(kind)?;
    let named = body.get("name").and_then(Value::as_str);
    let custom = match named.filter(|_| kind.name() == "plugins") {
        Some(name) => custom_plugin(&exchange, name).await?,
        None => CustomPlugins::default(),
    };
    let context = exchange.context();
    let judged = with_judgements(
        exchange.services.commands.sandbox(),
        exchange.group()?.id,
        |judgements| {
            let mut context = context.clone().knowing(judgements);
            ready(fits(kind, &custom, body.clone(), &mut context).map_err(CommandError::from))
        },
    );
    judged.await?;
    Ok(Answer::ok(&json!({ "message": "schema validation successful" })))
}

fn fits(
    kind: Kind,
    custom: &CustomPlugins,
    body: Map<String, Value>,
    context: &mut Context,
) -> Result<(), GroupError> {
    let fitted = fill_and_validate(kind, custom, Write::Insert, body, Secrets::Plain, context);
    all_judged(context)?;
    fitted?;
    Ok(())
}

fn kind_named(name: &str) -> Result<Kind, Refusal> {
    Kind::named(name).ok_or_else(|| absent(&format!("No entity named '{name}'")))
}

fn absent(message: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, message)
}
