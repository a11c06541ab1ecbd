//! Finishes what a crash cut in half: what an organization records of its groups' certificates and what the system says
//! whose they are belong together.

use std::sync::Arc;

use domain::fingerprint::Fingerprint;
use domain::gateway::CommandError;
use domain::organization::{NodeCertificate, Organization, OrganizationCommand};
use domain::system::certificate_claim::meetings;
use domain::system::{ClaimedCertificate, GroupOfOrganization, Possession, System, SystemError};
use domain::{Cause, NodeCertificateId, OrganizationId};
use tracing::warn;

use super::deletion::UnderWay;
use crate::bus::CommandBus;

/// What a record and a claim that don't fit ask for.
#[derive(Clone, Debug)]
enum Repair {
    /// Its group has it in its record, but it belongs to nobody: it was released while its addition was under way.
    Claim(Arc<NodeCertificate>, GroupOfOrganization),
    /// Its group has it in its record, but it belongs to another group, which took it while this one was deleted.
    Remove(NodeCertificateId, Fingerprint, GroupOfOrganization),
    /// It belongs to a group that has no record of it: the addition or the removal was cut.
    Release(Fingerprint, GroupOfOrganization),
}

impl CommandBus {
    /// Says which groups have certificates that meet: they were added before that was refused, perhaps by somebody who
    /// took another group's instances.
    pub(super) async fn name_met_certificates(&self) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        let mut held = Vec::new();
        for organization in system.state.organizations.keys() {
            let state = self.organization_state(*organization).await?;
            let known = state.state.certificates.values();
            held.extend(known.filter_map(|known| {
                let claim = system.state.certificates.get(&known.content.fingerprint)?;
                let of_group = claim.by.group == known.group && claim.by.organization == *organization;
                let certificate = ClaimedCertificate::of_der(&known.content.der().ok()?)?;
                of_group.then_some((claim.by, certificate))
            }));
        }
        for (one, other) in meetings(&held) {
            let [(group, certificate), (other_group, other)] = [&held[one], &held[other]];
            warn!(
                group = %group.group,
                certificate = %certificate.fingerprint(),
                other_group = %other_group.group,
                other = %other.fingerprint(),
                "two runtime groups have certificates that meet, so instances of the one may be answered by the other; remove one of them"
            );
        }
        Ok(())
    }

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
            Repair::Claim(certificate, by) => {
                let known = Possession::Known;
                match self
                    .claim_certificate(&certificate.content, by, known, cause.clone())
                    .await
                {
                    Ok(_) => Ok(()),
                    // Another group was faster.
                    Err(CommandError::System(SystemError::CertificateTaken)) => {
                        let (group, certificate) = (by.group, certificate.id);
                        let remove = OrganizationCommand::RemoveNodeCertificate { group, certificate };
                        self.to_organization(by.organization, remove, cause)
                            .await
                            .map(drop)
                    }
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
            None => Some(Repair::Claim(Arc::clone(certificate), by)),
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
