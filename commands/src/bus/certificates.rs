//! Adding and removing a certificate touches two boundaries in an order that a crash may cut (DESIGN §4): the system
//! gives the certificate to the group, then the organization records it; it is removed from the record, then the system
//! takes it back. Between the two it opens nothing. What is cut in half, a reactor finishes ([`crate::reactors`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::fingerprint::Fingerprint;
use domain::gateway::CommandError;
use domain::organization::{CertificateContent, NodeCertificate, OrganizationCommand, OrganizationError};
use domain::system::certificate_claim::met_groups;
use domain::system::{
    CertificateClaim, ClaimedCertificate, GroupOfOrganization, Possession, SystemCommand, SystemError, Wanted,
};
use domain::{Cause, GroupId, NodeCertificateId, OrganizationId};
use tracing::warn;

use super::CommandBus;
use super::deletion::{Answer, without_key};

/// A certificate to add.
#[derive(Clone, Debug)]
pub struct Addition {
    /// The certificate and nothing else, PEM.
    pub pem: String,
    /// What people call it.
    pub name: Option<String>,
    /// How it is known that whoever adds it holds its private key.
    pub possession: Possession,
}

impl Addition {
    fn command(&self, group: GroupId) -> OrganizationCommand {
        let Self {
            pem,
            name,
            possession,
        } = self.clone();
        OrganizationCommand::AddNodeCertificate {
            group,
            pem,
            name,
            possession,
        }
    }
}

fn claimed(content: &CertificateContent) -> Result<ClaimedCertificate, CommandError> {
    let certificate = ClaimedCertificate::of_der(&content.der()?);
    let unreadable = || OrganizationError::invalid("cert", "isn't an X.509 certificate");
    Ok(certificate.ok_or_else(unreadable)?)
}

impl CommandBus {
    /// Adds a certificate to a group.
    pub async fn add_node_certificate(
        &self,
        organization: OrganizationId,
        group: GroupId,
        addition: Addition,
        cause: Cause,
    ) -> Answer {
        let bus = self.clone();
        let by = GroupOfOrganization { organization, group };
        let work = async move { bus.claim_and_add(by, addition, cause).await };
        self.to_the_end("certificate addition", work).await
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

    async fn claim_and_add(&self, by: GroupOfOrganization, addition: Addition, cause: Cause) -> Answer {
        let possession = addition.possession.clone();
        let command = addition.command(by.group);
        // A repeated request is answered from memory; what it brings this time is given to nobody.
        if self.is_repeated(by.organization, &cause).await? {
            return self.to_organization(by.organization, command, cause).await;
        }
        self.rehearse(by.organization, &command).await?;
        let content = CertificateContent::of_pem(&addition.pem)?;
        let (fingerprint, before) = (content.fingerprint, without_key(&cause));
        let claimed = self
            .claim_certificate(&content, by, possession, before.clone())
            .await?;
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

    /// Gives a certificate to a group, from deleted groups too; says whether it hadn't it before.
    pub(crate) async fn claim_certificate(
        &self,
        content: &CertificateContent,
        by: GroupOfOrganization,
        possession: Possession,
        cause: Cause,
    ) -> Result<bool, CommandError> {
        self.describe_claims(&cause).await?;
        let certificate = claimed(content)?;
        let system = self.system_state().await?;
        let mut from = Vec::new();
        for holder in met_groups(&system.state, &certificate, by) {
            if !self.exists(holder).await? {
                from.push(holder);
            }
        }
        let claim = SystemCommand::ClaimCertificate(Wanted {
            certificate,
            by,
            from,
            possession,
        });
        Ok(self.system(claim, cause).await?.changed)
    }

    /// Has the system note what the certificates are that were claimed before claims said so: what meets them can be
    /// seen only then. A claim that no group's record knows opens nothing.
    async fn describe_claims(&self, cause: &Cause) -> Result<(), CommandError> {
        let system = self.system_state().await?;
        let bare = |claim: &&CertificateClaim| claim.certificate.is_none();
        let bare: BTreeSet<_> = system
            .state
            .certificates
            .values()
            .filter(bare)
            .map(|claim| claim.by)
            .collect();
        for by in bare {
            let organization = self.organization_state(by.organization).await?;
            for known in organization.state.certificates_of(by.group) {
                let claim = system.state.certificates.get(&known.content.fingerprint);
                if claim.is_some_and(|claim| claim.by == by && claim.certificate.is_none()) {
                    let wanted = Wanted {
                        certificate: claimed(&known.content)?,
                        by,
                        from: Vec::new(),
                        possession: Possession::Known,
                    };
                    self.system(SystemCommand::ClaimCertificate(wanted), cause.clone())
                        .await?;
                }
            }
        }
        Ok(())
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
            let known = self.claim_certificate(&certificate.content, by, Possession::Known, cause.clone());
            match known.await {
                Ok(_) => {}
                Err(CommandError::System(SystemError::CertificateTaken | SystemError::BuiltInAuthority)) => {
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
