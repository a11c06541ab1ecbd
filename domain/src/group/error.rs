//! Why a group refuses a command: structured, so that each API says it in its own words (law 7).

use serde_json::{Map, Value};

use super::Conflict;
use crate::schema::{Question, SchemaViolation};
use crate::{EntityId, Kind, Version};

/// A refusal. Nothing was changed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GroupError {
    /// The body doesn't fit the kind's schema.
    #[error("{}", .0.message())]
    Schema(SchemaViolation),
    /// Another entity has this id already.
    #[error("primary key violation on key '{{id=\"{id}\"}}'")]
    PrimaryKey {
        /// The id.
        id: EntityId,
    },
    /// Another entity has these values.
    #[error("UNIQUE violation detected on '{}'", key_text(.fields))]
    Unique {
        /// The unique fields and their values.
        fields: Map<String, Value>,
    },
    /// A reference by id to an entity that isn't there.
    #[error("the foreign key '{{id=\"{id}\"}}' does not reference an existing '{kind}' entity.")]
    ForeignMissing {
        /// The referring field.
        field: &'static str,
        /// The kind it refers to.
        kind: &'static str,
        /// The id that isn't there.
        id: EntityId,
    },
    /// A reference by name to an entity that isn't there.
    #[error(
        "foreign key unresolved ({field}.{by}: the foreign key cannot be resolved with '{{{by}=\"{value}\"}}' for an existing '{kind}' entity)"
    )]
    ForeignUnresolved {
        /// The referring field.
        field: &'static str,
        /// The kind it refers to.
        kind: &'static str,
        /// The unique field used.
        by: String,
        /// The value that names nothing.
        value: String,
    },
    /// The entity can't be deleted while another refers to it.
    #[error("an existing '{by}' entity references this '{kind}' entity")]
    Referenced {
        /// The kind of the entity to delete.
        kind: &'static str,
        /// The kind that refers to it.
        by: &'static str,
    },
    /// The entity can't be deleted while another lists its id.
    #[error("{} {id} is still referenced by {by} (id = {by_id})", words(.kind))]
    Listed {
        /// The kind of the entity to delete.
        kind: &'static str,
        /// The entity to delete.
        id: EntityId,
        /// The kind of the entity that lists it.
        by: &'static str,
        /// The entity that lists it.
        by_id: EntityId,
    },
    /// The entity (or the parent it is nested under) isn't there.
    #[error("{kind} '{selector}' not found")]
    NotFound {
        /// Its kind.
        kind: Kind,
        /// How it was named.
        selector: String,
    },
    /// `If-Match` names another state than the current one.
    #[error("the entity was last touched by version {}, not by the one expected: read it again and repeat the change", version_text(.actual))]
    Precondition {
        /// The version that last touched it; none if it doesn't exist.
        actual: Option<Version>,
    },
    /// `If-None-Match: *` on an entity that exists.
    #[error("the entity exists already (version {actual}): use If-Match to replace it")]
    Exists {
        /// The version that last touched it.
        actual: Version,
    },
    /// The group isn't at the version expected.
    #[error("the group is at version {actual}, not {expected}: look at the changes since, then repeat")]
    Version {
        /// What was expected.
        expected: Version,
        /// What it is.
        actual: Version,
    },
    /// One entity is too large.
    #[error("the {kind} entity has {size} bytes; at most {limit} are accepted")]
    EntityTooLarge {
        /// Its kind.
        kind: &'static str,
        /// Its canonical size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The change is too large.
    #[error("the change has {size} bytes; at most {limit} are accepted: split it")]
    ChangeTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The group is being deleted, or is deleted.
    #[error("the group is deleted; restore it to change it")]
    Sealed,
    /// The consumer was erased, and so is whatever belonged to it.
    #[error(
        "the consumer {consumer} was erased by version {version}, so nothing of it can be made again: make a new consumer"
    )]
    Erased {
        /// Its id.
        consumer: EntityId,
        /// The change that erased it.
        version: Version,
    },
    /// An operation that the API never sends: a creation with a selector, a change without one.
    #[error("{0}")]
    Malformed(String),
    /// Something can't be undone because of what came later.
    #[error("{}", conflicts_text(.0))]
    Conflicts(Vec<Conflict>),
    /// Functions of uploaded schemas must judge these values before it can be decided: have them asked, and try again with what
    /// they say ([`crate::sandbox::with_judgements`]).
    #[error("{} values must be judged by functions of uploaded schemas first", .0.len())]
    Unjudged(Vec<Question>),
    /// One operation of several was refused.
    #[error("operation {index}: {error}")]
    InOperation {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: Box<Self>,
    },
    /// A plugin doesn't fit the new version of its uploaded schema.
    #[error("the plugin {id} doesn't fit this schema: {error}; change the plugin first, or the schema")]
    InPlugin {
        /// The plugin.
        id: EntityId,
        /// Why.
        error: Box<Self>,
    },
    /// One entity of a declarative file was refused.
    #[error("{path}: {error}")]
    InDeclaration {
        /// Where in the file: `services[3].routes[0] (name: r1)`.
        path: String,
        /// Why.
        error: Box<Self>,
    },
}

impl From<SchemaViolation> for GroupError {
    fn from(violation: SchemaViolation) -> Self {
        Self::Schema(violation)
    }
}

/// A kind's name in words, of one: `ca certificate`.
fn words(kind: &str) -> String {
    kind.strip_suffix('s').unwrap_or(kind).replace('_', " ")
}

/// How many conflicts a refusal's text names.
const NAMED_CONFLICTS: usize = 5;

fn conflicts_text(conflicts: &[Conflict]) -> String {
    let named = conflicts.iter().take(NAMED_CONFLICTS);
    let mut named: Vec<_> = named.map(ToString::to_string).collect();
    if conflicts.len() > NAMED_CONFLICTS {
        named.push(format!("and {} more", conflicts.len() - NAMED_CONFLICTS));
    }
    let named = named.join("; ");
    format!("this can't be undone as long as what came later stands in the way: {named}")
}

fn version_text(version: &Option<Version>) -> String {
    version.map_or_else(
        || "none (it doesn't exist)".to_owned(),
        |version| version.to_string(),
    )
}

/// Kong's way to print a key: `{name="x"}`, `{consumer=null,name="basic-auth",service={id="…"}}`.
pub fn key_text(fields: &Map<String, Value>) -> String {
    let text = |value: &Value| match value {
        Value::Object(map) => key_text(map),
        other => other.to_string(),
    };
    let mut names: Vec<_> = fields.iter().collect();
    names.sort_by_key(|(name, _)| name.as_str());
    let parts: Vec<_> = names
        .into_iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    format!("{{{}}}", parts.join(","))
}
