//! Adding and removing a certificate touches two boundaries in an order that a crash may cut (DESIGN §4): the system
//! gives the certificate to the group, then the organization records it; it is removed from the record, then the system
//! takes it back. Between the two it opens nothing. What is cut in half, a reactor finishes ([`crate::reactors`]).

use std::sync::Arc;

use domain::fingerprint::Fingerprint;
use domain::gateway::CommandError;
use domain::organization::{CertificateContent, NodeCertificate, OrganizationCommand};
use domain::system::{GroupOfOrganization, SystemCommand, SystemError};
use domain::{Cause, GroupId, NodeCertificateId, OrganizationId};
use tracing::warn;

use super::CommandBus;
use super::deletion::{Answer, without_key};

impl CommandBus {
    /// Adds a certificate to a group.
    pub async fn add_node_certificate(
        &self,
        organization: OrganizationId,
        group: GroupId,
        pem: String,
        name: Option<String>,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let command = OrganizationCommand::AddNodeCertificate { group, pem, name };
        let by = GroupOfOrganization { organization, group };
        let addition = async move { bus.claim_and_add(by, command, cause).await };
        self.to_the_end("certificate addition", addition).await
    }

    /// Removes a certificate from a group.
    pub async fn remove_node_certificate(
        &self,
        organization: OrganizationId,
        group: GroupId,
        certificate: NodeCertificateId,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let by = GroupOfOrganization { organization, group };
        let removal = async move { bus.remove_and_release(by, certificate, cause).await };
        self.to_the_end("certificate removal", removal).await
    }

    async fn claim_and_add(
        &self,
        by: GroupOfOrganization,
        command: OrganizationCommand,
        cause: Cause,
    ) -> Answer {
        // A repeated request is answered from memory; what it brings this time is given to nobody.
        if self.is_repeated(by.organization, &cause).await? {
            return self.to_organization(by.organization, command, cause).await;
        }
        self.rehearse(by.organization, &command).await?;
        let OrganizationCommand::AddNodeCertificate { pem, .. } = &command else {
            return self.to_organization(by.organization, command, cause).await;
        };
        let fingerprint = CertificateContent::of_pem(pem)?.fingerprint;
        let before = without_key(&cause);
        let claimed = self.claim_certificate(fingerprint, by, before.clone()).await?;
        let added = self.to_organization(by.organization, command, cause).await;
        match added {
            Err(error) if claimed && error != CommandError::OutcomeUnknown => {
                // Where even this fails, the reactor releases it.
                let released = self.release_certificate(fingerprint, by, before).await;
                Err(released.map_or(CommandError::OutcomeUnknown, |()| error))
            }
            answer => answer,
        }
    }

    async fn remove_and_release(
        &self,
        by: GroupOfOrganization,
        certificate: NodeCertificateId,
        cause: Cause,
    ) -> Answer {
        let organization = self.organization_state(by.organization).await?;
        let known = organization.state.certificates.get(&(by.group, certificate));
        let fingerprint = known.map(|known| known.content.fingerprint);
        let after = without_key(&cause);
        let group = by.group;
        let remove = OrganizationCommand::RemoveNodeCertificate { group, certificate };
        let removed = self.to_organization(by.organization, remove, cause).await?;
        if let Some(fingerprint) = fingerprint {
            // It is removed: where this fails, the reactor releases it, and nobody is told that it wasn't.
            if let Err(error) = self.release_certificate(fingerprint, by, after).await {
                warn!(%fingerprint, %error, "a removed certificate is still its group's; trying again soon");
            }
        }
        Ok(removed)
    }

    /// Gives a certificate to a group, from a deleted group too; says whether it hadn't it before.
    pub(crate) async fn claim_certificate(
        &self,
        fingerprint: Fingerprint,
        by: GroupOfOrganization,
        cause: Cause,
    ) -> Result<bool, CommandError> {
        let system = self.system_state().await?;
        let holder = system.state.certificates.get(&fingerprint).map(|claim| claim.by);
        let from = match holder {
            Some(holder) if holder != by && !self.exists(holder).await? => Some(holder),
            _ => None,
        };
        let claim = SystemCommand::ClaimCertificate {
            fingerprint,
            by,
            from,
        };
        Ok(self.system(claim, cause).await?.changed)
    }

    /// Takes a certificate from a group, if it has it.
    pub(crate) async fn release_certificate(
        &self,
        fingerprint: Fingerprint,
        by: GroupOfOrganization,
        cause: Cause,
    ) -> Result<(), CommandError> {
        let release = SystemCommand::ReleaseCertificate { fingerprint, by };
        self.system(release, cause).await.map(drop)
    }

    /// Claims a deleted group's certificates again; answers those that belong to another group by now.
    pub(super) async fn reclaim_certificates(
        &self,
        by: GroupOfOrganization,
        cause: &Cause,
    ) -> Result<Vec<Arc<NodeCertificate>>, CommandError> {
        let organization = self.organization_state(by.organization).await?;
        let mut elsewhere = Vec::new();
        for certificate in organization.state.certificates_of(by.group) {
            let fingerprint = certificate.content.fingerprint;
            match self.claim_certificate(fingerprint, by, cause.clone()).await {
                Ok(_) => {}
                Err(CommandError::System(SystemError::CertificateTaken { .. })) => {
                    elsewhere.push(Arc::clone(certificate));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(elsewhere)
    }

    async fn exists(&self, group: GroupOfOrganization) -> Result<bool, CommandError> {
        let organization = self.organization_state(group.organization).await?;
        Ok(organization.state.group(group.group).is_some())
    }
}
