//! A certificate by which runtime instances prove which group they belong to, and how one is read from PEM.
//!
//! Only certificates are kept, never private keys. X.509 version 1, which `kong hybrid gen_cert` writes, is as good
//! as version 3.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::error::OrganizationError;
use crate::certificate_signature::is_signed_by_itself;
use crate::fingerprint::Fingerprint;
use crate::{GroupId, NodeCertificateId, Timestamp};

/// How many certificates a group may have: enough for a large fleet in which each instance has its own.
pub const CERTIFICATE_LIMIT: usize = 1_000;
/// How many of them may be authorities: each is tried for every instance that isn't known otherwise.
pub const AUTHORITY_LIMIT: usize = 32;
/// The longest text a certificate is read from, in bytes; chains of several kilobytes are refused for another reason.
pub const LONGEST_PEM: usize = 32 * 1024;

const LINE: usize = 64;

/// A certificate of a group's instances, or of an authority that issues such certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// Its id.
    pub id: NodeCertificateId,
    /// The group it opens.
    pub group: GroupId,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it says.
    pub content: CertificateContent,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed: certificates never are, so this is when it was added.
    pub updated_at: Timestamp,
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateContent {
    /// The certificate and nothing else, as PEM in lines of 64 characters.
    pub pem: String,
    /// The SHA-256 of its DER encoding.
    pub fingerprint: Fingerprint,
    /// Whose it is, for example `CN=edge`.
    pub subject: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// From when on it is valid.
    pub not_before: Timestamp,
    /// Until when it is valid.
    pub not_after: Timestamp,
    /// Whether it may issue other certificates.
    pub is_ca: bool,
    /// Its X.509 version: 1 or 3.
    pub version: u32,
}

impl CertificateContent {
    /// Reads the one certificate in a text; refuses private keys, several certificates and what is none.
    pub fn of_pem(text: &str) -> Result<Self, OrganizationError> {
        if text.len() > LONGEST_PEM {
            return Err(invalid(&format!("must have at most {LONGEST_PEM} bytes")));
        }
        let blocks = Pem::iter_from_buffer(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| invalid(&format!("must be a certificate in PEM format: {error}")))?;
        if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(invalid(
                "must be the certificate alone: a private key stays with the instance and is never sent here",
            ));
        }
        let [block] = blocks.as_slice() else {
            return Err(invalid(match blocks.len() {
                0 => "must be a certificate in PEM format",
                _ => "must be one certificate: add each by a request of its own",
            }));
        };
        if !matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE") {
            return Err(invalid(&format!("must be a certificate, not a {}", block.label)));
        }
        Self::of_der(&block.contents)
    }

    /// Reads a certificate.
    pub fn of_der(der: &[u8]) -> Result<Self, OrganizationError> {
        let (rest, certificate) = X509Certificate::from_der(der)
            .map_err(|error| invalid(&format!("isn't an X.509 certificate: {error}")))?;
        // A handshake carries the certificate alone, so its fingerprint would be another one.
        if !rest.is_empty() {
            return Err(invalid("has bytes after the certificate's end"));
        }
        let validity = certificate.validity();
        let time = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
        Ok(Self {
            pem: pem(der),
            fingerprint: Fingerprint::of(der),
            subject: certificate.subject().to_string(),
            serial: certificate.tbs_certificate.serial.to_str_radix(16),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            is_ca: certificate.is_ca(),
            version: certificate.version().0 + 1,
        })
    }

    /// Refuses an authority that says it issued itself and whose signature isn't its own: its bytes were altered.
    pub fn check_own_signature(&self) -> Result<(), OrganizationError> {
        let der = self.der()?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| invalid(&error.to_string()))?;
        let issued_itself = certificate.subject().as_raw() == certificate.issuer().as_raw();
        if self.is_ca && issued_itself && !is_signed_by_itself(&certificate) {
            return Err(invalid(
                "says that it issued itself, but its signature isn't by its own key: it was altered or damaged, so take it from its source again",
            ));
        }
        Ok(())
    }

    /// Whether it has expired at this time.
    pub fn has_expired(&self, at: Timestamp) -> bool {
        self.not_after < at
    }

    /// The certificate as it is sent in a handshake.
    pub fn der(&self) -> Result<Vec<u8>, OrganizationError> {
        let block = Pem::iter_from_buffer(self.pem.as_bytes()).next();
        match block {
            Some(Ok(block)) => Ok(block.contents),
            _ => Err(invalid("isn't PEM")),
        }
    }
}

fn invalid(reason: &str) -> OrganizationError {
    OrganizationError::invalid("cert", reason)
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}
