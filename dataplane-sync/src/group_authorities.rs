//! Which group's CA a certificate chains to: with nested CAs, which older installations may have, the nearest issuer's.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use domain::certificate_signature::is_signed_with;
use domain::{GroupId, Timestamp};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::{FromDer as _, X509Version};

use crate::node_certificates::{CertificateHolder, GroupAuthority};

/// What to do with a certificate of version 1 that only an authority between issued.
const VERSION_1: &str = "it is an X.509 version 1 certificate, which counts only where the group's CA itself issued it: make a version 3 certificate, for example with `openssl x509 -req -extfile FILE` and a FILE that says basicConstraints=CA:FALSE";

/// An authority that the certificate may come from, with its two forms at hand.
struct Candidate<'authorities> {
    holder: &'authorities CertificateHolder,
    certificate: X509Certificate<'authorities>,
    der: CertificateDer<'authorities>,
}

/// The group whose CA issued the first of these certificates, directly or through the others.
///
/// The error says what is wrong with the certificate.
pub(crate) fn issuer<'authorities>(
    chain: &[CertificateDer<'_>],
    authorities: &'authorities [GroupAuthority],
    now: Timestamp,
) -> Result<&'authorities CertificateHolder, String> {
    let (leaf, intermediates) = chain.split_first().ok_or("no certificate was shown")?;
    let candidates = candidates(chain, authorities, now);
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    if parsed.version() == X509Version::V1 {
        let issuer = candidates
            .iter()
            .find(|candidate| issued_itself(candidate, &parsed));
        return issuer
            .map(|found| found.holder)
            .ok_or_else(|| VERSION_1.to_owned());
    }
    // Each group's authorities by themselves: however many one group has under a name, looking through them is not at
    // the cost of another's.
    let mut by_group: BTreeMap<GroupId, Vec<&Candidate<'authorities>>> = BTreeMap::new();
    for candidate in &candidates {
        by_group
            .entry(candidate.holder.group)
            .or_default()
            .push(candidate);
    }
    let mut nearest: Option<(usize, &'authorities CertificateHolder)> = None;
    let mut refusal = None;
    for candidates in by_group.values() {
        match path(leaf, intermediates, candidates, now) {
            Ok(found) if nearest.is_none_or(|(steps, _)| found.0 < steps) => nearest = Some(found),
            Ok(_) => {}
            Err(reason) => refusal = Some(reason),
        }
    }
    let reason = || refusal.unwrap_or_else(|| "its issuer is unknown here".to_owned());
    nearest.map(|(_, holder)| holder).ok_or_else(reason)
}

/// The authorities that are valid now and are named as an issuer by one of the certificates.
fn candidates<'authorities>(
    chain: &[CertificateDer<'_>],
    authorities: &'authorities [GroupAuthority],
    now: Timestamp,
) -> Vec<Candidate<'authorities>> {
    let shown = chain.iter().filter_map(|der| X509Certificate::from_der(der).ok());
    let issuers: HashSet<&[u8]> = shown
        .map(|(_, certificate)| certificate.tbs_certificate.issuer.as_raw())
        .collect();
    let parsed = authorities.iter().filter_map(|authority| {
        let (_, certificate) = X509Certificate::from_der(&authority.der).ok()?;
        let named = issuers.contains(certificate.subject().as_raw());
        (named && holds_at(&certificate, now)).then(|| Candidate {
            holder: &authority.holder,
            certificate,
            der: CertificateDer::from(authority.der.as_slice()),
        })
    });
    parsed.collect()
}

/// Whether this very authority issued a certificate. One of version 1 says nothing that the authority's constraints
/// could be held against.
fn issued_itself(authority: &Candidate<'_>, leaf: &X509Certificate<'_>) -> bool {
    let authority = &authority.certificate;
    authority.subject().as_raw() == leaf.issuer().as_raw()
        && matches!(authority.name_constraints(), Ok(None))
        && is_signed_with(leaf, authority.public_key())
}

/// Whose authority a certificate leads to, and through how many others.
fn path<'authorities>(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    candidates: &[&Candidate<'authorities>],
    now: Timestamp,
) -> Result<(usize, &'authorities CertificateHolder), String> {
    let anchors: Vec<(TrustAnchor<'_>, &'authorities CertificateHolder)> = candidates
        .iter()
        .filter_map(|candidate| {
            let anchor = anchor_from_trusted_cert(&candidate.der).ok()?;
            Some((anchor, candidate.holder))
        })
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
    let steps = path.intermediate_certificates().count();
    issuer
        .map(|(_, holder)| (steps, *holder))
        .ok_or_else(|| "no group's CA issued it".to_owned())
}

/// Whether a certificate is neither too young nor expired.
pub(crate) fn is_valid(der: &[u8], now: Timestamp) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    holds_at(&certificate, now)
}

fn holds_at(certificate: &X509Certificate<'_>, now: Timestamp) -> bool {
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now.seconds())
}

/// When a certificate ends, in seconds since the epoch.
pub(crate) fn expiry(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}
