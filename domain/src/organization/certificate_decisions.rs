//! What an organization decides about its groups' certificates. That a certificate opens one group of the installation
//! is decided before, by the system's claims ([`crate::system`]).

use std::sync::Arc;

use super::decide::{OrganizationDecision, Subject, existing};
use super::node_certificate::{CERTIFICATE_LIMIT, CertificateContent, NodeCertificate};
use super::{Organization, OrganizationError, OrganizationEvent};
use crate::schema::Generator as _;
use crate::{Context, GroupId, NodeCertificateId};

/// Adds a certificate that the group has claimed. The one it has already stays as it is.
pub(super) fn add(
    state: &Organization,
    group: GroupId,
    pem: &str,
    name: Option<&str>,
    context: &mut Context,
) -> Result<OrganizationDecision, OrganizationError> {
    existing(state, group, None)?;
    let content = CertificateContent::of_pem(pem)?;
    if let Some(name) = name {
        check_name(name)?;
    }
    let known = state.certificates_of(group);
    let same = |known: &&Arc<NodeCertificate>| known.content.fingerprint == content.fingerprint;
    if let Some(known) = known.clone().find(same) {
        return Ok(OrganizationDecision {
            events: Vec::new(),
            subject: Subject::Certificate(group, known.id),
        });
    }
    if content.has_expired(context.at) {
        let expiry = content.not_after;
        return Err(OrganizationError::invalid(
            "cert",
            &format!("has expired at {expiry}: add one that is valid"),
        ));
    }
    if known.count() >= CERTIFICATE_LIMIT {
        return Err(OrganizationError::Limit {
            what: "certificates in a runtime group",
            limit: CERTIFICATE_LIMIT,
        });
    }
    let certificate = NodeCertificate {
        id: NodeCertificateId(context.uuid()),
        group,
        name: name.map(str::to_owned),
        content,
        created_at: context.at,
        updated_at: context.at,
    };
    let subject = Subject::Certificate(group, certificate.id);
    Ok(OrganizationDecision {
        events: vec![OrganizationEvent::NodeCertificateAdded { certificate }],
        subject,
    })
}

/// Removes a certificate: its instances are cut off.
pub(super) fn remove(
    state: &Organization,
    group: GroupId,
    id: NodeCertificateId,
) -> Result<OrganizationDecision, OrganizationError> {
    existing(state, group, None)?;
    let known = state.certificates.get(&(group, id));
    let known = known.ok_or(OrganizationError::NoSuchCertificate(id))?;
    Ok(OrganizationDecision {
        events: vec![removed(known)],
        subject: Subject::Certificate(group, id),
    })
}

/// The event that a certificate is gone.
pub(super) fn removed(certificate: &NodeCertificate) -> OrganizationEvent {
    OrganizationEvent::NodeCertificateRemoved {
        group: certificate.group,
        id: certificate.id,
        fingerprint: certificate.content.fingerprint,
        subject: certificate.content.subject.clone(),
    }
}

fn check_name(name: &str) -> Result<(), OrganizationError> {
    if name.is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(OrganizationError::invalid(
            "name",
            "must have 1 to 128 characters and no control characters",
        ));
    }
    Ok(())
}
