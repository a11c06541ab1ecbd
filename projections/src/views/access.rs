//! Organizations and their tokens.

use domain::OrganizationId;
use domain::organization::TokenRecord;
use domain::token::TokenHash;
use uuid::Uuid;

use super::Views;
use crate::database::Row;
use crate::error::ViewError;

const TOKEN_BY_HASH: &str = "SELECT organization_id, record FROM token WHERE generation = $1 AND hash = $2";
const TOKENS: &str = "SELECT organization_id, record FROM token WHERE generation = $1 AND organization_id = $2 ORDER BY token_id";
const ORGANIZATION: &str = "SELECT name FROM organization WHERE generation = $1 AND organization_id = $2";
const ORGANIZATIONS: &str =
    "SELECT organization_id, name FROM organization WHERE generation = $1 ORDER BY organization_id";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[TOKEN_BY_HASH, TOKENS, ORGANIZATION, ORGANIZATIONS];

impl Views {
    /// The token with this hash and the organization it belongs to. It may be revoked or expired:
    /// [`TokenRecord::works_at`] says.
    pub async fn token_by_hash(
        &self,
        hash: TokenHash,
    ) -> Result<Option<(OrganizationId, TokenRecord)>, ViewError> {
        let generation = self.generation().await?;
        let row = self
            .database()
            .fetch_optional(TOKEN_BY_HASH, [generation.into(), (&hash.0).into()])
            .await?;
        row.map(|row| token(&row)).transpose()
    }

    /// An organization's tokens, the revoked ones included, by id.
    pub async fn tokens(&self, organization: OrganizationId) -> Result<Vec<TokenRecord>, ViewError> {
        let generation = self.generation().await?;
        let rows = self
            .database()
            .fetch_all(TOKENS, [generation.into(), organization.0.as_bytes().into()])
            .await?;
        rows.iter().map(|row| Ok(token(row)?.1)).collect()
    }

    /// An organization's name.
    pub async fn organization(&self, id: OrganizationId) -> Result<Option<String>, ViewError> {
        let generation = self.generation().await?;
        let row = self
            .database()
            .fetch_optional(ORGANIZATION, [generation.into(), id.0.as_bytes().into()])
            .await?;
        Ok(row.map(|row| row.get(0)).transpose()?)
    }

    /// Every organization with its name, by id.
    pub async fn organizations(&self) -> Result<Vec<(OrganizationId, String)>, ViewError> {
        let generation = self.generation().await?;
        let rows = self
            .database()
            .fetch_all(ORGANIZATIONS, [generation.into()])
            .await?;
        rows.iter()
            .map(|row| Ok((organization(row)?, row.get(1)?)))
            .collect()
    }
}

fn organization(row: &Row) -> Result<OrganizationId, ViewError> {
    Ok(OrganizationId(
        Uuid::from_slice(row.get(0)?).map_err(ViewError::damaged)?,
    ))
}

fn token(row: &Row) -> Result<(OrganizationId, TokenRecord), ViewError> {
    let record = rmp_serde::from_slice(row.get(1)?).map_err(ViewError::damaged)?;
    Ok((organization(row)?, record))
}
