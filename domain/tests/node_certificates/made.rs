//! Certificates made for a test, each with its key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::organization::CertificateContent;
use domain::system::ClaimedCertificate;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// A certificate and its key, which may issue others.
pub(crate) struct Made(CertifiedIssuer<'static, KeyPair>);

impl Made {
    /// An authority that issued itself.
    pub(crate) fn root(name: &str) -> Self {
        Self(CertifiedIssuer::self_signed(authority(name), key()).expect("it signs itself"))
    }

    /// An authority below this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        self.with_key(name, key())
    }

    /// An authority below this one with a key that somebody else has as well.
    pub(crate) fn with_the_key_of(&self, name: &str, other: &Self) -> Self {
        let pem = other.0.key().serialize_pem();
        self.with_key(name, KeyPair::from_pem(&pem).expect("a key"))
    }

    fn with_key(&self, name: &str, key: KeyPair) -> Self {
        Self(CertifiedIssuer::signed_by(authority(name), key, &self.0).expect("the other signs it"))
    }

    /// An instance's certificate, issued by this authority.
    pub(crate) fn leaf(&self, name: &str) -> Self {
        Self(CertifiedIssuer::signed_by(named(name), key(), &self.0).expect("the other signs it"))
    }

    /// It, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// It, as groups claim it.
    pub(crate) fn claimed(&self) -> ClaimedCertificate {
        claimed(&self.pem())
    }

    /// A text signed with its key, in base64.
    pub(crate) fn signs(&self, text: &str) -> String {
        let pkcs8 = self.0.key().serialize_der();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).expect("a key");
        let signature = pair
            .sign(&SystemRandom::new(), text.as_bytes())
            .expect("it signs");
        STANDARD.encode(signature)
    }
}

/// A certificate of a text, as groups claim it.
pub(crate) fn claimed(pem: &str) -> ClaimedCertificate {
    let der = CertificateContent::of_pem(pem).and_then(|content| content.der());
    ClaimedCertificate::of_der(&der.expect("a certificate")).expect("a certificate")
}

/// The same certificate with the last byte of its signature turned over: another fingerprint, the same subject and key.
pub(crate) fn altered(pem: &str) -> String {
    let mut der = CertificateContent::of_pem(pem)
        .and_then(|content| content.der())
        .expect("a certificate");
    *der.last_mut().expect("it isn't empty") ^= 1;
    CertificateContent::of_der(&der)
        .expect("it can still be read")
        .pem
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters
}
