//! The public part of a certificate or a key, in a form in which two of them can be compared.
//!
//! RSA keys carry their modulus and exponent, so they are only read: that also covers sizes that crypto libraries
//! refuse to use. A point on a curve has to be computed from the private scalar, which `aws-lc-rs` does; it is in the
//! program anyway, and loading a key needs neither randomness nor I/O.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256K1_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

use super::web_key;

/// A public key, whatever it was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
    Point(Vec<u8>),
    Ed25519(Vec<u8>),
    /// Of an algorithm that only certificates and public keys are accepted in.
    Other {
        algorithm: String,
        key: Vec<u8>,
    },
}

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";

/// The public key of the first certificate in the text.
pub(super) fn of_certificate(text: &str) -> Result<PublicKey, String> {
    let der = certificate_der(text)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|error| error.to_string())?;
    of_public_info(certificate.public_key())
}

/// The first certificate in the text, as DER.
pub(super) fn certificate_der(text: &str) -> Result<Vec<u8>, String> {
    let certificate = |block: &Pem| matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE");
    let block = blocks(text)?.into_iter().find(certificate);
    Ok(block.ok_or("no certificate in PEM format found")?.contents)
}

/// The public part of the first key in the text: PKCS#8, PKCS#1, SEC 1 or a public key as unencrypted PEM, or a JSON
/// Web Key.
pub(super) fn of_key(text: &str) -> Result<PublicKey, String> {
    if text.trim_start().starts_with('{') {
        let key = serde_json::from_str(text).map_err(|error| error.to_string())?;
        return web_key::public_key(&key);
    }
    of_block(&key_block(text)?)
}

/// The public key of a `PUBLIC KEY` in PEM.
pub(super) fn of_public_pem(text: &str) -> Result<PublicKey, String> {
    let block = key_block(text)?;
    if block.label == "PUBLIC KEY" {
        return of_block(&block);
    }
    Err(format!("a {} is no PUBLIC KEY", block.label))
}

/// The public part of a private key in PEM.
pub(super) fn of_private_pem(text: &str) -> Result<PublicKey, String> {
    let block = key_block(text)?;
    if block.label.ends_with("PRIVATE KEY") {
        return of_block(&block);
    }
    Err(format!("a {} is no private key", block.label))
}

fn key_block(text: &str) -> Result<Pem, String> {
    let key = blocks(text)?
        .into_iter()
        .find(|block| block.label.ends_with("KEY"));
    key.ok_or_else(|| "no key in PEM format found".to_owned())
}

fn of_block(key: &Pem) -> Result<PublicKey, String> {
    let der = key.contents.as_slice();
    match key.label.as_str() {
        "PRIVATE KEY" => of_pkcs8(der),
        "RSA PRIVATE KEY" => of_rsa_private(der),
        "EC PRIVATE KEY" => of_ec_private(der),
        "PUBLIC KEY" => {
            let (_, info) = SubjectPublicKeyInfo::from_der(der).map_err(|error| error.to_string())?;
            of_public_info(&info)
        }
        "RSA PUBLIC KEY" => of_rsa_public(der),
        "ENCRYPTED PRIVATE KEY" => Err("the key is encrypted: decrypt it first".to_owned()),
        other => Err(format!("a {other} isn't supported")),
    }
}

fn blocks(text: &str) -> Result<Vec<Pem>, String> {
    Pem::iter_from_buffer(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn of_public_info(info: &SubjectPublicKeyInfo<'_>) -> Result<PublicKey, String> {
    let key = info.subject_public_key.data.as_ref();
    Ok(match info.algorithm.algorithm.to_id_string().as_str() {
        RSA_ENCRYPTION => of_rsa_public(key)?,
        EC_PUBLIC_KEY => PublicKey::Point(key.to_vec()),
        ED25519 => PublicKey::Ed25519(key.to_vec()),
        other => PublicKey::Other {
            algorithm: other.to_owned(),
            key: key.to_vec(),
        },
    })
}

/// `PrivateKeyInfo`: version, algorithm, and the algorithm's own structure in an octet string (RFC 5958).
fn of_pkcs8(der: &[u8]) -> Result<PublicKey, String> {
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
    const EC: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    const ED: &[u8] = &[0x2B, 0x65, 0x70];
    let (info, _) = element(der, SEQUENCE)?;
    let (_, after) = element(info, INTEGER)?;
    let (algorithm, after) = element(after, SEQUENCE)?;
    let (key, _) = element(after, OCTET_STRING)?;
    match element(algorithm, OBJECT_IDENTIFIER)?.0 {
        RSA => of_rsa_private(key),
        EC => of_ec_private(der),
        ED => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(|pair| PublicKey::Ed25519(pair.public_key().as_ref().to_vec()))
            .map_err(|error| error.to_string()),
        _ => Err("this key's algorithm isn't supported: use RSA, ECDSA or Ed25519".to_owned()),
    }
}

/// `RSAPrivateKey`: version, modulus, public exponent, … (RFC 8017).
fn of_rsa_private(der: &[u8]) -> Result<PublicKey, String> {
    let (fields, _) = element(der, SEQUENCE)?;
    let (_, after) = element(fields, INTEGER)?;
    rsa(after)
}

fn of_rsa_public(der: &[u8]) -> Result<PublicKey, String> {
    rsa(element(der, SEQUENCE)?.0)
}

fn rsa(fields: &[u8]) -> Result<PublicKey, String> {
    let (modulus, after) = element(fields, INTEGER)?;
    let (exponent, _) = element(after, INTEGER)?;
    Ok(PublicKey::Rsa {
        modulus: modulus.to_vec(),
        exponent: exponent.to_vec(),
    })
}

/// The curve is in the key; each loader accepts only its own.
fn of_ec_private(der: &[u8]) -> Result<PublicKey, String> {
    [
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &ECDSA_P384_SHA384_ASN1_SIGNING,
        &ECDSA_P521_SHA512_ASN1_SIGNING,
        &ECDSA_P256K1_SHA256_ASN1_SIGNING,
    ]
    .into_iter()
    .find_map(|curve| EcdsaKeyPair::from_private_key_der(curve, der).ok())
    .map(|pair| PublicKey::Point(pair.public_key().as_ref().to_vec()))
    .ok_or_else(|| "not a key on P-256, P-384, P-521 or secp256k1".to_owned())
}

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

/// The contents of the DER element at the beginning, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Result<(&[u8], &[u8]), String> {
    let malformed = || "malformed key".to_owned();
    let [found, length, rest @ ..] = der else {
        return Err(malformed());
    };
    if *found != tag {
        return Err(malformed());
    }
    let (length, rest) = match usize::from(*length) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80).ok_or_else(malformed)?;
            if digits.is_empty() || digits.len() > 4 {
                return Err(malformed());
            }
            (
                digits
                    .iter()
                    .fold(0, |length, digit| length << 8 | usize::from(*digit)),
                rest,
            )
        }
    };
    rest.split_at_checked(length).ok_or_else(malformed)
}
