//! Shows that a certificate's private key is at hand: signs the server's challenge with it. The key stays here.

use std::path::Path;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::system::possession::CHALLENGE_BEGINS;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// What is signed with, by the key's kind; what the server verifies.
const SCHEMES: [SignatureScheme; 5] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// Signs a challenge with the key in a file; answers what the server is sent.
pub fn sign(challenge: &str, key: &Path) -> anyhow::Result<Value> {
    // Whatever a server has signed with an authority's key could be a certificate.
    if !challenge.starts_with(CHALLENGE_BEGINS) || challenge.chars().any(char::is_control) {
        bail!("the server's challenge isn't one, and is not signed");
    }
    let place = || key.display().to_string();
    let read = PrivateKeyDer::from_pem_file(key).with_context(place)?;
    let signing = default_provider().key_provider.load_private_key(read);
    let signing = signing.with_context(place)?;
    let Some(signer) = signing.choose_scheme(&SCHEMES) else {
        bail!(
            "{}: keys of this kind can't be used; RSA, ECDSA and Ed25519 keys can",
            place()
        );
    };
    let signature = signer.sign(challenge.as_bytes()).with_context(place)?;
    Ok(json!({ "challenge": challenge, "signature": STANDARD.encode(signature) }))
}
