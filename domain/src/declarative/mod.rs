//! Configurations as files, in and out; pure. decK's declarative files (`_format_version` 1.1, 2.1, 3.0):
//!
//! - [`Document`]: a file's content as it is read. [`parse`]: it becomes a [`Declaration`]: flat, parents before children.
//! - [`dump`]: a configuration becomes a document in decK's nested form.
//!
//! What a declaration does to a group is [`crate::group::declare`]. Out only: [`kong`], what a Kong without a database loads,
//! and [`Canonical`], the bodies as they are stored.

mod canonical;
mod document;
mod dump;
mod kong;
mod memberships;
mod older_formats;
mod parse;

pub use canonical::Canonical;
pub use document::{Document, MOST_VALUES};
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
    pub path: Box<str>,
    /// Its kind.
    pub kind: Kind,
    /// Its fields as written, without nested children; `id` only if the file has one.
    pub body: DeclaredBody,
    /// The entity it is nested under: an index into the declaration's entities.
    pub parent: Option<usize>,
    /// `_transform`: whether a credential's secret is plain (true, as if absent) or hashed already (false).
    pub secrets: Secrets,
    /// The field of its secret and that one's hash, where computing it took too long for the writer.
    pub hashed: Option<(&'static str, String)>,
}

/// The fields of a declared entity as JSON text: a tenth of what they take as values, while the change is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredBody(Box<str>);

impl From<Map<String, Value>> for DeclaredBody {
    fn from(fields: Map<String, Value>) -> Self {
        Self(Value::Object(fields).to_string().into())
    }
}

impl DeclaredBody {
    /// The fields.
    pub fn map(&self) -> Map<String, Value> {
        serde_json::from_str(&self.0).expect("a body was written from a map")
    }

    /// How many bytes they take.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte of it, which never is: `{}` has two.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The entity's key in a decK file below its parent or at the top: its collection with underscores, or its name.
fn file_key(kind: Kind) -> String {
    match kind.schema().collection.replace('-', "_") {
        collection if Kind::named(&collection).is_some() => collection,
        _ => kind.name().to_owned(),
    }
}
