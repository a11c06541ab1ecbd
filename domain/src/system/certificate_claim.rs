//! Which group of the installation a certificate belongs to: the group of an instance is taken from its certificate
//! alone, so no certificate may open two (DESIGN §7).

use serde::{Deserialize, Serialize};

use super::{System, SystemError, SystemEvent};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateClaim {
    /// Whose it is.
    pub by: GroupOfOrganization,
    /// Since when.
    pub at: Timestamp,
}

/// Gives a certificate to a group, unless another group has it that isn't `from`.
pub(super) fn claim(
    state: &System,
    fingerprint: Fingerprint,
    by: GroupOfOrganization,
    from: Option<GroupOfOrganization>,
) -> Result<Vec<SystemEvent>, SystemError> {
    if is_built_in_authority(state, fingerprint) {
        return Err(SystemError::BuiltInAuthority);
    }
    match state.certificates.get(&fingerprint).map(|claim| claim.by) {
        Some(holder) if holder == by => Ok(Vec::new()),
        Some(holder) if Some(holder) != from => Err(SystemError::CertificateTaken {
            holder: (holder.organization == by.organization).then_some(holder.group),
        }),
        _ => Ok(vec![SystemEvent::CertificateClaimed { fingerprint, by }]),
    }
}

/// Takes a certificate from a group, if it has it.
pub(super) fn release(state: &System, fingerprint: Fingerprint, by: GroupOfOrganization) -> Vec<SystemEvent> {
    match state.certificates.get(&fingerprint) {
        Some(claim) if claim.by == by => vec![SystemEvent::CertificateReleased { fingerprint, by }],
        _ => Vec::new(),
    }
}

/// A group that trusted the built-in CA would take the instances of every group.
fn is_built_in_authority(state: &System, fingerprint: Fingerprint) -> bool {
    let authority = state.authority.as_ref();
    let certificate = authority.and_then(|authority| CertificateContent::of_pem(&authority.certificate).ok());
    certificate.is_some_and(|certificate| certificate.fingerprint == fingerprint)
}
