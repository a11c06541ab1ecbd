//! Finishes what a crash cut in half: what an organization records of its groups' certificates and what the system says
//! whose they are belong together.

use domain::fingerprint::Fingerprint;
use domain::gateway::CommandError;
use domain::organization::{Organization, OrganizationCommand};
use domain::system::{GroupOfOrganization, System, SystemError};
use domain::{Cause, NodeCertificateId, OrganizationId};

use super::deletion::UnderWay;
use crate::bus::CommandBus;

/// What a record and a claim that don't fit ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repair {
    /// Its group has it in its record, but it belongs to nobody: it was released while its addition was under way.
    Claim(Fingerprint, GroupOfOrganization),
    /// Its group has it in its record, but it belongs to another group, which took it while this one was deleted.
    Remove(NodeCertificateId, Fingerprint, GroupOfOrganization),
    /// It belongs to a group that has no record of it: the addition or the removal was cut.
    Release(Fingerprint, GroupOfOrganization),
}

impl CommandBus {
    /// Looks for certificates whose record and claim don't fit and mends them.
    pub(super) async fn finish_certificates(&self) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        for organization in system.state.organizations.keys() {
            let state = self.organization_state(*organization).await?;
            let repairs = repairs(&system.state, *organization, &state.state, self.under_way());
            for repair in repairs {
                self.mend_certificate(repair).await?;
            }
        }
        Ok(())
    }

    async fn mend_certificate(&self, repair: Repair) -> Result<(), CommandError> {
        let cause = Cause::system("certificates");
        match repair {
            Repair::Claim(fingerprint, by) => {
                match self.claim_certificate(fingerprint, by, cause).await {
                    // Another group was faster: the next round removes it here.
                    Ok(_) | Err(CommandError::System(SystemError::CertificateTaken { .. })) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Repair::Remove(certificate, fingerprint, by) => {
                // The organization's state is the newer one: the certificate may have come to the group meanwhile.
                let system = self.system_state().await?;
                let holder = system.state.certificates.get(&fingerprint).map(|claim| claim.by);
                if holder.is_none_or(|holder| holder == by) {
                    return Ok(());
                }
                let group = by.group;
                let remove = OrganizationCommand::RemoveNodeCertificate { group, certificate };
                self.to_organization(by.organization, remove, cause)
                    .await
                    .map(drop)
            }
            Repair::Release(fingerprint, by) => self.release_certificate(fingerprint, by, cause).await,
        }
    }
}

/// What is still under way is left alone.
fn repairs(
    system: &System,
    id: OrganizationId,
    organization: &Organization,
    under_way: UnderWay,
) -> Vec<Repair> {
    let of_group = |group| GroupOfOrganization {
        organization: id,
        group,
    };
    let living = organization
        .certificates
        .values()
        .filter(|certificate| organization.group(certificate.group).is_some());
    let recorded = living.filter_map(|certificate| {
        let (fingerprint, by) = (certificate.content.fingerprint, of_group(certificate.group));
        match system.certificates.get(&fingerprint) {
            Some(claim) if claim.by == by => None,
            _ if under_way.includes(certificate.created_at) => None,
            Some(_) => Some(Repair::Remove(certificate.id, fingerprint, by)),
            None => Some(Repair::Claim(fingerprint, by)),
        }
    });
    let claimed = system.certificates.iter().filter_map(|(fingerprint, claim)| {
        let known = || {
            let mut certificates = organization.certificates_of(claim.by.group);
            certificates.any(|certificate| certificate.content.fingerprint == *fingerprint)
        };
        let stale = claim.by.organization == id && !under_way.includes(claim.at) && !known();
        stale.then_some(Repair::Release(*fingerprint, claim.by))
    });
    recorded.chain(claimed).collect()
}
