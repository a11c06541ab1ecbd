//! Who may connect: what this room asks about instances' tokens.

use std::sync::Arc;

use async_trait::async_trait;
use domain::organization::{RuntimeType, TokenRecord};
use domain::token::{Role, TokenHash};
use domain::{GroupId, OrganizationId, Timestamp};

/// A token as it is stored, and the state of the group it is for.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The token.
    pub record: TokenRecord,
    /// Whether its group exists and isn't deleted; false for a token without a group.
    pub group_exists: bool,
    /// The type of its group's instances, if it is settled.
    pub runtime_type: Option<RuntimeType>,
}

/// Tokens that can't be looked up for the moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tokens can't be looked up for the moment: {0}")]
pub struct TokensUnavailable(pub String);

/// Looks tokens up.
#[async_trait]
pub trait InstanceTokens: Send + Sync + 'static {
    /// The token with this hash, also one that was issued a moment ago.
    async fn token(&self, hash: TokenHash) -> Result<Option<StoredToken>, TokensUnavailable>;

    /// The tokens with these hashes as they are known here, in the order asked for.
    async fn tokens(&self, hashes: &[TokenHash]) -> Result<Vec<Option<StoredToken>>, TokensUnavailable>;
}

/// Shared tokens.
pub type SharedTokens = Arc<dyn InstanceTokens>;

/// What a token admits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// The group's organization.
    pub organization: OrganizationId,
    /// The group.
    pub group: GroupId,
    /// Whether the group's type has still to be settled.
    pub first: bool,
}

/// Why an instance isn't let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: nothing that could be looked up.
    #[error("an instance token is needed: Authorization: Bearer <token>")]
    NoToken,
    /// 401: not, or not any more, a token.
    #[error("the token is unknown, revoked or expired: issue a new one with `runtime-manager token`")]
    NotValid,
    /// 403: a person's token.
    #[error("this is a token with role {0}: instances connect with a token of role instance")]
    WrongRole(&'static str),
    /// 403: no group, or a deleted one.
    #[error("the runtime group of this token doesn't exist: it was deleted, or the token names none")]
    NoGroup,
    /// 403: the group's instances are of another kind.
    #[error("the instances of this runtime group are of type {0}, not native: use another group")]
    WrongType(&'static str),
}

impl Denied {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::NoToken | Self::NotValid => 401,
            Self::WrongRole(_) | Self::NoGroup | Self::WrongType(_) => 403,
        }
    }
}

/// Judges a token.
pub fn admit(token: Option<&StoredToken>, now: Timestamp) -> Result<Admission, Denied> {
    let token = token
        .filter(|token| token.record.works_at(now))
        .ok_or(Denied::NotValid)?;
    if token.record.role != Role::Instance {
        return Err(Denied::WrongRole(token.record.role.name()));
    }
    let group = token
        .record
        .group
        .filter(|_| token.group_exists)
        .ok_or(Denied::NoGroup)?;
    match token.runtime_type {
        Some(RuntimeType::KongGateway) => Err(Denied::WrongType(RuntimeType::KongGateway.name())),
        settled => Ok(Admission {
            organization: token.organization,
            group,
            first: settled.is_none(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use domain::TokenId;
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn token() -> StoredToken {
        StoredToken {
            organization: OrganizationId(Uuid::from_u128(1)),
            record: TokenRecord {
                id: TokenId(Uuid::from_u128(2)),
                name: "edge".to_owned(),
                role: Role::Instance,
                group: Some(GroupId(Uuid::from_u128(3))),
                hash: TokenHash([0; 32]),
                created_at: Timestamp(0),
                expires_at: None,
                revoked_at: None,
                revoked_with_group: false,
            },
            group_exists: true,
            runtime_type: None,
        }
    }

    #[test]
    fn an_instance_token_admits_to_its_group() {
        let admission = admit(Some(&token()), NOW).unwrap();
        assert_eq!(admission.group, GroupId(Uuid::from_u128(3)));
        assert!(admission.first);
    }

    #[test]
    fn unknown_revoked_and_expired_tokens_are_not_valid() {
        let mut revoked = token();
        revoked.record.revoked_at = Some(Timestamp(5));
        let mut expired = token();
        expired.record.expires_at = Some(NOW);
        for token in [None, Some(&revoked), Some(&expired)] {
            assert_eq!(admit(token, NOW), Err(Denied::NotValid));
        }
    }

    #[test]
    fn a_persons_token_a_deleted_group_and_another_type_are_refused_with_the_reason() {
        let mut admin = token();
        admin.record.role = Role::Admin;
        let mut deleted = token();
        deleted.group_exists = false;
        let mut kong = token();
        kong.runtime_type = Some(RuntimeType::KongGateway);
        assert_eq!(admit(Some(&admin), NOW), Err(Denied::WrongRole("admin")));
        assert_eq!(admit(Some(&deleted), NOW), Err(Denied::NoGroup));
        assert_eq!(admit(Some(&kong), NOW), Err(Denied::WrongType("kong-gateway")));
    }
}
