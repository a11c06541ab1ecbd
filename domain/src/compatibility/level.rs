//! What matters of an instance for what it can take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Release;
use super::field_lists;
use crate::Kind;
use crate::group::Group;

/// What an instance can take. Instances of equal levels are sent the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level {
    /// The release line of its version.
    pub release: Release,
    /// How entities are spelled.
    pub dialect: Dialect,
    /// The plugins it has loaded and the version each reports, where that matters.
    pub plugins: Arc<BTreeMap<String, Option<String>>>,
    /// The WebAssembly filters it has.
    pub filters: BTreeSet<String>,
    /// How it routes.
    pub router: RouterFlavor,
}

/// How an instance routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouterFlavor {
    /// Kong's own router; the only one before 3.0.
    Traditional,
    /// The default since 3.0.
    TraditionalCompatible,
    /// Routes are expressions.
    Expressions,
}

/// How entities are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// In a whole configuration (v1, wRPC): what an entity refers to is an id.
    Document,
    /// One by one (sync v2): what an entity refers to is `{"id": …}`.
    Deltas,
}

impl Level {
    /// An instance of this release that has every plugin the release and the group know, and no filters.
    pub fn with_all_plugins(release: Release, dialect: Dialect, group: &Group) -> Self {
        let bundled = field_lists::plugins_of(release).map(str::to_owned);
        let custom = group.plugins.names().map(str::to_owned);
        Self {
            release,
            dialect,
            plugins: Arc::new(bundled.chain(custom).map(|name| (name, None)).collect()),
            filters: BTreeSet::new(),
            router: match release {
                Release::OLDEST => RouterFlavor::Traditional,
                _ => RouterFlavor::TraditionalCompatible,
            },
        }
    }
}

/// Whether a plugin of this name comes with Kong.
pub fn is_bundled_plugin(name: &str) -> bool {
    Kind::named("plugins").is_some_and(|kind| kind.schema().plugin(name).is_some())
}
