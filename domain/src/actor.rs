//! Who did it and why: recorded with every change.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Digest, TokenId};

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// The program itself: first start, reactors.
    System {
        /// Which part of it, for example `expiry` or `bootstrap`.
        part: String,
    },
    /// A person or program with an access token.
    Token {
        /// The token's public id.
        id: TokenId,
        /// The token's name when it acted.
        name: String,
    },
}

impl Actor {
    /// What people read: `token:ci`, `system:expiry`.
    pub fn label(&self) -> String {
        match self {
            Self::System { part } => format!("system:{part}"),
            Self::Token { name, .. } => format!("token:{name}"),
        }
    }
}

/// A caller's idempotency key with the digest of the request it stood on (DESIGN §5): scope is actor + boundary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The `Idempotency-Key` header.
    pub key: String,
    /// Digest of the request: the same key with another request is refused.
    pub request: Digest,
}

/// Everything about a command that isn't the command itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Who asks.
    pub actor: Actor,
    /// `X-Change-Message`, if given.
    pub reason: Option<String>,
    /// The request's id, as every answer and log line carries it.
    pub request_id: Option<Uuid>,
    /// The caller's address, if it came over a network.
    pub source: Option<String>,
    /// The caller's idempotency key, if given.
    pub idempotency: Option<Idempotency>,
}

impl Cause {
    /// A cause inside the program.
    pub fn system(part: &str) -> Self {
        Self {
            actor: Actor::System {
                part: part.to_owned(),
            },
            reason: None,
            request_id: None,
            source: None,
            idempotency: None,
        }
    }
}
