//! Hashes under which credentials' secrets are stored (README §6.5).

use std::num::NonZeroU32;

use aws_lc_rs::{digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde_json::{Map, Value};

use super::SlowHash;

const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).expect("not zero");
const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
const LENGTH: usize = 32;
const SALT_LENGTH: usize = 16;
const PREFIX: &str = "$pbkdf2-sha512$i=10000,l=32$";

/// A basic-auth password becomes SHA-1 of itself and its consumer's id.
pub(super) fn basic_auth(credential: &mut Map<String, Value>) {
    let consumer = credential.get("consumer").and_then(|consumer| consumer.get("id"));
    if let (Some(Value::String(password)), Some(Value::String(consumer))) =
        (credential.get("password"), consumer)
    {
        let salted = format!("{password}{consumer}");
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, salted.as_bytes());
        credential.insert("password".to_owned(), hexadecimal(hash.as_ref()).into());
    }
}

/// An oauth2 client's secret becomes its PBKDF2 hash, as a PHC string, if the credential says so. Costs about 10 ms.
pub(super) const OAUTH2: SlowHash = SlowHash {
    field: "client_secret",
    wanted: |credential| credential.get("hash_secret") == Some(&Value::Bool(true)),
    hash: |secret, generator| of_client_secret(secret, generator.uuid().as_bytes()),
    is_of: is_of_client_secret,
};

fn of_client_secret(secret: &str, salt: &[u8; SALT_LENGTH]) -> String {
    let mut hash = [0; LENGTH];
    pbkdf2::derive(ALGORITHM, ITERATIONS, salt, secret.as_bytes(), &mut hash);
    format!(
        "{PREFIX}{}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

/// False as well for what isn't such a hash.
fn is_of_client_secret(stored: &str, secret: &str) -> bool {
    let parts = stored.strip_prefix(PREFIX).and_then(|rest| rest.split_once('$'));
    let decoded = parts.and_then(|(salt, hash)| {
        Some((
            STANDARD_NO_PAD.decode(salt).ok()?,
            STANDARD_NO_PAD.decode(hash).ok()?,
        ))
    });
    decoded.is_some_and(|(salt, hash)| {
        pbkdf2::verify(ALGORITHM, ITERATIONS, &salt, secret.as_bytes(), &hash).is_ok()
    })
}

/// Lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::fill::FixedGenerator;
    use super::*;

    #[test]
    fn a_password_is_hashed_with_its_consumers_id() {
        let mut credential =
            json!({"password": "p", "consumer": {"id": "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a"}});
        basic_auth(credential.as_object_mut().unwrap());
        assert_eq!(credential["password"], "216a960d8523a32eccff88cdbefc9a9959f307e4");
    }

    #[test]
    fn a_clients_secret_is_hashed_with_a_salt_and_known_again() {
        let hash = (OAUTH2.hash)("s", &mut FixedGenerator);
        assert!(
            hash.starts_with("$pbkdf2-sha512$i=10000,l=32$AAAAAAAAAAAAAAAAAAAAAQ$"),
            "{hash}"
        );
        assert_eq!(hash.len(), PREFIX.len() + 22 + 1 + 43);
        assert!((OAUTH2.is_of)(&hash, "s"));
        for other in [hash.as_str(), "t", ""] {
            assert!(!(OAUTH2.is_of)(&hash, other));
        }
        for no_hash in ["", "s", PREFIX, "$pbkdf2-sha512$i=10000,l=32$!$!"] {
            assert!(!(OAUTH2.is_of)(no_hash, "s"), "{no_hash}");
        }
    }
}
