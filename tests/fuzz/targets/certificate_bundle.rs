//! Certificates, chains and keys that somebody uploads: for instances, and as entities.
#![no_main]

use domain::schema::{CustomPlugins, Secrets, Write, fill_and_validate};
use domain::organization::node_certificate::CertificateContent;
use domain::{Context, Kind, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

fuzz_target!(|bytes: &[u8]| {
    drop(CertificateContent::of_der(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    drop(CertificateContent::of_pem(text));
    let (certificate, key) = text.split_once('\0').unwrap_or((text, text));
    for (kind, body) in [
        ("certificates", json!({ "cert": certificate, "key": key, "cert_alt": key, "key_alt": certificate })),
        ("ca_certificates", json!({ "cert": certificate })),
        ("keys", json!({ "kid": "k", "pem": { "public_key": certificate, "private_key": key } })),
        ("keys", json!({ "kid": "k", "jwk": text })),
    ] {
        if let (Some(kind), Value::Object(body)) = (Kind::named(kind), body) {
            validate(kind, body);
        }
    }
});

fn validate(kind: Kind, body: Map<String, Value>) {
    let mut context = Context::new(Timestamp(1_767_225_600_000), [7; 32]);
    drop(fill_and_validate(
        kind,
        &CustomPlugins::default(),
        Write::Insert,
        body,
        Secrets::Plain,
        &mut context,
    ));
}
