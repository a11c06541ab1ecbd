//! What stands in the way of undoing: something that came later, named so that a person can decide what becomes of it.

use std::fmt;
use std::sync::Arc;

use super::{Entity, GroupError};
use crate::{EntityId, Kind, Version};

/// One reason why something can't be undone.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The entity that can't be made what it was.
    pub entity: Arc<Entity>,
    /// The field it is about, dotted, if it is about one.
    pub field: Option<String>,
    /// What stands in the way.
    pub obstacle: Obstacle,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Obstacle {
    /// A later change made something else of it.
    #[error("was changed again since")]
    ChangedSince,
    /// It doesn't exist any more.
    #[error("was deleted since")]
    DeletedSince,
    /// An entity with its id exists, and is another than the one that would come back.
    #[error("exists again and isn't what it was")]
    ExistsAgain,
    /// It would go, and another entity would go with it or point nowhere.
    #[error("is referred to by {}, which would lose it", reference(.by.kind, .by.id))]
    ReferredTo {
        /// The entity that refers to it.
        by: Arc<Entity>,
    },
    /// Its name or another unique value belongs to another entity by now.
    #[error("is taken by {}", reference(.by.kind, .by.id))]
    Taken {
        /// The holder.
        by: Arc<Entity>,
    },
    /// What it belongs to or refers to isn't there any more.
    #[error("refers to {}, which doesn't exist", reference(*.kind, *.id))]
    Missing {
        /// The kind of what isn't there.
        kind: Kind,
        /// What isn't there.
        id: EntityId,
    },
    /// What it was is erased for ever.
    #[error("was erased: what it was is gone for ever")]
    Erased,
    /// Its time to live has ended.
    #[error("has expired")]
    Expired,
    /// As it would be, it isn't valid.
    #[error("would not be valid: {0}")]
    Invalid(Box<GroupError>),
}

fn reference(kind: Kind, id: EntityId) -> String {
    format!("{} {id}", kind.name())
}

impl Obstacle {
    /// Its name in answers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ChangedSince => "changed_since",
            Self::DeletedSince => "deleted_since",
            Self::ExistsAgain => "exists_again",
            Self::ReferredTo { .. } => "referred_to",
            Self::Taken { .. } => "taken",
            Self::Missing { .. } => "missing_reference",
            Self::Erased => "erased",
            Self::Expired => "expired",
            Self::Invalid(_) => "invalid",
        }
    }
}

impl Conflict {
    /// A conflict about an entity as a whole.
    pub const fn whole(entity: Arc<Entity>, obstacle: Obstacle) -> Self {
        Self {
            entity,
            field: None,
            obstacle,
        }
    }

    /// A conflict about one field.
    pub const fn field(entity: Arc<Entity>, field: String, obstacle: Obstacle) -> Self {
        Self {
            entity,
            field: Some(field),
            obstacle,
        }
    }

    /// The entity in whose history the later change stands; none where no later change is to blame.
    pub fn blamed(&self) -> Option<(Kind, EntityId)> {
        match &self.obstacle {
            Obstacle::ChangedSince | Obstacle::DeletedSince | Obstacle::ExistsAgain => {
                Some((self.entity.kind, self.entity.id))
            }
            Obstacle::ReferredTo { by } | Obstacle::Taken { by } => Some((by.kind, by.id)),
            Obstacle::Missing { kind, id } => Some((*kind, *id)),
            Obstacle::Erased | Obstacle::Expired | Obstacle::Invalid(_) => None,
        }
    }

    /// The change that last touched what is to blame; none where that isn't there any more.
    pub fn touched(&self) -> Option<Version> {
        match &self.obstacle {
            Obstacle::ChangedSince | Obstacle::ExistsAgain => Some(self.entity.touched),
            Obstacle::ReferredTo { by } | Obstacle::Taken { by } => Some(by.touched),
            _ => None,
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", reference(self.entity.kind, self.entity.id))?;
        if let Some(field) = &self.field {
            write!(formatter, ": {field}")?;
        }
        write!(formatter, " {}", self.obstacle)
    }
}
