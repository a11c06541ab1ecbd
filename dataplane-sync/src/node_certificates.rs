//! Who may connect: what this room asks about instances' certificates.

use std::sync::Arc;

use async_trait::async_trait;
use domain::fingerprint::Fingerprint;
use domain::organization::RuntimeType;
use domain::{GroupId, OrganizationId};
use uuid::Uuid;

use crate::instance_tokens::Admission;

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

/// Why an instance isn't let in with its certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateDenied {
    /// It showed none.
    #[error("no client certificate was shown: set cluster_cert and cluster_cert_key")]
    None,
    /// No group has it, and no group's CA issued it.
    #[error("the certificate {0} is pinned to no runtime group, and no group's CA issued it ({1})")]
    Unknown(Fingerprint, String),
    /// It has ended, or not begun.
    #[error("the certificate {0} is expired or not valid yet")]
    NotValid(Fingerprint),
    /// Its group was deleted: the instance is an orphan.
    #[error(
        "the runtime group {group} of the certificate {fingerprint} was deleted: pin it to another group"
    )]
    Orphan {
        /// Which certificate.
        fingerprint: Fingerprint,
        /// Which group.
        group: GroupId,
    },
    /// The group's instances are of another kind.
    #[error("the instances of the runtime group {0} are of type {1}, not kong-gateway: use another group")]
    WrongType(GroupId, &'static str),
}

impl CertificateDenied {
    /// Its name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "no_certificate",
            Self::Unknown(..) => "unknown_certificate",
            Self::NotValid(_) => "expired_certificate",
            Self::Orphan { .. } => "deleted_group",
            Self::WrongType(..) => "wrong_type",
        }
    }
}

/// Judges a certificate that a group has: pinned, or issued by its CA.
pub fn admit(fingerprint: Fingerprint, holder: &CertificateHolder) -> Result<Admission, CertificateDenied> {
    if !holder.group_exists {
        let group = holder.group;
        return Err(CertificateDenied::Orphan { fingerprint, group });
    }
    match holder.runtime_type {
        Some(RuntimeType::Native) => Err(CertificateDenied::WrongType(
            holder.group,
            RuntimeType::Native.name(),
        )),
        settled => Ok(Admission {
            organization: holder.organization,
            group: holder.group,
            first: settled.is_none(),
        }),
    }
}

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
