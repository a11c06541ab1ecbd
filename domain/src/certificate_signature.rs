//! Whether the holder of a certificate's private key signed something: another certificate, or a challenge.
//!
//! Every algorithm that goes with a key is tried, so this verifies at least what a TLS stack would: nobody's certificate
//! passes there as another's after it was found to be nobody's here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1, ECDSA_P384_SHA256_ASN1,
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA256_ASN1, ECDSA_P521_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ED25519, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::{SubjectPublicKeyInfo, X509Certificate};

const P256: &[&dyn VerificationAlgorithm] = &[
    &ECDSA_P256_SHA256_ASN1,
    &ECDSA_P256_SHA384_ASN1,
    &ECDSA_P256_SHA512_ASN1,
];
const P384: &[&dyn VerificationAlgorithm] = &[
    &ECDSA_P384_SHA384_ASN1,
    &ECDSA_P384_SHA256_ASN1,
    &ECDSA_P384_SHA512_ASN1,
];
const P521: &[&dyn VerificationAlgorithm] = &[
    &ECDSA_P521_SHA512_ASN1,
    &ECDSA_P521_SHA256_ASN1,
    &ECDSA_P521_SHA384_ASN1,
];
const RSA: &[&dyn VerificationAlgorithm] = &[
    &RSA_PKCS1_2048_8192_SHA256,
    &RSA_PKCS1_2048_8192_SHA384,
    &RSA_PKCS1_2048_8192_SHA512,
    &RSA_PSS_2048_8192_SHA256,
    &RSA_PSS_2048_8192_SHA384,
    &RSA_PSS_2048_8192_SHA512,
];
const EDWARDS: &[&dyn VerificationAlgorithm] = &[&ED25519];
/// What old roots signed themselves with. Good enough to see that they are whole; no proof of anything.
const LEGACY: &[&dyn VerificationAlgorithm] = &[&RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY];

/// Whether the holder of this key signed the message.
pub fn verifies(key: &SubjectPublicKeyInfo<'_>, message: &[u8], signature: &[u8]) -> bool {
    verifies_with(algorithms(key), key, message, signature)
}

/// Whether a certificate was signed with this key.
pub fn is_signed_with(certificate: &X509Certificate<'_>, key: &SubjectPublicKeyInfo<'_>) -> bool {
    let message = certificate.tbs_certificate.as_ref();
    verifies(key, message, &certificate.signature_value.data)
}

/// Whether a certificate was signed with its own key, also by an old algorithm.
pub fn is_signed_by_itself(certificate: &X509Certificate<'_>) -> bool {
    let (key, message) = (certificate.public_key(), certificate.tbs_certificate.as_ref());
    let legacy = match key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
        true => LEGACY,
        false => &[],
    };
    is_signed_with(certificate, key) || verifies_with(legacy, key, message, &certificate.signature_value.data)
}

fn verifies_with(
    algorithms: &[&'static dyn VerificationAlgorithm],
    key: &SubjectPublicKeyInfo<'_>,
    message: &[u8],
    signature: &[u8],
) -> bool {
    algorithms.iter().any(|algorithm| {
        let key = UnparsedPublicKey::new(*algorithm, &key.subject_public_key.data);
        key.verify(message, signature).is_ok()
    })
}

/// The algorithms that go with a key; none where it is of a kind that instances can't use.
fn algorithms(key: &SubjectPublicKeyInfo<'_>) -> &'static [&'static dyn VerificationAlgorithm] {
    let kind = &key.algorithm;
    if kind.algorithm == OID_PKCS1_RSAENCRYPTION {
        return RSA;
    }
    if kind.algorithm == OID_SIG_ED25519 {
        return EDWARDS;
    }
    if kind.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return &[];
    }
    let curve = kind.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    match curve {
        Some(curve) if curve == OID_EC_P256 => P256,
        Some(curve) if curve == OID_NIST_EC_P384 => P384,
        Some(curve) if curve == OID_NIST_EC_P521 => P521,
        _ => &[],
    }
}
