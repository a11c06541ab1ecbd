//! Typed ids: a group's id can't be passed where a node's is wanted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

identifiers! {
    /// A tenant.
    OrganizationId;
    /// A runtime group; unique in the installation.
    GroupId;
    /// An entity; unique within (group, kind) only (DESIGN §2).
    EntityId;
    /// A runtime instance, as it names itself.
    NodeId;
    /// An access token's public id (never the secret).
    TokenId;
    /// A certificate by which instances prove which group they belong to.
    NodeCertificateId;
    /// One commit: generated once and kept over every retry of the same append.
    CommitId;
}

impl CommitId {
    /// When it was made, by the clock of who did; none for one that doesn't say.
    pub fn made_at(self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let milliseconds = seconds.checked_mul(1_000)? + u64::from(nanoseconds / 1_000_000);
        i64::try_from(milliseconds).ok().map(Timestamp)
    }
}
