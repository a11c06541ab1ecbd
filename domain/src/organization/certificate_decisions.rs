//! What an organization decides about its groups' certificates. That a certificate opens one group of the installation
//! is decided before, by the system's claims ([`crate::system`]).

use std::sync::Arc;

use super::decide::{OrganizationDecision, Subject, existing};
use super::node_certificate::{AUTHORITY_LIMIT, CERTIFICATE_LIMIT, CertificateContent, NodeCertificate};
use super::{Organization, OrganizationError, OrganizationEvent};
use crate::schema::Generator as _;
use crate::{Context, GroupId, NodeCertificateId, Timestamp};

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
    content.check_own_signature()?;
    if content.has_expired(context.at) {
        let expiry = content.not_after;
        return Err(OrganizationError::invalid(
            "cert",
            &format!("has expired at {expiry}: add one that is valid"),
        ));
    }
    check_room(known, &content, context.at)?;
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

/// Refuses one certificate too many, and says which could go.
fn check_room<'known>(
    known: impl Iterator<Item = &'known Arc<NodeCertificate>>,
    new: &CertificateContent,
    at: Timestamp,
) -> Result<(), OrganizationError> {
    let known: Vec<_> = known.collect();
    let authorities = known.iter().filter(|known| known.content.is_ca).count();
    let (what, limit) = if known.len() >= CERTIFICATE_LIMIT {
        ("certificates", CERTIFICATE_LIMIT)
    } else if new.is_ca && authorities >= AUTHORITY_LIMIT {
        ("CA certificates", AUTHORITY_LIMIT)
    } else {
        return Ok(());
    };
    let of_kind = known
        .iter()
        .filter(|known| !new.is_ca || known.content.is_ca || what == "certificates");
    let of_kind: Vec<_> = of_kind.collect();
    let expired = of_kind.iter().find(|known| known.content.has_expired(at));
    let oldest = of_kind.iter().min_by_key(|known| (known.created_at, known.id));
    let remedy = match (expired, oldest) {
        (Some(expired), _) => format!(
            "{} has expired (and perhaps others, see the list), so revoke it first",
            expired.id
        ),
        (None, Some(oldest)) => format!(
            "revoke those that no instance uses any more (the oldest is {}), or let many instances share one certificate or a CA of your own",
            oldest.id
        ),
        (None, None) => String::new(),
    };
    Err(OrganizationError::CertificateLimit { what, limit, remedy })
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
