//! Certificates of instances: which group each opens, and what a group's record says of them.
//!
//! A certificate opens the group that has both: the system's claim and the record of its own organization. Between the
//! two commits that bring it or take it away, it opens none.

use domain::fingerprint::Fingerprint;
use domain::organization::{AuthType, GroupRecord, NodeCertificate};
use domain::{GroupId, OrganizationId, Timestamp};
use uuid::Uuid;

use super::Views;
use crate::database::{Row, Value};
use crate::error::ViewError;

/// Joins what a certificate needs to open a group.
macro_rules! held {
    ($condition:literal) => {
        concat!(
            "SELECT certificate.organization_id, runtime_group.record, certificate.record
    FROM node_certificate AS certificate
    JOIN certificate_claim AS claim ON claim.generation = certificate.generation
        AND claim.fingerprint = certificate.fingerprint AND claim.group_id = certificate.group_id
        AND claim.organization_id = certificate.organization_id
    JOIN runtime_group ON runtime_group.generation = certificate.generation
        AND runtime_group.organization_id = certificate.organization_id
        AND runtime_group.group_id = certificate.group_id
    WHERE certificate.generation = $1 AND certificate.removed = 0 AND claim.held = 1 AND ",
            $condition
        )
    };
}

const BY_FINGERPRINT: &str = held!("certificate.fingerprint = $2");
const AUTHORITIES: &str =
    held!("certificate.is_ca = 1 ORDER BY certificate.group_id, certificate.certificate_id");
const EXPIRING: &str = held!(
    "certificate.not_after < $2 AND runtime_group.deleted = 0 ORDER BY certificate.not_after, certificate.certificate_id"
);
const OF_GROUP: &str = "SELECT record FROM node_certificate
    WHERE generation = $1 AND organization_id = $2 AND group_id = $3 AND removed = 0";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[BY_FINGERPRINT, AUTHORITIES, EXPIRING, OF_GROUP];

/// A certificate and the group it opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// The group's organization.
    pub organization: OrganizationId,
    /// The group, which may be deleted: its instances are orphans.
    pub group: GroupRecord,
    /// The certificate.
    pub certificate: NodeCertificate,
}

impl Views {
    /// The group that this very certificate opens.
    pub async fn certificate(&self, fingerprint: Fingerprint) -> Result<Option<HeldCertificate>, ViewError> {
        let found = self.held(BY_FINGERPRINT, Some((&fingerprint.0).into())).await?;
        Ok(found.into_iter().next())
    }

    /// The CA certificates of all groups that trust what a CA issued.
    pub async fn authorities(&self) -> Result<Vec<HeldCertificate>, ViewError> {
        let mut found = self.held(AUTHORITIES, None).await?;
        found.retain(|held| held.group.settings.auth_type == AuthType::PkiClientCerts);
        Ok(found)
    }

    /// The certificates of groups that aren't deleted which expire before a time, the first to expire first.
    pub async fn certificates_expiring_before(
        &self,
        at: Timestamp,
    ) -> Result<Vec<HeldCertificate>, ViewError> {
        self.held(EXPIRING, Some(at.0.into())).await
    }

    /// What a group's record has, the oldest first.
    pub async fn certificates_of(
        &self,
        organization: OrganizationId,
        group: GroupId,
    ) -> Result<Vec<NodeCertificate>, ViewError> {
        let generation = self.generation().await?;
        let arguments = [
            generation.into(),
            organization.0.as_bytes().into(),
            group.0.as_bytes().into(),
        ];
        let rows = self.database().fetch_all(OF_GROUP, arguments).await?;
        let mut found = rows
            .iter()
            .map(|row| certificate(row, 0))
            .collect::<Result<Vec<_>, _>>()?;
        found.sort_by_key(|certificate| (certificate.created_at, certificate.id));
        Ok(found)
    }

    async fn held(
        &self,
        statement: &'static str,
        argument: Option<Value>,
    ) -> Result<Vec<HeldCertificate>, ViewError> {
        let generation = self.generation().await?;
        let arguments: Vec<_> = [Some(generation.into()), argument]
            .into_iter()
            .flatten()
            .collect();
        let rows = self.database().fetch_all(statement, arguments).await?;
        rows.iter()
            .map(|row| {
                Ok(HeldCertificate {
                    organization: OrganizationId(Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?),
                    group: serde_json::from_str(row.get(1)?).map_err(ViewError::damaged)?,
                    certificate: certificate(row, 2)?,
                })
            })
            .collect()
    }
}

fn certificate(row: &Row, column: usize) -> Result<NodeCertificate, ViewError> {
    rmp_serde::from_slice(row.get(column)?).map_err(ViewError::damaged)
}
