//! The log's signed head, for whoever keeps it elsewhere, and the key that checks the installation's signatures.

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::exchange::Exchange;
use super::refusal::Refusal;

/// The endpoints of the log's head.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::new(
            Method::GET,
            "/v2/log/head",
            Permission::ReadOrganization,
            "How far the log goes and a digest of all of it, signed: keep it elsewhere and check later with `log verify --head`",
            head,
        ),
        Endpoint::new(
            Method::GET,
            "/v2/log/jwks.json",
            Permission::Public,
            "The public key of this installation's signatures (RFC 7517)",
            key_set,
        ),
    ]
}

async fn head(exchange: Exchange) -> Result<Answer, Refusal> {
    let head = *exchange.services.heads.borrow();
    match head {
        Some(head) => Ok(Answer::ok(&head)),
        None => Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no head has been signed since the start; one is signed soon after the log was read to its end: try again",
        )),
    }
}

async fn key_set(exchange: Exchange) -> Result<Answer, Refusal> {
    let key = exchange.services.signing.public();
    Ok(Answer::ok(&json!({
        "keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
            "kid": key.id(), "x": key.to_string(),
        }],
    })))
}
