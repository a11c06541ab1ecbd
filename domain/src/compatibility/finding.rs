//! What writing for a level did to an entity, for an operator to read.

use serde::{Serialize, Serializer};

use crate::{EntityId, Kind};

/// What became of an entity, or of one of its fields, at a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The entity's kind.
    pub kind: Kind,
    /// The entity.
    pub id: EntityId,
    /// What people call it, if it has a name that is neither secret nor a consumer's.
    pub name: Option<String>,
    /// The field, dotted, if it is about one.
    pub field: Option<String>,
    /// What was done.
    pub effect: Effect,
    /// What, why, and how to mend it.
    pub message: String,
}

/// What was done to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Sent as it is; something about it is worth knowing.
    Noted,
    /// A value was rewritten.
    Changed,
    /// A field was left out.
    FieldLeftOut,
    /// The whole entity was left out.
    EntityLeftOut,
    /// Nothing of the group's configuration goes to instances of this level until this is mended.
    Withheld(Incompatibility),
}

/// Why a configuration is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Incompatibility {
    /// A plugin is missing.
    PluginSet,
    /// A plugin has an unfitting version.
    PluginVersion,
    /// A WebAssembly filter is missing.
    FilterSet,
    /// The release can't express the configuration.
    Configuration,
}

impl Incompatibility {
    /// The node's `sync_status`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PluginSet => "plugin_set_incompatible",
            Self::PluginVersion => "plugin_version_incompatible",
            Self::FilterSet => "filter_set_incompatible",
            Self::Configuration => "configuration_incompatible",
        }
    }
}

impl Effect {
    /// Its name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noted => "noted",
            Self::Changed => "changed",
            Self::FieldLeftOut => "field_left_out",
            Self::EntityLeftOut => "entity_left_out",
            Self::Withheld(incompatibility) => incompatibility.name(),
        }
    }
}

impl Serialize for Effect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
