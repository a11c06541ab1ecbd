//! The `keys` kind: a key as PEM or as a JSON Web Key (README §6.2), and a JWT credential's public key.

use serde_json::{Map, Value};

use super::{key_material, web_key};
use crate::bounded_json::{self, NodeBudget, RepeatedKeys};
use crate::schema::validate::is_reference;

/// How many values a JSON Web Key has at most: far more than any key.
const MOST_VALUES: usize = 1_000;

/// Public and private part load, and belong together.
pub(super) fn pem_pair(pem: &Value) -> Result<(), String> {
    let part = |name: &str| pem.get(name).filter(|part| !part.is_null());
    let (private, public) = (part("private_key"), part("public_key"));
    if [private, public].into_iter().flatten().any(is_reference) {
        return Ok(());
    }
    let public = public
        .and_then(Value::as_str)
        .map(key_material::of_public_pem)
        .transpose()
        .map_err(|_| "could not load public key".to_owned())?;
    let private = private
        .and_then(Value::as_str)
        .map(key_material::of_private_pem)
        .transpose()
        .map_err(|reason| format!("could not load private key: {reason}"))?;
    match (public, private) {
        (Some(public), Some(private)) if public != private => {
            Err("public key does not match private key".to_owned())
        }
        _ => Ok(()),
    }
}

/// The text of a JSON Web Key is one, with the entity's `kid`; the PEM form has at least one part.
pub(super) fn loads(key: &Map<String, Value>) -> Result<(), String> {
    if let Some(text) = key
        .get("jwk")
        .filter(|jwk| !is_reference(jwk))
        .and_then(Value::as_str)
    {
        let budget = NodeBudget::new(MOST_VALUES);
        let Ok(Value::Object(jwk)) =
            bounded_json::from_slice(text.as_bytes(), &budget, RepeatedKeys::LastCounts)
        else {
            return Err("could not json decode jwk string".to_owned());
        };
        if jwk.get("kid") != key.get("kid") {
            return Err("kid in jwk.kid must be equal to keys.kid".to_owned());
        }
        web_key::public_key(&jwk).map_err(|_| "could not load JWK, likely not a valid key".to_owned())?;
        web_key::members(&jwk)?;
    }
    let part = |pem: &Value, name: &str| pem.get(name).is_some_and(|part| !part.is_null());
    match key.get("pem") {
        Some(pem @ Value::Object(_)) if !part(pem, "private_key") && !part(pem, "public_key") => {
            Err("need to supply a PEM formatted public and/or private key.".to_owned())
        }
        _ => Ok(()),
    }
}

/// A key that signatures of tokens can be checked with.
pub(super) fn token_key(text: &str) -> Result<(), String> {
    key_material::of_key(text)
        .map(drop)
        .map_err(|_| "invalid key".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EC_PRIVATE: &str = include_str!("test_keys/ec.sec1.key");
    const EC_PUBLIC: &str = include_str!("test_keys/ec.pub");
    const RSA_PUBLIC: &str = include_str!("test_keys/rsa.pub");
    const EC_CERTIFICATE: &str = include_str!("test_keys/ec.crt");

    fn pem(private: &str, public: &str) -> Result<(), String> {
        pem_pair(&json!({"private_key": private, "public_key": public}))
    }

    #[test]
    fn the_parts_of_a_pem_key_belong_together() {
        assert_eq!(pem(EC_PRIVATE, EC_PUBLIC), Ok(()));
        assert_eq!(
            pem(EC_PRIVATE, RSA_PUBLIC),
            Err("public key does not match private key".to_owned())
        );
        assert_eq!(pem("{vault://env/x}", "x"), Ok(()));
        for public in ["x", EC_CERTIFICATE, EC_PRIVATE] {
            assert_eq!(
                pem(EC_PRIVATE, public),
                Err("could not load public key".to_owned()),
                "{public}"
            );
        }
        assert!(
            pem(EC_PUBLIC, EC_PUBLIC)
                .unwrap_err()
                .starts_with("could not load private key")
        );
    }

    #[test]
    fn a_web_key_has_its_entitys_id_and_loads() {
        let key = |kid: &str, jwk: Value| {
            let text = if jwk.is_string() {
                jwk
            } else {
                Value::from(jwk.to_string())
            };
            loads(json!({"kid": kid, "jwk": text, "pem": null}).as_object().unwrap())
        };
        let rsa = json!({"kty": "RSA", "kid": "1", "n": "gAE", "e": "AQAB"});
        assert_eq!(key("1", rsa.clone()), Ok(()));
        assert!(key("2", rsa).unwrap_err().starts_with("kid in jwk.kid"));
        assert!(
            key("1", json!("[]"))
                .unwrap_err()
                .starts_with("could not json decode")
        );
        assert!(
            key("1", json!({"kid": "1", "kty": "oct", "k": "c2U"}))
                .unwrap_err()
                .starts_with("could not load JWK")
        );
        let odd = json!({"kty": "RSA", "kid": "1", "n": "gAE", "e": "AQAB", "foo": 1});
        assert_eq!(
            key("1", odd),
            Err("Validation error: foo: unknown field".to_owned())
        );
    }

    #[test]
    fn a_certificate_is_no_key_for_tokens() {
        assert_eq!(token_key(RSA_PUBLIC), Ok(()));
        assert_eq!(token_key(EC_CERTIFICATE), Err("invalid key".to_owned()));
    }
}
