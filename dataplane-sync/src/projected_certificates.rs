//! Which group an instance's certificate opens, answered by the projections.

use std::sync::Arc;

use async_trait::async_trait;
use domain::fingerprint::Fingerprint;
use futures::{StreamExt as _, TryStreamExt as _};
use projections::HeldCertificate;
use tracing::warn;

use crate::node_certificates::{
    CertificateHolder, CertificatesUnavailable, GroupAuthority, NodeCertificates,
};
use crate::projected::Projected;

/// How many certificates are looked up at once.
const LOOKUPS: usize = 8;

impl Projected {
    async fn known_holder(
        &self,
        fingerprint: Fingerprint,
    ) -> Result<Option<CertificateHolder>, CertificatesUnavailable> {
        let found = self.projections.views().certificate(fingerprint).await;
        Ok(found.map_err(unavailable)?.as_ref().map(holder))
    }
}

#[async_trait]
impl NodeCertificates for Projected {
    /// What isn't found is looked up once more after catching up (DESIGN §6).
    async fn pinned(
        &self,
        fingerprint: Fingerprint,
    ) -> Result<Option<CertificateHolder>, CertificatesUnavailable> {
        if let Some(holder) = self.known_holder(fingerprint).await? {
            return Ok(Some(holder));
        }
        self.caught_up_with_organizations().await.map_err(unavailable)?;
        self.known_holder(fingerprint).await
    }

    async fn pinned_now(
        &self,
        fingerprints: &[Fingerprint],
    ) -> Result<Vec<Option<CertificateHolder>>, CertificatesUnavailable> {
        let known: Vec<_> = fingerprints
            .iter()
            .map(|fingerprint| self.known_holder(*fingerprint))
            .collect();
        futures::stream::iter(known).buffered(LOOKUPS).try_collect().await
    }

    /// Doesn't catch up: whoever asks has looked for the certificate itself before.
    async fn authorities(&self) -> Result<Arc<[GroupAuthority]>, CertificatesUnavailable> {
        let found = self
            .projections
            .views()
            .authorities()
            .await
            .map_err(unavailable)?;
        Ok(found.iter().filter_map(authority).collect())
    }
}

fn holder(held: &HeldCertificate) -> CertificateHolder {
    CertificateHolder {
        organization: held.organization,
        group: held.group.id,
        certificate: held.certificate.id.0,
        group_exists: held.group.deleted_at.is_none(),
        runtime_type: held.group.runtime_type,
    }
}

/// One that can't be read again, which the organization would not have recorded, is trusted by nobody.
fn authority(held: &HeldCertificate) -> Option<GroupAuthority> {
    match held.certificate.content.der() {
        Ok(der) => Some(GroupAuthority {
            holder: holder(held),
            der,
        }),
        Err(error) => {
            warn!(certificate = %held.certificate.id, %error, "a group's CA certificate can't be read");
            None
        }
    }
}

fn unavailable(error: impl ToString) -> CertificatesUnavailable {
    CertificatesUnavailable(error.to_string())
}
