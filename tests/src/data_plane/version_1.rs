//! A certificate of X.509 version 1, as plain `openssl x509 -req` makes it: what version 3 says, without its extensions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, SigningKey as _};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;

/// The certificate of version 3 (DER) as one of version 1, signed with its issuer's key; PEM.
///
/// # Panics
/// When it isn't a certificate.
pub(super) fn version_1(certificate: &[u8], issuer: &KeyPair) -> String {
    let (_, certificate) = X509Certificate::from_der(certificate).expect("a certificate");
    let signed = &certificate.tbs_certificate;
    // The name of the algorithm stands before the signature's bits at the end, and it is the issuer's.
    let algorithm = sequence(&[&object_identifier(&signed.signature.algorithm)]);
    let validity = sequence(&[
        &value(UTC_TIME, b"250101000000Z"),
        &value(UTC_TIME, b"450101000000Z"),
    ]);
    let body = sequence(&[
        &value(INTEGER, signed.raw_serial()),
        &algorithm,
        signed.issuer.as_raw(),
        &validity,
        signed.subject.as_raw(),
        signed.subject_pki.raw,
    ]);
    let signature = issuer.sign(&body).expect("the key signs");
    let signature = value(BIT_STRING, &[&[0], signature.as_slice()].concat());
    pem(&sequence(&[&body, &algorithm, &signature]))
}

fn object_identifier(oid: &x509_parser::der_parser::Oid<'_>) -> Vec<u8> {
    value(0x06, oid.as_bytes())
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// A value of DER: its tag, its length, its content.
fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7F => vec![tag, length as u8],
        0x80..=0xFF => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), content].concat()
}

fn pem(der: &[u8]) -> String {
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(der)
    )
}
