//! Which group's CA a certificate chains to (DESIGN §7): with nested CAs the nearest issuer's.

use std::time::Duration;

use domain::Timestamp;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::node_certificates::{CertificateHolder, GroupAuthority};

/// The group whose CA issued the first of these certificates, directly or through the others.
///
/// The error says what is wrong with the certificate.
pub(crate) fn issuer<'authorities>(
    chain: &[CertificateDer<'_>],
    authorities: &'authorities [GroupAuthority],
    now: Timestamp,
) -> Result<&'authorities CertificateHolder, String> {
    let (leaf, intermediates) = chain.split_first().ok_or("no certificate was shown")?;
    let certificates: Vec<(CertificateDer<'_>, &'authorities CertificateHolder)> = authorities
        .iter()
        .filter(|authority| is_valid(&authority.der, now))
        .map(|authority| (CertificateDer::from(authority.der.as_slice()), &authority.holder))
        .collect();
    let anchors: Vec<(TrustAnchor<'_>, &'authorities CertificateHolder)> = certificates
        .iter()
        .filter_map(|(der, holder)| Some((anchor_from_trusted_cert(der).ok()?, *holder)))
        .collect();
    let trusted: Vec<TrustAnchor<'_>> = anchors.iter().map(|(anchor, _)| anchor.clone()).collect();
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds().unsigned_abs()));
    let algorithms = default_provider().signature_verification_algorithms.all;
    let usage = KeyUsage::client_auth();
    let path = leaf
        .verify_for_usage(algorithms, &trusted, intermediates, time, usage, None, None)
        .map_err(|error| error.to_string())?;
    let issuer = anchors.iter().find(|(anchor, _)| anchor == path.anchor());
    issuer
        .map(|(_, holder)| *holder)
        .ok_or_else(|| "no group's CA issued it".to_owned())
}

/// Whether a certificate is neither too young nor expired.
pub(crate) fn is_valid(der: &[u8], now: Timestamp) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now.seconds())
}

/// When a certificate ends, in seconds since the epoch.
pub(crate) fn expiry(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
