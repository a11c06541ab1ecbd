//! What stands in a group, so that there is something to find, and ids by which to look for it.

use axum::http::Method;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use uuid::Uuid;

use super::rule::Place;
use crate::app::App;

/// Collections, by every name that paths have for them, in an order in which what is referred to comes first.
const COLLECTIONS: [(&str, &[&str]); 20] = [
    ("services", &[]),
    ("routes", &[]),
    ("consumers", &[]),
    ("consumer_groups", &[]),
    ("plugins", &[]),
    ("upstreams", &[]),
    ("targets", &[]),
    ("certificates", &[]),
    ("ca_certificates", &[]),
    ("snis", &[]),
    ("key-sets", &[]),
    ("keys", &[]),
    ("vaults", &[]),
    ("key-auths", &["key-auth"]),
    ("basic-auths", &["basic-auth"]),
    ("hmac-auths", &["hmac-auth"]),
    ("jwts", &["jwt"]),
    ("acls", &[]),
    ("oauth2", &[]),
    ("plugin-schemas", &[]),
];

/// A word that is in everything of a group and nowhere else.
pub(super) const fn word(place: Place) -> &'static str {
    match place {
        Place::One => "zinnia",
        Place::Other => "peony",
        Place::Default => "dahlia",
        Place::Restored => "lupine",
        Place::Deleted => "yarrow",
        Place::Foreign => "foxglove",
        Place::Never => "edelweiss",
    }
}

/// What every secret of a group holds.
pub(super) fn secret(place: Place) -> String {
    format!("secret-{}", word(place))
}

/// The id of a group's entity in a collection, under any of its names; what never was has one as well.
pub(super) fn id_in(place: Place, collection: &str) -> String {
    let is = |(name, others): &(&str, &[&str])| *name == collection || others.contains(&collection);
    let number = COLLECTIONS.iter().position(is).unwrap_or(COLLECTIONS.len());
    let high = 0x1000_0000_0000_4000 + (place as u64 + 1) * 0x0100_0000_0000_0000;
    Uuid::from_u64_pair(high, 0x8000_0000_0000_0000 + number as u64).to_string()
}

/// Furnishes a group for the holder of a token that may.
pub(super) async fn furnish(app: &App, token: &str, place: Place, group: &str) {
    for (collection, _) in &COLLECTIONS[..COLLECTIONS.len() - 1] {
        let id = id_in(place, collection);
        let path = match *collection {
            // The Admin API alone lets them be put below what they belong to.
            "targets" => format!("upstreams/{}/targets/{id}", id_in(place, "upstreams")),
            collection => format!("{collection}/{id}"),
        };
        let path = format!("/v2/runtime-groups/{group}/core-entities/{path}");
        let put = app.request(Method::PUT, &path).with_token(token);
        put.json(&body(place, collection)).send().await.expect(200);
    }
    let schema = format!(
        "return {{ name = \"{}\", fields = {{ {{ config = {{ type = \"record\", fields = {{}} }} }} }} }}",
        word(place)
    );
    let path = format!("/v2/runtime-groups/{group}/core-entities/plugin-schemas");
    let upload = app.request(Method::POST, &path).with_token(token);
    let upload = upload.json(&json!({ "lua_schema": schema })).send().await;
    upload.expect(201);
}

pub(super) fn body(place: Place, collection: &str) -> Value {
    let (word, secret) = (word(place), secret(place));
    let of = |collection: &str| json!({ "id": id_in(place, collection) });
    match collection {
        "services" => json!({ "name": word, "host": format!("{word}.test"), "tags": [word] }),
        "routes" => json!({ "name": word, "paths": [format!("/{word}")], "service": of("services") }),
        "consumers" => json!({ "username": word }),
        "consumer_groups" => json!({ "name": word }),
        "plugins" => json!({
            "name": "request-transformer",
            "service": of("services"),
            "instance_name": word,
            "config": { "add": { "headers": [format!("authorization:{secret}")] } },
        }),
        "upstreams" => json!({ "name": word }),
        "targets" => json!({ "target": format!("{word}.test:80") }),
        "certificates" => {
            let (cert, key) = certificate(word, false);
            json!({ "cert": cert, "key": key })
        }
        "ca_certificates" => json!({ "cert": certificate(word, true).0 }),
        "snis" => json!({ "name": format!("{word}.test"), "certificate": of("certificates") }),
        "key-sets" => json!({ "name": word }),
        "keys" => json!({
            "name": word,
            "kid": word,
            "set": of("key-sets"),
            "pem": { "private_key": certificate(word, false).1 },
        }),
        "vaults" => json!({ "name": "env", "prefix": word }),
        "key-auths" => json!({ "consumer": of("consumers"), "key": secret }),
        "basic-auths" => json!({ "consumer": of("consumers"), "username": word, "password": secret }),
        "hmac-auths" => json!({ "consumer": of("consumers"), "username": word, "secret": secret }),
        "jwts" => json!({ "consumer": of("consumers"), "key": word, "secret": secret }),
        "acls" => json!({ "consumer": of("consumers"), "group": word }),
        "oauth2" => json!({
            "consumer": of("consumers"),
            "name": word,
            "client_id": word,
            "client_secret": secret,
            "redirect_uris": [format!("https://{word}.test/")],
        }),
        other => panic!("{other} has no body"),
    }
}

/// A certificate for a name, and its key.
pub(super) fn certificate(name: &str, is_ca: bool) -> (String, String) {
    let mut params = CertificateParams::new(vec![format!("{name}.test")]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    if is_ca {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}
