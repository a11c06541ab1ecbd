//! Access tokens: issue (the secret is shown once), list, read, revoke.

use axum::http::{Method, StatusCode};
use domain::organization::{OrganizationCommand, TokenRecord};
use domain::token::{self, Role};
use domain::{Timestamp, TokenId};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::fields::Fields;
use super::pages::{PAGE, Page};
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

/// The endpoints of tokens.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let schema = || json!({ "$ref": "#/components/schemas/Token" });
    vec![
        Endpoint::new(
            Method::GET,
            "/v2/tokens",
            Permission::ReadOrganization,
            "List tokens",
            list,
        )
        .reads(&PAGE)
        .answers(200, json!({ "$ref": "#/components/schemas/TokenPage" })),
        Endpoint::new(
            Method::POST,
            "/v2/tokens",
            Permission::WriteOrganization,
            "Issue a token; its secret is in this answer and nowhere else",
            issue,
        )
        .reads(&WRITE_HEADERS)
        .takes(json!({ "$ref": "#/components/schemas/NewToken" }))
        .answers(201, schema()),
        Endpoint::new(
            Method::GET,
            "/v2/tokens/{token}",
            Permission::ReadOrganization,
            "Read a token's record",
            read,
        )
        .answers(200, schema()),
        Endpoint::new(
            Method::DELETE,
            "/v2/tokens/{token}",
            Permission::WriteOrganization,
            "Revoke a token: it stops working at once",
            revoke,
        )
        .reads(&WRITE_HEADERS)
        .answers(204, Value::Null),
    ]
}

/// A token as answers carry it, without what it opens doors with.
pub(crate) fn shown(token: &TokenRecord) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
    json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "group": token.group,
        "created_at": token.created_at.rfc3339(),
        "expires_at": time(token.expires_at),
        "revoked_at": time(token.revoked_at),
    })
}

async fn list(exchange: Exchange) -> Result<Answer, Refusal> {
    let page = Page::of(&exchange.query)?;
    let organization = exchange.caller()?.organization;
    let tokens = exchange.reads().tokens(organization).await?;
    let total = tokens.len() as u64;
    let data = page.cut(tokens).iter().map(shown).collect();
    Ok(Answer::ok(&page.envelope(data, total)))
}

async fn read(exchange: Exchange) -> Result<Answer, Refusal> {
    let id = TokenId(exchange.id_parameter("token")?);
    let organization = exchange.caller()?.organization;
    let tokens = exchange.reads().tokens(organization).await?;
    let token = tokens.iter().find(|token| token.id == id);
    let token = token.ok_or(domain::organization::OrganizationError::NoSuchToken(id))?;
    Ok(Answer::ok(&shown(token)))
}

async fn issue(exchange: Exchange) -> Result<Answer, Refusal> {
    let mut fields = Fields::of(exchange.object()?);
    let name = fields.required::<String>("name");
    let role = fields.required::<Role>("role");
    let group = fields.optional::<String>("group");
    let expires_at = fields.optional::<String>("expires_at");
    let expires_at = expires_at.and_then(|text| {
        let time = text.parse::<Timestamp>().ok();
        if time.is_none() {
            fields.refuse("expires_at", "is_date_time", "must be an RFC 3339 time");
        }
        time
    });
    if name.as_ref().is_some_and(|name| name.contains('\0')) {
        fields.refuse("name", "characters", "must not contain the character NUL");
    }
    fields.finish()?;
    let role = role.unwrap_or(Role::Viewer);
    let group = match group {
        Some(selector) => Some(group_named(&exchange, &selector).await?),
        None => None,
    };
    let secret = token::write(role, (exchange.services.entropy)());
    let command = OrganizationCommand::IssueToken {
        name: name.unwrap_or_default(),
        role,
        group,
        hash: token::hash(secret.expose()),
        expires_at,
    };
    let accepted = exchange.change_organization(command).await?;
    let record = accepted.outcome.token;
    let record =
        record.ok_or_else(|| Refusal::unavailable("the token was issued; look at the list of tokens"))?;
    let mut body = shown(&record);
    // The secret of a repeated request was shown with its first answer; this one's opens nothing.
    if !accepted.replayed {
        body["token"] = Value::from(secret.expose());
    }
    Ok(Answer::json(StatusCode::CREATED, &body).located(&format!("/v2/tokens/{}", record.id)))
}

async fn group_named(exchange: &Exchange, selector: &str) -> Result<domain::GroupId, Refusal> {
    let organization = exchange.caller()?.organization;
    let group = exchange.reads().existing_group(organization, selector).await?;
    match group {
        Some(group) => Ok(group.id),
        None => Err(Refusal::invalid(
            "group",
            "missing_reference",
            format!("there is no runtime group '{selector}' in this organization"),
        )),
    }
}

async fn revoke(exchange: Exchange) -> Result<Answer, Refusal> {
    let token = TokenId(exchange.id_parameter("token")?);
    exchange
        .change_organization(OrganizationCommand::RevokeToken { token })
        .await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
