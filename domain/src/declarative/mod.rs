//! decK's declarative files (`_format_version` 1.1, 2.1, 3.0), in and out; pure.

use serde_json::{Map, Value};

use crate::Kind;

/// What a declarative file says: its entities, parents before children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declaration {
    /// The entities, in an order in which each stands after those it refers to by nesting.
    pub entities: Vec<DeclaredEntity>,
    /// `_info.select_tags`: what the file is about; pruning stays within it, and every entity gets these tags.
    pub select_tags: Vec<String>,
}

/// One entity of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredEntity {
    /// Where it stands: `services[3].routes[0]`.
    pub path: String,
    /// Its kind.
    pub kind: Kind,
    /// Its fields as written, without nested children; `id` only if the file has one.
    pub body: Map<String, Value>,
    /// The entity it is nested under: an index into the declaration's entities.
    pub parent: Option<usize>,
}
