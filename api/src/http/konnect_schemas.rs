//! What decK reads below a Konnect control plane besides entities: which Kong it is, and each kind's JSON Schema
//! (`deck-go-kong.md` §1.4, §1.7).

use axum::http::Method;
use domain::Kind;
use domain::schema::konnect_json_schema;
use serde_json::json;

use super::admin_node::KONG_VERSION;
use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::prefixes::{KONNECT, Prefix};
use super::refusal::Refusal;

/// Konnect's names of kinds where they aren't Kong's without the last letter.
const NAMES: [(&str, &str); 6] = [
    ("key-set", "key_sets"),
    ("key-auth", "keyauth_credentials"),
    ("basic-auth", "basicauth_credentials"),
    ("hmac-auth", "hmacauth_credentials"),
    ("jwt", "jwt_secrets"),
    ("oauth2", "oauth2_credentials"),
];

/// Both endpoints under every Konnect prefix.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    KONNECT.into_iter().flat_map(under).collect()
}

fn under(prefix: Prefix) -> [Endpoint; 2] {
    let base = prefix.base;
    [
        Endpoint::new(
            Method::GET,
            format!("{base}/v1"),
            Permission::ReadGroup,
            "Read which version of Kong the group's entities are for",
            version,
        )
        .by_kongs_rules(),
        Endpoint::new(
            Method::GET,
            format!("{base}/v1/schemas/json/{{name}}"),
            Permission::ReadGroup,
            "Read the JSON Schema of a kind of entity, called as Konnect calls it",
            json_schema,
        )
        .by_kongs_rules(),
    ]
}

async fn version(_: Exchange) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&json!({ "version": KONG_VERSION })))
}

async fn json_schema(exchange: Exchange) -> Result<Answer, Refusal> {
    let kind = kind_called(exchange.parameter("name")?).ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(&konnect_json_schema(kind)))
}

/// The served kind that Konnect calls by this name: `service`, `key-set`, `jwt`.
fn kind_called(name: &str) -> Option<Kind> {
    let called = NAMES.into_iter().find(|(konnect, _)| *konnect == name);
    let kind = match called {
        Some((_, kind)) => Kind::named(kind),
        None => Kind::named(&format!("{name}s")),
    };
    kind.filter(|kind| kind.schema().served)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_konnects_names() {
        let named = |name| kind_called(name).map(Kind::name);
        assert_eq!(named("service"), Some("services"));
        assert_eq!(named("sni"), Some("snis"));
        assert_eq!(named("key-auth"), Some("keyauth_credentials"));
        assert_eq!(named("services"), None);
        assert_eq!(named(""), None);
    }
}
