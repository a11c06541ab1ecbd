//! Which group of the installation a certificate belongs to: the group of an instance is taken from its certificate
//! alone, so no certificate may open two, and no two groups may have certificates that meet: of one key, or one issued
//! by the other.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::possession::{self, Possession};
use super::{ClaimedCertificate, System, SystemError, SystemEvent};
use crate::fingerprint::Fingerprint;
use crate::organization::CertificateContent;
use crate::{GroupId, OrganizationId, Timestamp};

/// A group and the organization it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupOfOrganization {
    /// The organization.
    pub organization: OrganizationId,
    /// The group.
    pub group: GroupId,
}

/// A group's claim to a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateClaim {
    /// Whose it is.
    pub by: GroupOfOrganization,
    /// Since when.
    pub at: Timestamp,
    /// The certificate; none where it was claimed before claims said so.
    pub certificate: Option<ClaimedCertificate>,
}

/// A certificate that a group wants to have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The certificate.
    pub certificate: ClaimedCertificate,
    /// The group.
    pub by: GroupOfOrganization,
    /// The groups it may be taken from: they were found to be deleted.
    pub from: Vec<GroupOfOrganization>,
    /// How it is known that whoever wants it holds its private key.
    pub possession: Possession,
}

/// Gives a certificate to a group, unless it meets what another group has, or isn't whose it seems.
pub(super) fn claim(state: &System, wanted: &Wanted, at: Timestamp) -> Result<Vec<SystemEvent>, SystemError> {
    let (certificate, by) = (&wanted.certificate, wanted.by);
    let fingerprint = certificate.fingerprint();
    let claimed = SystemEvent::CertificateClaimed {
        fingerprint,
        by,
        certificate: Some(certificate.clone()),
    };
    match state.certificates.get(&fingerprint) {
        Some(claim) if claim.by == by && claim.certificate.is_some() => return Ok(Vec::new()),
        // The group has it already: what it is, is noted now.
        Some(claim) if claim.by == by => return Ok(vec![claimed]),
        _ => {}
    }
    possession::check(state, certificate, by, &wanted.possession, at)?;
    if is_built_in_authority(state, certificate) {
        return Err(SystemError::BuiltInAuthority);
    }
    let mut events = Vec::new();
    for (other, claim) in met(state, wanted) {
        if !wanted.from.contains(&claim.by) {
            return Err(SystemError::CertificateTaken);
        }
        if other != fingerprint {
            let (fingerprint, by) = (other, claim.by);
            events.push(SystemEvent::CertificateReleased { fingerprint, by });
        }
    }
    events.push(claimed);
    Ok(events)
}

/// The groups that have something by which somebody could belong to them and to this group as well.
pub fn met_groups(
    state: &System,
    certificate: &ClaimedCertificate,
    by: GroupOfOrganization,
) -> Vec<GroupOfOrganization> {
    let mut groups: Vec<_> = met_by(state, certificate, by)
        .map(|(_, claim)| claim.by)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn met<'state>(
    state: &'state System,
    wanted: &'state Wanted,
) -> impl Iterator<Item = (Fingerprint, &'state CertificateClaim)> {
    let mut met: Vec<_> = met_by(state, &wanted.certificate, wanted.by).collect();
    met.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
    met.into_iter()
}

fn met_by<'state>(
    state: &'state System,
    certificate: &'state ClaimedCertificate,
    by: GroupOfOrganization,
) -> impl Iterator<Item = (Fingerprint, &'state CertificateClaim)> {
    let overlaps = move |fingerprint: Fingerprint, claim: &CertificateClaim| {
        let other = claim.certificate.as_ref();
        fingerprint == certificate.fingerprint() || other.is_some_and(|other| other.overlaps(certificate))
    };
    let others = state.certificates.iter().filter(move |(_, claim)| claim.by != by);
    others
        .map(|(fingerprint, claim)| (*fingerprint, claim))
        .filter(move |(fingerprint, claim)| overlaps(*fingerprint, claim))
}

/// The certificates of different groups that meet, two by two: before claims said what they are, nobody saw it.
pub fn meetings(held: &[(GroupOfOrganization, ClaimedCertificate)]) -> Vec<(usize, usize)> {
    let mut keys: HashMap<&[u8], Vec<usize>> = HashMap::new();
    let mut authorities: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (index, (_, certificate)) in held.iter().enumerate() {
        keys.entry(certificate.key()).or_default().push(index);
        if let Some(name) = certificate.authority_name() {
            authorities.entry(name).or_default().push(index);
        }
    }
    let mut found = BTreeSet::new();
    for (index, (by, certificate)) in held.iter().enumerate() {
        let same_key = keys.get(certificate.key()).into_iter().flatten();
        let issuers = authorities.get(certificate.issuer()).into_iter().flatten();
        let met = same_key.chain(issuers).filter(|other| {
            let (group, other) = &held[**other];
            group != by && other.overlaps(certificate)
        });
        found.extend(met.map(|other| (index.min(*other), index.max(*other))));
    }
    found.into_iter().collect()
}

/// Takes a certificate from a group, if it has it.
pub(super) fn release(state: &System, fingerprint: Fingerprint, by: GroupOfOrganization) -> Vec<SystemEvent> {
    match state.certificates.get(&fingerprint) {
        Some(claim) if claim.by == by => vec![SystemEvent::CertificateReleased { fingerprint, by }],
        _ => Vec::new(),
    }
}

/// A group that trusted the built-in CA, or one above or below it, would take the instances of every group.
fn is_built_in_authority(state: &System, certificate: &ClaimedCertificate) -> bool {
    let authority = state.authority.as_ref();
    let content = authority.and_then(|authority| CertificateContent::of_pem(&authority.certificate).ok());
    let der = content.and_then(|content| content.der().ok());
    let built_in = der.and_then(|der| ClaimedCertificate::of_der(&der));
    built_in.is_some_and(|built_in| {
        let authority_below = certificate.is_ca() && built_in.issued(certificate);
        built_in.has_key_of(certificate) || certificate.issued(&built_in) || authority_below
    })
}
