//! Boundaries: the consistency units, each with one literal subject in the log (DESIGN §4, §5).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};
use uuid::Uuid;

use crate::{GroupId, OrganizationId};

/// A consistency unit. Commits of one boundary are totally ordered and guarded; two boundaries are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Boundary {
    /// One per installation: the log's identity, organizations, the built-in CA.
    System,
    /// One per tenant: groups, tokens, admissions and refusals.
    Organization(OrganizationId),
    /// One per runtime group: its configuration, nothing else.
    Group(GroupId),
}

impl Boundary {
    /// The literal subject: `rt.system`, `rt.org.<uuid>`, `rt.group.<uuid>`.
    pub fn subject(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => formatter.write_str("rt.system"),
            Self::Organization(id) => write!(formatter, "rt.org.{}", id.0.simple()),
            Self::Group(id) => write!(formatter, "rt.group.{}", id.0.simple()),
        }
    }
}

/// A subject that names no boundary.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a subject of this log: expected rt.system, rt.org.<uuid> or rt.group.<uuid>")]
pub struct UnknownSubject(pub String);

impl FromStr for Boundary {
    type Err = UnknownSubject;

    fn from_str(subject: &str) -> Result<Self, UnknownSubject> {
        let unknown = || UnknownSubject(subject.to_owned());
        if subject == "rt.system" {
            return Ok(Self::System);
        }
        let uuid = |text: &str| Uuid::try_parse(text).map_err(|_| unknown());
        if let Some(id) = subject.strip_prefix("rt.org.") {
            return Ok(Self::Organization(OrganizationId(uuid(id)?)));
        }
        let id = subject.strip_prefix("rt.group.").ok_or_else(unknown)?;
        Ok(Self::Group(GroupId(uuid(id)?)))
    }
}

impl Serialize for Boundary {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Boundary {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}
