//! TLS asks every instance for a certificate and takes any, or none: who is let in with it, the
//! [`crate::gatekeeper`] judges once the connection stands. What is proven here is that the instance holds the
//! certificate's private key.
//!
//! `kong hybrid gen_cert` makes X.509 version 1 certificates, which neither rustls nor webpki read
//! (`kong-hybrid-protocol.md` §1.3), so the signature is verified with the public key taken out of the certificate.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

/// Takes any certificate whose key the instance has proven to hold.
#[derive(Debug)]
pub(crate) struct AnyHeldCertificate {
    provider: Arc<CryptoProvider>,
}

impl AnyHeldCertificate {
    pub(crate) const fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ClientCertVerifier for AnyHeldCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        parsed(end_entity).map(|_| ClientCertVerified::assertion())
    }

    /// In TLS 1.2 a scheme leaves the curve open, so every algorithm that goes with the key is tried.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parsed(certificate)?;
        let key = &certificate.tbs_certificate.subject_pki;
        let key_algorithm = algorithm_content(key.raw);
        let algorithms = self.provider.signature_verification_algorithms.mapping;
        let named = algorithms.iter().filter(|(scheme, _)| *scheme == signed.scheme);
        let verified = named
            .flat_map(|(_, algorithms)| algorithms.iter())
            .any(|algorithm| {
                Some(algorithm.public_key_alg_id().as_ref()) == key_algorithm
                    && algorithm
                        .verify_signature(&key.subject_public_key.data, message, signed.signature())
                        .is_ok()
            });
        match verified {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(CertificateError::BadSignature.into()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let certificate = parsed(certificate)?;
        let key = SubjectPublicKeyInfoDer::from(certificate.tbs_certificate.subject_pki.raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn parsed<'der>(certificate: &'der CertificateDer<'_>) -> Result<X509Certificate<'der>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => Ok(certificate),
        Err(_) => Err(CertificateError::BadEncoding.into()),
    }
}

/// What stands inside the algorithm identifier of a subject's public key: the form in which algorithms name themselves.
fn algorithm_content(public_key_info: &[u8]) -> Option<&[u8]> {
    let (_, info) = x509_parser::der_parser::asn1_rs::Any::from_der(public_key_info).ok()?;
    let (_, algorithm) = x509_parser::der_parser::asn1_rs::Any::from_der(info.data).ok()?;
    Some(algorithm.data)
}
