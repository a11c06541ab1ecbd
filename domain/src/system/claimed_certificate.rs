//! A certificate that a group claims, as far as it decides whose instances are whose.
//!
//! What counts is the subject and its key, not the bytes: the same authority can be written as many different
//! certificates, by anybody.

use std::fmt;
use std::sync::Arc;

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::certificate_signature::is_signed_with;
use crate::fingerprint::Fingerprint;

/// A certificate, with what it says about itself at hand.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedCertificate(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    der: Vec<u8>,
    fingerprint: Fingerprint,
    /// Names and key as they are encoded: TLS compares them so.
    subject: Vec<u8>,
    issuer: Vec<u8>,
    key: Vec<u8>,
    is_ca: bool,
}

impl ClaimedCertificate {
    /// Reads a certificate; none if it isn't one.
    pub fn of_der(der: &[u8]) -> Option<Self> {
        let certificate = parsed(der)?;
        let parts = Parts {
            der: der.to_vec(),
            fingerprint: Fingerprint::of(der),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            key: certificate.public_key().raw.to_vec(),
            is_ca: certificate.is_ca(),
        };
        Some(Self(Arc::new(parts)))
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// The SHA-256 of the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Its key, as it is encoded.
    pub(super) fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// The name of what issued it.
    pub(super) fn issuer(&self) -> &[u8] {
        &self.0.issuer
    }

    /// The name under which it issues others, if it does.
    pub(super) fn authority_name(&self) -> Option<&[u8]> {
        self.0.is_ca.then_some(self.0.subject.as_slice())
    }

    /// Whether somebody could belong to the groups of both: they have one key, or the one issued the other.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.has_key_of(other) || self.issued(other) || other.issued(self)
    }

    /// Whether both have the same key, whatever else they say.
    pub(super) fn has_key_of(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }

    /// Whether this is an authority.
    pub(super) fn is_ca(&self) -> bool {
        self.0.is_ca
    }

    /// Whether this authority issued the other certificate.
    pub(super) fn issued(&self, other: &Self) -> bool {
        if !self.0.is_ca || self.0.subject != other.0.issuer {
            return false;
        }
        let (Some(own), Some(other)) = (parsed(&self.0.der), parsed(&other.0.der)) else {
            return false;
        };
        is_signed_with(&other, own.public_key())
    }
}

impl fmt::Debug for ClaimedCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClaimedCertificate({})", self.0.fingerprint)
    }
}

fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .map(|(_, certificate)| certificate)
}
