//! What fields each release has: `schemas/versions/fields.jsonl`, read once, made into one tree per owner and release.

use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;
use serde_json::Value;

use super::Release;

/// The owner of the fields that every plugin has.
const PLUGINS: &str = "plugins";

static OWNERS: LazyLock<BTreeMap<String, Owner>> = LazyLock::new(|| {
    read(include_str!("../../schemas/versions/fields.jsonl"))
        .expect("the embedded field lists are part of the program and read by its tests")
});

/// An entity or a plugin, and what is known of it in each release.
struct Owner {
    facts: Vec<Fact>,
    trees: [OnceLock<Option<Field>>; Release::NEWEST.index() + 1],
}

/// A line of the file: what a field is from one release until before another.
#[derive(Clone, Deserialize)]
struct Fact {
    owner: String,
    /// Dotted; `[]` after an array's name and `*` for a map's keys. Empty: the owner itself.
    path: String,
    from: Option<String>,
    until: Option<String>,
    #[serde(flatten)]
    definition: Definition,
}

/// What a field is in a release.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Definition {
    #[serde(rename = "type")]
    pub(super) value_type: String,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Value>,
    #[serde(default)]
    pub(super) one_of: Vec<Value>,
    pub(super) between: Option<(f64, f64)>,
    /// Only null is accepted.
    #[serde(default)]
    pub(super) only_null: bool,
    /// Of an entity: the plugin it belongs to.
    pub(super) plugin: Option<String>,
}

/// A field, and those below it: a record's, those of an array's elements or of a map's values.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) definition: Definition,
    pub(super) below: BTreeMap<String, Self>,
}

/// An entity's fields in a release; none if the release doesn't know the entity.
pub(super) fn entity(kind: &str, release: Release) -> Option<&'static Field> {
    OWNERS.get(kind)?.tree(release)
}

/// A plugin's fields in a release, `config` among them; none if the release doesn't have the plugin.
pub(super) fn plugin(name: &str, release: Release) -> Option<&'static Field> {
    owner_of_plugin(name)?.tree(release)
}

/// The plugins of a release.
pub(super) fn plugins_of(release: Release) -> impl Iterator<Item = &'static str> {
    let names = OWNERS.keys().filter_map(|owner| owner.strip_prefix("plugins/"));
    names.filter(move |name| plugin(name, release).is_some())
}

/// The first release that has this plugin.
pub(super) fn first_with_plugin(name: &str) -> Option<Release> {
    Release::all().find(|release| plugin(name, *release).is_some())
}

/// The default of an owner's field in the first release after this one that has it.
pub(super) fn later_default(owner: &str, path: &str, release: Release) -> Option<&'static Value> {
    let owner = OWNERS.get(owner)?;
    let in_release = |later: Release| {
        let root = owner.tree(later)?;
        path.split('.')
            .try_fold(root, |field, name| field.below.get(name))
    };
    let later = Release::all().filter(|later| *later > release);
    later
        .into_iter()
        .find_map(in_release)?
        .definition
        .default
        .as_ref()
}

fn owner_of_plugin(name: &str) -> Option<&'static Owner> {
    OWNERS.get(&format!("plugins/{name}"))
}

impl Owner {
    fn tree(&'static self, release: Release) -> Option<&'static Field> {
        self.trees[release.index()]
            .get_or_init(|| self.grown(release))
            .as_ref()
    }

    fn grown(&self, release: Release) -> Option<Field> {
        let own: Vec<&Fact> = self.facts.iter().filter(|fact| fact.holds_in(release)).collect();
        let is_plugin = own.first()?.owner.starts_with("plugins/");
        let mut root = match is_plugin {
            true => entity(PLUGINS, release)?.clone(),
            false => Field::of(own.iter().find(|fact| fact.path.is_empty())?.definition.clone()),
        };
        for fact in own {
            root.grow(&fact.path, &fact.definition);
        }
        Some(root)
    }
}

impl Fact {
    fn holds_in(&self, release: Release) -> bool {
        let bound = |name: &Option<String>| name.as_deref().and_then(Release::named);
        bound(&self.from).is_none_or(|from| from <= release)
            && bound(&self.until).is_none_or(|until| release < until)
    }
}

impl Field {
    const fn of(definition: Definition) -> Self {
        Self {
            definition,
            below: BTreeMap::new(),
        }
    }

    /// Puts a definition in its place. Lines stand after those of the fields above them.
    fn grow(&mut self, path: &str, definition: &Definition) {
        let mut place = self;
        let mut names = path
            .split('.')
            .map(|name| name.trim_end_matches("[]"))
            .filter(|name| !name.is_empty() && *name != "*")
            .peekable();
        while let Some(name) = names.next() {
            let last = names.peek().is_none();
            place = place
                .below
                .entry(name.to_owned())
                .or_insert_with(|| Self::of(definition.clone()));
            if last {
                place.definition = definition.clone();
            }
        }
    }
}

fn read(lines: &str) -> Result<BTreeMap<String, Owner>, serde_json::Error> {
    let mut owners: BTreeMap<String, Owner> = BTreeMap::new();
    for line in lines.lines() {
        let fact: Fact = serde_json::from_str(line)?;
        let owner = owners.entry(fact.owner.clone()).or_insert_with(|| Owner {
            facts: Vec::new(),
            trees: Default::default(),
        });
        owner.facts.push(fact);
    }
    Ok(owners)
}
