//! TLS as a data plane makes it: no ALPN, its certificate always presented, the control plane's always verified, as OpenSSL does it:
//! X.509 version 1 is as good as version 3.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::identity::{Identity, Trust};

/// Both versions that a data plane of every release speaks.
pub static EVERY_VERSION: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
/// Only TLS 1.2.
pub static ONLY_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
/// Only TLS 1.3.
pub static ONLY_1_3: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// The connector of a node with this identity; it offers these versions of TLS.
///
/// # Panics
/// When the identity has no usable key or authority.
pub fn connector(identity: &Identity, versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::of(identity, &provider);
    let key = provider
        .key_provider
        .load_private_key(identity.pair.private_key())
        .expect("the key can be used");
    let chain = identity.pair.chain();
    // Not checked against each other: a certificate of version 1 couldn't be, and somebody may present one without its key.
    let presented = Arc::new(CertifiedKey::new(chain, key));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has these versions of TLS")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Presented(presented)));
    // A data plane shakes hands in full each time.
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// Connects; `limit` is the node's time for the connection and again for the handshake.
pub async fn connect(
    connector: &TlsConnector,
    identity: &Identity,
    address: SocketAddr,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, String> {
    let stream = timeout(limit, TcpStream::connect(address)).await;
    let stream = stream
        .map_err(|_| "timeout while connecting")?
        .map_err(|error| format!("connection failed: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let secured = timeout(limit, connector.connect(identity.server_name(), stream)).await;
    secured
        .map_err(|_| "timeout in the TLS handshake")?
        .map_err(|error| format!("TLS handshake failed: {error}"))
}

/// The certificate that is presented whoever asks.
#[derive(Debug)]
struct Presented(Arc<CertifiedKey>);

impl ResolvesClientCert for Presented {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Chain and name, as the node's trust has it.
struct Verifier {
    /// In shared mode the certificate that is trusted itself.
    own: Option<CertificateDer<'static>>,
    /// In pki mode what chains are verified with.
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn of(identity: &Identity, provider: &Arc<CryptoProvider>) -> Self {
        let chains = match &identity.trust {
            Trust::Shared => None,
            Trust::Pki { authority, .. } => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
                    roots
                        .add(certificate.expect("cluster_ca_cert is PEM"))
                        .expect("cluster_ca_cert has authorities");
                }
                let built =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                        .build();
                Some(built.expect("there is an authority to trust"))
            }
        };
        Self {
            own: chains.is_none().then(|| identity.pair.der()),
            chains,
            provider: Arc::clone(provider),
        }
    }

    /// Verifies what the peer signed in the handshake, whatever version of X.509 its certificate has.
    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, certificate) =
            X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let key = certificate.public_key();
        let supported = &self.provider.signature_verification_algorithms;
        let candidates = supported
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signed.scheme);
        let verified = candidates
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                let public_key = &key.subject_public_key.data;
                algorithm
                    .verify_signature(public_key, message, signed.signature())
                    .is_ok()
            });
        if verified {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chains) = &self.chains {
            return chains.verify_server_cert(certificate, intermediates, name, ocsp, now);
        }
        if self.own.as_ref() != Some(certificate) {
            return Err(CertificateError::UnknownIssuer.into());
        }
        if !names(certificate).contains(&name.to_str().into_owned()) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Verifier")
    }
}

/// The names that a certificate is for: its alternative names or, only where it has none, its common name.
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    if let Ok(Some(extension)) = certificate.subject_alternative_name() {
        let names = extension.value.general_names.iter();
        return names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                _ => None,
            })
            .collect();
    }
    let common = certificate.subject().iter_common_name();
    common
        .filter_map(|name| name.as_str().ok().map(str::to_owned))
        .collect()
}
