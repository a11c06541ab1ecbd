//! The listener's certificate: issued at each start by the installation's built-in CA (DESIGN §7), never written down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::system::Authority;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
    /// The CA's certificate isn't PEM.
    #[error("the built-in CA's certificate can't be read: {0}")]
    Authority(#[from] rustls::pki_types::pem::Error),
}

/// TLS for a listener: TLS 1.2 and 1.3 with a certificate for these host names and addresses, beside the local ones.
pub fn server_tls(
    authority: &Authority,
    names: &[String],
    now: Timestamp,
) -> Result<Arc<rustls::ServerConfig>, CertificateError> {
    let key = KeyPair::generate()?;
    let certificate = parameters(names, now)?.signed_by(&key, &issuer(authority)?)?;
    let chain = vec![
        certificate.der().clone(),
        CertificateDer::from_pem_slice(authority.certificate.as_bytes())?,
    ];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn issuer(authority: &Authority) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
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
