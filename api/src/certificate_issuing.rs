//! A certificate for an instance, issued by the installation's built-in CA (DESIGN §7). Its key is made here, answered
//! once and written down nowhere.

use std::time::Duration;

use dataplane_sync::server_certificate;
use domain::organization::{CertificateContent, OrganizationError};
use domain::system::Authority;
use domain::{Secret, Timestamp};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use zeroize::Zeroizing;

/// How long a certificate is valid unless told otherwise, in days: as long as those of `kong hybrid gen_cert`.
pub const DEFAULT_DAYS: u32 = 3 * 365;
/// The longest that a certificate may be asked for, in days: as long as the built-in CA.
pub const LONGEST_DAYS: u32 = 10 * 365;
const SECONDS_OF_A_DAY: i64 = 86_400;
/// How far another clock may be behind, in seconds.
const CLOCK_SKEW: i64 = 86_400;
/// The most characters of a common name (X.520).
const COMMON_NAME: usize = 64;

/// A certificate and its key.
#[derive(Debug)]
pub struct IssuedCertificate {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 PEM.
    pub key: Secret,
}

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The CA's certificate or key can't be used.
    #[error("the built-in CA can't issue certificates: {0}")]
    Authority(#[from] rcgen::Error),
    /// The CA's certificate can't be read.
    #[error("the built-in CA's certificate can't be read: {0}")]
    Certificate(#[from] OrganizationError),
}

/// Issues a certificate for TLS clients under this common name, for so many days, but not beyond the CA's own end.
pub fn issue(
    authority: &Authority,
    name: &str,
    now: Timestamp,
    days: u32,
) -> Result<IssuedCertificate, IssueError> {
    let issuer = server_certificate::issuer(authority)?;
    let ends = CertificateContent::of_pem(&authority.certificate)?.not_after;
    let wanted = now.plus_seconds(i64::from(days) * SECONDS_OF_A_DAY);
    let mut parameters = parameters(name);
    parameters.not_before = date_time_ymd(1970, 1, 1) + since_1970(now.plus_seconds(-CLOCK_SKEW));
    parameters.not_after = date_time_ymd(1970, 1, 1) + since_1970(wanted.min(ends));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = parameters.signed_by(&key, &issuer)?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(IssuedCertificate {
        certificate: certificate.pem(),
        key: Secret::new(key.to_string()),
    })
}

fn parameters(name: &str) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    let name: String = name.chars().take(COMMON_NAME).collect();
    subject.push(DnType::CommonName, name);
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(at.seconds().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
    use rustls::server::WebPkiClientVerifier;

    use super::*;
    use crate::compose::authority;

    fn now() -> Timestamp {
        "2026-03-01T00:00:00Z".parse().unwrap()
    }

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    /// Whether a server that trusts the CA takes the certificate of a client at that time.
    fn verifies(authority: &Authority, issued: &IssuedCertificate, at: Timestamp) -> bool {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.certificate)).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        let at = UnixTime::since_unix_epoch(since_1970(at));
        let leaf = certificate(&issued.certificate);
        verifier.verify_client_cert(&leaf, &[], at).is_ok()
    }

    #[test]
    fn an_issued_certificate_is_one_for_clients_that_chains_to_the_authority() {
        let authority = authority::create(now()).unwrap();
        let issued = issue(&authority, "edge", now(), DEFAULT_DAYS).unwrap();
        assert!(verifies(&authority, &issued, now()));
        let stranger = authority::create(now()).unwrap();
        assert!(!verifies(&stranger, &issued, now()));
        let content = CertificateContent::of_pem(&issued.certificate).unwrap();
        assert_eq!(
            (content.subject.as_str(), content.version, content.is_ca),
            ("CN=edge", 3, false)
        );
        assert_eq!(content.not_after, now().plus_seconds(3 * 365 * SECONDS_OF_A_DAY));
        assert!(!verifies(&authority, &issued, content.not_after.plus_seconds(1)));
    }

    #[test]
    fn its_key_is_its_own() {
        let authority = authority::create(now()).unwrap();
        let issued = issue(&authority, "edge", now(), 30).unwrap();
        let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let pair = rustls::sign::CertifiedKey::new(vec![certificate(&issued.certificate)], key);
        pair.keys_match().unwrap();
    }

    #[test]
    fn it_does_not_outlive_the_authority_and_its_name_is_cut_to_what_fits() {
        let authority = authority::create(now()).unwrap();
        let later = now().plus_seconds(9 * 365 * SECONDS_OF_A_DAY);
        let issued = issue(&authority, &"e".repeat(100), later, LONGEST_DAYS).unwrap();
        let content = CertificateContent::of_pem(&issued.certificate).unwrap();
        let authority = CertificateContent::of_pem(&authority.certificate).unwrap();
        assert_eq!(content.not_after, authority.not_after);
        assert_eq!(content.subject, format!("CN={}", "e".repeat(64)));
    }
}
