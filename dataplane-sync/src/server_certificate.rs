//! The listener's certificate: issued at each start by the installation's built-in CA (DESIGN §7), never written down;
//! and the pair that an address may have instead for Kong's `cluster_mtls=shared`, whose nodes all ask for the same name.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::system::Authority;
use domain::{Secret, Timestamp};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::client_certificate::AnyHeldCertificate;

/// What every node with `cluster_mtls=shared` asks for.
const SHARED_NAME: &str = "kong_clustering";
/// How long a certificate is valid, in seconds: two years, a new one being issued at each start.
const VALIDITY: i64 = 2 * 365 * 86_400;
/// How far a client's clock may be behind, in seconds.
const CLOCK_SKEW: i64 = 86_400;

/// Why no certificate could be issued.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The CA's certificate or key can't be used, or a name isn't a host's.
    #[error("the data-plane listener's certificate can't be issued by the built-in CA: {0}")]
    Issue(#[from] rcgen::Error),
    /// What was issued can't be served.
    #[error("the data-plane listener's TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// Something isn't PEM.
    #[error("a certificate or key isn't PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// The pair for `cluster_mtls=shared` can't be served.
    #[error("the shared pair of the data-plane listener can't be used: {0}")]
    SharedPair(&'static str),
}

/// A certificate with its key, both PEM, that nodes with `cluster_mtls=shared` have too (`kong-hybrid-protocol.md` §1.2).
#[derive(Clone, Debug)]
pub struct SharedPair {
    /// The certificate; version 1, as `kong hybrid gen_cert` makes it, will do.
    pub certificate: String,
    /// Its key.
    pub key: Secret,
}

/// The certificate issued by the built-in CA.
#[derive(Debug)]
pub struct ServerCertificate(Arc<CertifiedKey>);

impl ServerCertificate {
    /// One for these host names and addresses, beside the local ones.
    pub fn issue(authority: &Authority, names: &[String], now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = parameters(names, now)?.signed_by(&key, &issuer(authority)?)?;
        let chain = vec![
            certificate.der().clone(),
            CertificateDer::from_pem_slice(authority.certificate.as_bytes())?,
        ];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = default_provider().key_provider.load_private_key(key)?;
        Ok(Self(Arc::new(CertifiedKey::new(chain, signing))))
    }

    /// TLS 1.2 and 1.3 for an address, which serves the shared pair to those who ask for its name.
    pub fn tls(&self, shared: Option<&SharedPair>) -> Result<Arc<ServerConfig>, CertificateError> {
        let provider = Arc::new(default_provider());
        let shared = shared.map(|pair| certified(pair).map(Arc::new)).transpose()?;
        let by_name = ByName {
            own: self.0.clone(),
            shared,
        };
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(Arc::new(AnyHeldCertificate::new(provider)))
            .with_cert_resolver(Arc::new(by_name));
        // Instances keep their connections for days: nobody resumes a session.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Arc::new(config))
    }
}

/// Chooses by the name that is asked for.
#[derive(Debug)]
struct ByName {
    own: Arc<CertifiedKey>,
    shared: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match &self.shared {
            Some(shared) if hello.server_name() == Some(SHARED_NAME) => Some(shared.clone()),
            _ => Some(self.own.clone()),
        }
    }
}

/// Put together by hand, because rustls reads no certificates of version 1.
fn certified(pair: &SharedPair) -> Result<CertifiedKey, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<_, _>>()?;
    let leaf = chain
        .first()
        .ok_or(CertificateError::SharedPair("the file holds no certificate"))?;
    let (_, parsed) = X509Certificate::from_der(leaf)
        .map_err(|_| CertificateError::SharedPair("the certificate can't be read"))?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose().as_bytes())?;
    let signing = default_provider().key_provider.load_private_key(key)?;
    match signing.public_key() {
        Some(public) if public.as_ref() != parsed.tbs_certificate.subject_pki.raw => {
            Err(CertificateError::SharedPair("the key isn't the certificate's"))
        }
        _ => Ok(CertifiedKey::new(chain, signing)),
    }
}

/// The built-in CA as that which issues certificates.
pub fn issuer(authority: &Authority) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
    let key = KeyPair::from_pem(authority.key.expose())?;
    Issuer::from_ca_cert_pem(&authority.certificate, key)
}

fn parameters(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::default();
    let local = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    for name in local.iter().chain(names) {
        let name = match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        };
        if !parameters.subject_alt_names.contains(&name) {
            parameters.subject_alt_names.push(name);
        }
    }
    parameters
        .distinguished_name
        .push(DnType::CommonName, "Runtime Manager data-plane listener");
    let since_1970 = |at: Timestamp| Duration::from_secs(at.seconds().unsigned_abs());
    parameters.not_before = date_time_ymd(1970, 1, 1) + since_1970(now.plus_seconds(-CLOCK_SKEW));
    parameters.not_after = date_time_ymd(1970, 1, 1) + since_1970(now.plus_seconds(VALIDITY));
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}
