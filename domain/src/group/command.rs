//! What can be asked of a group's configuration.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::decide::EntityChange;
use super::entity::Entity;
use crate::declarative::Declaration;
use crate::schema::Secrets;
use crate::{EntityId, Kind, Version};

/// A command to a group: accepted whole or refused whole.
#[derive(Clone, Debug)]
pub enum GroupCommand {
    /// One or more operations, one change: entity requests and `/transactions`.
    Operate {
        /// In order; each sees what those before it did.
        operations: Vec<Operation>,
        /// Refuse unless the group is at this version (`If-Match` on transactions).
        expected_version: Option<Version>,
    },
    /// A declarative file as one change (`apply`).
    Declare {
        /// What the file says.
        declaration: Arc<Declaration>,
        /// Also delete what the file doesn't have (within its select tags, if it names any).
        prune: bool,
        /// Refuse unless the group is at this version.
        expected_version: Option<Version>,
    },
    /// Makes the configuration that of an earlier version again, byte for byte (`rollback`).
    RollBack {
        /// The version it is taken from, for the record.
        from: Version,
        /// The configuration of that version.
        entities: Vec<Arc<Entity>>,
        /// Refuse unless the group is at this version.
        expected_version: Option<Version>,
    },
    /// Takes back what one change did; later changes stay (`revert`).
    Revert {
        /// The change's version, for the record.
        version: Version,
        /// What it did, as the history has it.
        changes: Vec<EntityChange>,
        /// Refuse unless the group is at this version.
        expected_version: Option<Version>,
    },
    /// Makes an entity again what it was, with what belonged to it (`restore` of an entity).
    RestoreEntity {
        /// It, as it was.
        entity: Arc<Entity>,
        /// What went with it when it was deleted; what exists again by now stays as it is.
        belongings: Vec<Arc<Entity>>,
        /// Whether it also takes the place of what it is by now.
        replace: bool,
        /// Refuse unless the group is at this version.
        expected_version: Option<Version>,
    },
    /// Deletes entities whose time to live has ended.
    Expire {
        /// The entities a reactor saw expired; those that aren't (any more) are left.
        entities: Vec<(Kind, EntityId)>,
    },
    /// Counts lives from now on that a clock began which was ahead: they would last longer than their time to live.
    CountAnew {
        /// The entities a reactor saw; those that don't begin later than now (any more) are left.
        entities: Vec<(Kind, EntityId)>,
    },
    /// Erases a consumer: deletes it with all that belongs to it, and lets nothing of it come back. One that was deleted
    /// before is erased from the history alone; that it ever existed is the caller's to know.
    EraseConsumer {
        /// Its id.
        consumer: EntityId,
        /// Under which condition.
        condition: Condition,
    },
    /// Closes the group before its deletion.
    Seal,
    /// Opens it again at its restoration.
    Unseal,
}

impl GroupCommand {
    /// The entities that it would bring back, if it undoes something.
    pub fn brings_back(&self) -> Vec<Arc<Entity>> {
        match self {
            Self::RollBack { entities, .. } => entities.clone(),
            Self::Revert { changes, .. } => {
                let gone = changes.iter().filter(|change| change.after.is_none());
                gone.filter_map(|change| change.before.clone()).collect()
            }
            Self::RestoreEntity {
                entity, belongings, ..
            } => [std::slice::from_ref(entity), belongings].concat(),
            _ => Vec::new(),
        }
    }
}

/// One entity operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What to do.
    pub action: Action,
    /// On which entity or collection.
    pub target: Target,
    /// Under which condition.
    pub condition: Condition,
    /// What an update does with input-only lists that the body omits, such as a certificate's `snis`.
    pub omitted_children: OmittedChildren,
    /// What the secrets in the body are.
    pub secrets: Secrets,
}

/// What an operation does.
#[derive(Clone, Debug)]
pub enum Action {
    /// POST: a new entity.
    Create(Map<String, Value>),
    /// PUT: the entity, new or replaced whole.
    Put(Map<String, Value>),
    /// PATCH: some fields of an existing entity.
    Patch(Map<String, Value>),
    /// DELETE: gone afterwards; a success if it already was.
    Delete,
}

/// Where an operation applies: `/{collection}[/{selector}]` or `/{parents}/{parent}/{collection}[/{selector}]`.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub kind: Kind,
    /// The entity; none for a creation.
    pub selector: Option<Selector>,
    /// The parent it is nested under, if any.
    pub parent: Option<(Kind, Selector)>,
}

impl Target {
    /// A place that isn't nested.
    pub const fn flat(kind: Kind, selector: Option<Selector>) -> Self {
        Self {
            kind,
            selector,
            parent: None,
        }
    }
}

/// How a URL names an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// By its id.
    Id(EntityId),
    /// By its endpoint key, such as a name.
    Key(String),
}

impl Selector {
    /// A URL segment: a UUID is an id, anything else an endpoint key.
    pub fn parse(segment: &str) -> Self {
        match Uuid::try_parse(segment) {
            Ok(id) if segment.len() == 36 => Self::Id(EntityId(id)),
            _ => Self::Key(segment.to_owned()),
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(formatter),
            Self::Key(key) => key.fmt(formatter),
        }
    }
}

/// A precondition of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// None.
    #[default]
    Always,
    /// `If-Match`: the entity exists and was last touched by one of these changes.
    Touched(Vec<Version>),
    /// `If-Match: *`: the entity exists.
    Exists,
    /// `If-None-Match: *`: the entity doesn't exist.
    Absent,
}

/// What a PUT or PATCH that omits a list of children means for them (`deck-go-kong.md` §0 item 10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OmittedChildren {
    /// Kong's Admin API: a PUT without the list deletes them.
    #[default]
    Delete,
    /// Konnect's API: they stay.
    Keep,
}
