//! An access token as it is stored: never the secret, only its hash.

use serde::{Deserialize, Serialize};

use crate::token::{Role, TokenHash};
use crate::{GroupId, Timestamp, TokenId};

/// A stored token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its public id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The one group it is for; none for the whole organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// SHA-256 of the secret.
    pub hash: TokenHash,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Whether it was revoked because its group was deleted, and by nobody for itself: it comes back with the group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked_with_group: bool,
}

impl TokenRecord {
    /// Whether it works at this time.
    pub fn works_at(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|expiry| at < expiry)
    }
}
