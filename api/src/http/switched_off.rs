//! Parts of Kong's Admin API that a Kong with a database and without wasm answers with why they are off
//! (`deck-go-kong.md` §5.9).

use axum::http::Method;

use super::endpoint::{Endpoint, Permission};
use super::prefixes::{ADMIN, PREFIXES};
use super::refusal::Refusal;

/// The kind whose paths answer that there is no wasm.
pub(crate) const FILTER_CHAINS: &str = "filter_chains";

const NOT_WITH_A_DATABASE: &str =
    "this endpoint is only available when Kong is configured to not use a database";
const NOT_WITHOUT_WASM: &str = "this endpoint is only available when wasm is enabled";

const READS: [Method; 1] = [Method::GET];
const COLLECTION: [Method; 2] = [Method::GET, Method::POST];
const MEMBER: [Method; 4] = [Method::GET, Method::PUT, Method::PATCH, Method::DELETE];

/// The endpoints that only say why they are off.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = off(
        &format!("{}/config", ADMIN.base),
        &COLLECTION,
        NOT_WITH_A_DATABASE,
    );
    for prefix in PREFIXES {
        let path = |rest: &str| format!("{}{rest}", prefix.base);
        for (below, methods) in [
            ("/filter-chains", &COLLECTION[..]),
            ("/filter-chains/{entity}", &MEMBER[..]),
            ("/filter-chains/{entity}/route", &READS[..]),
            ("/filter-chains/{entity}/service", &READS[..]),
            ("/routes/{entity}/filter-chains", &COLLECTION[..]),
            ("/routes/{entity}/filter-chains/{child}", &MEMBER[..]),
            ("/services/{entity}/filter-chains", &COLLECTION[..]),
            ("/services/{entity}/filter-chains/{child}", &MEMBER[..]),
        ] {
            endpoints.extend(off(&path(below), methods, NOT_WITHOUT_WASM));
        }
    }
    endpoints
}

fn off(path: &str, methods: &[Method], why: &'static str) -> Vec<Endpoint> {
    let endpoint = |method: &Method| {
        let permission = match *method {
            Method::GET => Permission::ReadGroup,
            _ => Permission::WriteGroup,
        };
        let refuse = move |_| async move { Err(Refusal::bad_request(why)) };
        Endpoint::new(
            method.clone(),
            path,
            permission,
            format!("Always refused: {why}"),
            refuse,
        )
        .by_kongs_rules()
    };
    methods.iter().map(endpoint).collect()
}
