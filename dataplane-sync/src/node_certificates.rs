//! Who may connect: what this room asks about instances' certificates.

use std::sync::Arc;

use async_trait::async_trait;
use domain::fingerprint::Fingerprint;
use domain::organization::RuntimeType;
use domain::{GroupId, OrganizationId};
use uuid::Uuid;

/// The group that a certificate opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHolder {
    /// The group's organization.
    pub organization: OrganizationId,
    /// The group.
    pub group: GroupId,
    /// The certificate's id in the group's list.
    pub certificate: Uuid,
    /// Whether the group still exists: the certificates of a deleted one are remembered, their instances are orphans.
    pub group_exists: bool,
    /// The type of the group's instances, if it is settled.
    pub runtime_type: Option<RuntimeType>,
}

/// A CA certificate that a group trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupAuthority {
    /// Whose it is.
    pub holder: CertificateHolder,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

/// Certificates that can't be looked up for the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("certificates can't be looked up for the moment: {0}")]
pub struct CertificatesUnavailable(pub String);

/// Looks certificates up.
#[async_trait]
pub trait NodeCertificates: Send + Sync + 'static {
    /// The group that this very certificate is pinned to, also one pinned a moment ago.
    async fn pinned(
        &self,
        fingerprint: Fingerprint,
    ) -> Result<Option<CertificateHolder>, CertificatesUnavailable>;

    /// The groups of those certificates that are known here, in the order asked for.
    async fn pinned_now(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<Option<CertificateHolder>>, CertificatesUnavailable>;

    /// Every CA certificate that a group trusts.
    async fn authorities(&self) -> Result<Arc<[GroupAuthority]>, CertificatesUnavailable>;
}

/// Shared certificates.
pub type SharedCertificates = Arc<dyn NodeCertificates>;
