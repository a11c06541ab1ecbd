//! JSON Web Keys (RFC 7517): which of them load, and what a record of one may contain (README §6.2, `jwk`).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256K1_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1,
    EcdsaVerificationAlgorithm, ParsedPublicKey,
};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::key_material::PublicKey;

const TEXTS: [&str; 20] = [
    "issuer", "kty", "use", "alg", "x5u", "x5t", "x5t#S256", "k", "x", "y", "crv", "n", "e", "d", "p", "q",
    "dp", "dq", "qi", "oth",
];
const MORE_TEXTS: [&str; 3] = ["r", "t", "kid"];
const LISTS: [&str; 2] = ["key_ops", "x5c"];

/// How many members are named at most where many are wrong.
const MOST_FAULTS: usize = 100;

/// Base64 of the URL-safe alphabet, padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The public part of an RSA key, a point on a curve or an Edwards or Montgomery key; symmetric keys have none.
pub(super) fn public_key(key: &Map<String, Value>) -> Result<PublicKey, String> {
    match key.get("kty").and_then(Value::as_str) {
        Some("RSA") => Ok(PublicKey::Rsa {
            modulus: positive(number(key, "n")?),
            exponent: positive(number(key, "e")?),
        }),
        Some("EC") => point(key),
        Some("OKP") => octets(key),
        Some(other) => Err(format!(
            "a key of type {other} isn't supported: use RSA, EC or OKP"
        )),
        None => Err("kty is missing".to_owned()),
    }
}

fn number(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = key
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| format!("{name} is missing"))?;
    let bytes = BASE64.decode(text).map_err(|error| format!("{name}: {error}"))?;
    if bytes.is_empty() {
        return Err(format!("{name} is empty"));
    }
    Ok(bytes)
}

/// As DER writes a positive number: a zero before a leading bit, none else.
fn positive(bytes: Vec<u8>) -> Vec<u8> {
    let digits: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match digits.first() {
        Some(first) if *first < 0x80 => digits,
        _ => [&[0], digits.as_slice()].concat(),
    }
}

fn point(key: &Map<String, Value>) -> Result<PublicKey, String> {
    let (curve, length): (&'static EcdsaVerificationAlgorithm, usize) =
        match key.get("crv").and_then(Value::as_str) {
            Some("P-256") => (&ECDSA_P256_SHA256_ASN1, 32),
            Some("P-384") => (&ECDSA_P384_SHA384_ASN1, 48),
            Some("P-521") => (&ECDSA_P521_SHA512_ASN1, 66),
            Some("secp256k1") => (&ECDSA_P256K1_SHA256_ASN1, 32),
            _ => return Err("crv isn't P-256, P-384, P-521 or secp256k1".to_owned()),
        };
    let (x, y) = (number(key, "x")?, number(key, "y")?);
    if x.len() > length || y.len() > length {
        return Err("x or y is too long for this curve".to_owned());
    }
    let mut point = vec![4];
    for coordinate in [x, y] {
        point.resize(point.len() + length - coordinate.len(), 0);
        point.extend(coordinate);
    }
    ParsedPublicKey::new(curve, &point).map_err(|_| "not a point on this curve".to_owned())?;
    Ok(PublicKey::Point(point))
}

fn octets(key: &Map<String, Value>) -> Result<PublicKey, String> {
    let curve = key.get("crv").and_then(Value::as_str).unwrap_or_default();
    let length = match curve {
        "Ed25519" | "X25519" => 32,
        "Ed448" => 57,
        "X448" => 56,
        _ => return Err("crv isn't Ed25519, Ed448, X25519 or X448".to_owned()),
    };
    let public = number(key, "x")?;
    if public.len() != length {
        return Err(format!("x has {} bytes instead of {length}", public.len()));
    }
    Ok(if curve == "Ed25519" {
        PublicKey::Ed25519(public)
    } else {
        PublicKey::Other {
            algorithm: curve.to_owned(),
            key: public,
        }
    })
}

/// What is wrong with the members of a key: unknown ones, and known ones of another type.
pub(super) fn members(key: &Map<String, Value>) -> Result<(), String> {
    let mut errors: Vec<String> = key
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", fault(name, value)?)))
        .take(MOST_FAULTS)
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    errors.sort_unstable();
    Err(format!("Validation error: {}", errors.join("; ")))
}

fn fault(name: &str, value: &Value) -> Option<&'static str> {
    let text = |value: &Value| match value {
        Value::String(text) if text.is_empty() => Some("length must be at least 1"),
        Value::String(_) => None,
        _ => Some("expected a string"),
    };
    match value {
        _ if TEXTS.contains(&name) || MORE_TEXTS.contains(&name) => {
            if value.is_null() {
                None
            } else {
                text(value)
            }
        }
        Value::Null if LISTS.contains(&name) => None,
        Value::Array(items) if LISTS.contains(&name) => items.iter().find_map(text),
        _ if LISTS.contains(&name) => Some("expected an array"),
        _ => Some("unknown field"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load(key: &Value) -> Result<PublicKey, String> {
        public_key(key.as_object().unwrap())
    }

    #[test]
    fn keys_of_three_types_load() {
        let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
        let y = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";
        assert!(load(&json!({"kty": "EC", "crv": "P-256", "x": x, "y": y})).is_ok());
        assert!(
            load(
                &json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
            )
            .is_ok()
        );
        let rsa = load(&json!({"kty": "RSA", "n": "gAE", "e": "AQAB"})).unwrap();
        assert_eq!(
            rsa,
            PublicKey::Rsa {
                modulus: vec![0, 0x80, 1],
                exponent: vec![1, 0, 1]
            }
        );
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
        for bad in [
            json!({}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "RSA", "n": "gAE"}),
            json!({"kty": "RSA", "n": "!", "e": "AQAB"}),
            json!({"kty": "EC", "crv": "P-256", "x": x, "y": x}),
            json!({"kty": "EC", "crv": "P-1", "x": x, "y": x}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        ] {
            assert!(load(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_are_known_and_texts_or_lists_of_texts() {
        let check = |key: Value| members(key.as_object().unwrap());
        assert_eq!(
            check(json!({"kty": "RSA", "kid": "1", "x5c": ["a"], "use": null})),
            Ok(())
        );
        assert_eq!(
            check(json!({"foo": "x"})),
            Err("Validation error: foo: unknown field".to_owned())
        );
        assert_eq!(
            check(json!({"key_ops": [1], "alg": 5})),
            Err("Validation error: alg: expected a string; key_ops: expected a string".to_owned())
        );
    }
}
