//! Certificates and their keys, and certificates of authorities (README §6.1, §6.5).

use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::key_material::{PublicKey, certificate_der, of_certificate, of_key};
use super::secret_hash;
use crate::Timestamp;

/// Is an X.509 certificate; of a PEM bundle only the first one is looked at.
pub(super) fn parses(text: &str) -> Result<(), String> {
    of_certificate(text)
        .map(drop)
        .map_err(|reason| format!("invalid certificate: {reason}"))
}

/// Is a private or public key.
pub(super) fn key_parses(text: &str) -> Result<(), String> {
    of_key(text)
        .map(drop)
        .map_err(|reason| format!("invalid key: {reason}"))
}

/// `cert` and `key` belong together.
pub(super) fn matches_key(entity: &Map<String, Value>) -> Result<(), String> {
    pair(entity, "cert", "key", "certificate does not match key")
}

/// `cert_alt` and `key_alt` belong together.
pub(super) fn alternative_matches_key(entity: &Map<String, Value>) -> Result<(), String> {
    pair(
        entity,
        "cert_alt",
        "key_alt",
        "alternative certificate does not match key",
    )
}

/// Two certificates serve clients with different algorithms, or the second one is of no use.
pub(super) fn alternative_differs_in_type(entity: &Map<String, Value>) -> Result<(), String> {
    let (Some(first), Some(second)) = (
        certificate_key(entity, "cert"),
        certificate_key(entity, "cert_alt"),
    ) else {
        return Ok(());
    };
    if std::mem::discriminant(&first) != std::mem::discriminant(&second) {
        return Ok(());
    }
    Err("certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided \
         certificates were both of the same type"
        .to_owned())
}

/// One certificate, of an authority, that has not expired by the time of the change (its `updated_at`).
pub(super) fn is_authority(entity: &Map<String, Value>) -> Result<(), String> {
    let text = entity.get("cert").and_then(Value::as_str).unwrap_or_default();
    if text.matches("-----BEGIN CERTIFICATE-----").count() > 1 {
        return Err("please submit only one certificate at a time".to_owned());
    }
    let der = certificate_der(text)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    let now = entity.get("updated_at").and_then(Value::as_i64).unwrap_or(0);
    if certificate.validity().not_after.timestamp() < now {
        return Err("certificate expired, \"Not After\" time is in the past".to_owned());
    }
    if !certificate.is_ca() {
        return Err(
            "certificate does not appear to be a CA because it is missing the \"CA\" basic constraint"
                .to_owned(),
        );
    }
    Ok(())
}

/// When a certificate expires; none if the text isn't one.
pub(crate) fn certificate_expiry(text: &str) -> Option<Timestamp> {
    let der = certificate_der(text).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    Some(Timestamp(0).plus_seconds(certificate.validity().not_after.timestamp()))
}

/// SHA-256 of the certificate, by which authorities are told apart.
pub(super) fn digest(entity: &Map<String, Value>) -> Option<Value> {
    let der = certificate_der(entity.get("cert")?.as_str()?).ok()?;
    Some(secret_hash::hexadecimal(&Sha256::digest(der)).into())
}

/// Unset values are no pair; those that don't parse have been refused by their own field.
fn pair(entity: &Map<String, Value>, certificate: &str, key: &str, error: &str) -> Result<(), String> {
    let public = certificate_key(entity, certificate);
    let private = entity
        .get(key)
        .and_then(Value::as_str)
        .and_then(|text| of_key(text).ok());
    match (public, private) {
        (Some(public), Some(private)) if public != private => Err(error.to_owned()),
        _ => Ok(()),
    }
}

fn certificate_key(entity: &Map<String, Value>, field: &str) -> Option<PublicKey> {
    of_certificate(entity.get(field)?.as_str()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EC_CERTIFICATE: &str = include_str!("test_keys/ec.crt");
    const EC_KEYS: [&str; 3] = [
        include_str!("test_keys/ec.pkcs8.key"),
        include_str!("test_keys/ec.sec1.key"),
        include_str!("test_keys/ec.pub"),
    ];
    const RSA_CERTIFICATE: &str = include_str!("test_keys/rsa.crt");
    const RSA_KEYS: [&str; 3] = [
        include_str!("test_keys/rsa.pkcs8.key"),
        include_str!("test_keys/rsa.pkcs1.key"),
        include_str!("test_keys/rsa.pub"),
    ];
    const ED25519_CERTIFICATE: &str = include_str!("test_keys/ed25519.crt");
    const ED25519_KEY: &str = include_str!("test_keys/ed25519.pkcs8.key");
    const ENCRYPTED_KEY: &str = include_str!("test_keys/rsa.encrypted.key");

    fn check(rule: fn(&Map<String, Value>) -> Result<(), String>, entity: &Value) -> Result<(), String> {
        rule(entity.as_object().unwrap())
    }

    #[test]
    fn a_certificate_goes_with_its_own_key_in_every_format() {
        for (certificate, keys, stranger) in [
            (EC_CERTIFICATE, &EC_KEYS[..], RSA_KEYS[0]),
            (RSA_CERTIFICATE, &RSA_KEYS[..], EC_KEYS[0]),
            (ED25519_CERTIFICATE, &[ED25519_KEY][..], EC_KEYS[0]),
        ] {
            assert_eq!(parses(certificate), Ok(()));
            for key in keys {
                assert_eq!(key_parses(key), Ok(()), "{key}");
                assert_eq!(
                    check(matches_key, &json!({"cert": certificate, "key": key})),
                    Ok(()),
                    "{key}"
                );
            }
            assert_eq!(
                check(matches_key, &json!({"cert": certificate, "key": stranger})),
                Err("certificate does not match key".to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_certificate_or_key_is_refused() {
        for text in [
            "",
            "x",
            EC_KEYS[0],
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(
                parses(text).unwrap_err().starts_with("invalid certificate: "),
                "{text}"
            );
        }
        for text in [
            "",
            "x",
            EC_CERTIFICATE,
            ENCRYPTED_KEY,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(
                key_parses(text).unwrap_err().starts_with("invalid key: "),
                "{text}"
            );
        }
    }

    #[test]
    fn an_alternative_certificate_has_its_own_key_and_another_type() {
        let mixed = json!({"cert": RSA_CERTIFICATE, "cert_alt": EC_CERTIFICATE, "key_alt": EC_KEYS[0]});
        assert_eq!(check(alternative_matches_key, &mixed), Ok(()));
        assert_eq!(check(alternative_differs_in_type, &mixed), Ok(()));
        let same = json!({"cert": EC_CERTIFICATE, "cert_alt": EC_CERTIFICATE, "key_alt": RSA_KEYS[0]});
        assert!(check(alternative_matches_key, &same).is_err());
        assert!(check(alternative_differs_in_type, &same).is_err());
        assert_eq!(
            check(
                alternative_differs_in_type,
                &json!({"cert": EC_CERTIFICATE, "cert_alt": null})
            ),
            Ok(())
        );
    }
}
