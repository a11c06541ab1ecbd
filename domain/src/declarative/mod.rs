//! Configurations as files, in and out; pure. decK's declarative files (`_format_version` 1.1, 2.1, 3.0):
//!
//! - [`parse`]: a file's document, already read as JSON, becomes a [`Declaration`]: flat, parents before children.
//! - [`dump`]: a configuration becomes a document in decK's nested form.
//!
//! What a declaration does to a group is [`crate::group::declare`]. Out only: [`kong`], what a Kong without a database loads,
//! and [`Canonical`], the bodies as they are stored.

mod canonical;
mod dump;
mod kong;
mod memberships;
mod older_formats;
mod parse;

pub use canonical::Canonical;
pub use dump::{DumpOptions, dump};
pub use kong::kong;
pub use parse::{DeclarationError, parse};

use serde_json::{Map, Value};

use crate::Kind;
use crate::schema::Secrets;

/// What a declarative file says: its entities, parents before children.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Declaration {
    /// The entities; each stands after those of the kinds it may refer to, the one it is nested under included.
    pub entities: Vec<DeclaredEntity>,
    /// `_info.select_tags`: what the file is about; pruning stays within it, and every entity gets these tags.
    pub select_tags: Vec<String>,
    /// `_konnect.runtime_group_name` or `control_plane_name`: the group the file says it is for.
    pub group: Option<String>,
}

/// One entity of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct DeclaredEntity {
    /// Where it stands: `services[3].routes[0] (r1)`.
    pub path: String,
    /// Its kind.
    pub kind: Kind,
    /// Its fields as written, without nested children; `id` only if the file has one.
    pub body: Map<String, Value>,
    /// The entity it is nested under: an index into the declaration's entities.
    pub parent: Option<usize>,
    /// `_transform`: whether a credential's secret is plain (true, as if absent) or hashed already (false).
    pub secrets: Secrets,
    /// The field of its secret and that one's hash, where computing it took too long for the writer.
    pub hashed: Option<(&'static str, String)>,
}

/// The entity's key in a decK file below its parent or at the top: its collection with underscores, or its name.
fn file_key(kind: Kind) -> String {
    match kind.schema().collection.replace('-', "_") {
        collection if Kind::named(&collection).is_some() => collection,
        _ => kind.name().to_owned(),
    }
}
