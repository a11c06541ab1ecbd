//! What decK asks for before it looks at entities (`deck-go-kong.md` §1.2, §1.3).

use axum::http::{Method, StatusCode};
use projections::{GroupFilter, GroupSort, Page};
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission, query};
use super::exchange::Exchange;
use super::groups;
use super::refusal::Refusal;

/// decK's lookups.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let paging = [
        query("page", "which page, from 1"),
        query("size", "how many; all if not said"),
    ];
    vec![
        Endpoint::new(
            Method::GET,
            "/konnect-api/api/runtime_groups",
            Permission::Member,
            "List runtime groups as decK looks them up",
            runtime_groups,
        )
        .reads(&paging),
        Endpoint::new(
            Method::GET,
            "/v2/organizations/me",
            Permission::Member,
            "Read the token's organization",
            organization,
        ),
        Endpoint::new(
            Method::GET,
            "/konnect-api/api/userinfo",
            Permission::Member,
            "Read who the token is, as decK asks",
            userinfo,
        ),
        Endpoint::new(
            Method::POST,
            "/kauth/api/v1/authenticate",
            Permission::Public,
            "Refuse decK's login by e-mail address and password: there are only tokens here",
            authenticate,
        )
        .by_kongs_rules(),
    ]
}

async fn runtime_groups(exchange: Exchange) -> Result<Answer, Refusal> {
    let number = exchange.query.number("page")?.unwrap_or(1).max(1) as usize;
    // Without a query every group is on the one page: old versions of decK crash on a second.
    let size = exchange
        .query
        .number("size")?
        .map_or(usize::MAX, |size| size as usize);
    let page = Page {
        number,
        size: size.max(1),
    };
    let groups = groups::visible(&exchange, GroupFilter::default(), GroupSort::Name, page).await?;
    let pages = groups.total.div_ceil(page.size).max(1);
    let data: Vec<Value> = groups
        .items
        .iter()
        .map(|group| groups::shown(group, &exchange))
        .collect();
    Ok(Answer::ok(
        &json!({ "data": data, "page": number, "pageCount": pages }),
    ))
}

async fn organization(exchange: Exchange) -> Result<Answer, Refusal> {
    let id = exchange.caller()?.organization;
    let name = exchange.reads().organization_name(id).await?;
    Ok(Answer::ok(&json!({ "id": id, "name": name })))
}

async fn userinfo(exchange: Exchange) -> Result<Answer, Refusal> {
    let caller = exchange.caller()?;
    let name = exchange.reads().organization_name(caller.organization).await?;
    Ok(Answer::ok(&json!({
        "id": caller.token.id,
        "email": "",
        "profile": { "full_name": caller.token.name },
        "org": { "id": caller.organization, "name": name },
    })))
}

/// decK's session login (§1.2). A session would be a second kind of credential beside tokens, so there is none.
async fn authenticate(_: Exchange) -> Result<Answer, Refusal> {
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        "there are no e-mail addresses and passwords here: give decK a token with --konnect-token or DECK_KONNECT_TOKEN",
    ))
}
