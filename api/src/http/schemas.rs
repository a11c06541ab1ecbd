//! `/schemas/…`: what entities, plugins and vaults look like, and whether a body would fit, by Kong's rules
//! (`deck-go-kong.md` §5.9).

use axum::http::{Method, StatusCode};
use domain::Kind;
use domain::group::GroupError;
use domain::schema::{Secrets, Write, document, fill_and_validate, subschema_document};
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::KONG_MEDIA_TYPES;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
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
            validate(&exchange, kind)
        }),
        validating(path("plugins/validate"), |exchange| async move {
            validate(&exchange, kind_named("plugins")?)
        }),
        validating(path("vaults/validate"), |exchange| async move {
            validate(&exchange, kind_named("vaults")?)
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
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules()
}

async fn entity_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let kind = kind_named(exchange.parameter("entity")?)?;
    Ok(Answer::ok(&document(kind)))
}

async fn plugin_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let name = exchange.parameter("name")?;
    let schema = schema_of_plugin(name).ok_or_else(|| absent(&format!("No plugin named '{name}'")))?;
    Ok(Answer::ok(&schema))
}

async fn vault_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let name = exchange.parameter("name")?;
    let schema = Kind::named("vaults").and_then(|vaults| subschema_document(vaults, name));
    let schema = schema.ok_or_else(|| absent(&format!("No vault named '{name}'")))?;
    Ok(Answer::ok(&schema))
}

/// A plugin's schema: every group has the catalogue's plugins.
fn schema_of_plugin(name: &str) -> Option<Value> {
    subschema_document(Kind::named("plugins")?, name)
}

fn validate(exchange: &Exchange, kind: Kind) -> Result<Answer, Refusal> {
    let body = exchange.object_of(kind)?;
    fill_and_validate(kind, Write::Insert, body, Secrets::Plain, &mut exchange.context())
        .map_err(GroupError::from)?;
    Ok(Answer::ok(&json!({ "message": "schema validation successful" })))
}

fn kind_named(name: &str) -> Result<Kind, Refusal> {
    Kind::named(name).ok_or_else(|| absent(&format!("No entity named '{name}'")))
}

fn absent(message: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, message)
}
