//! What each release of Kong knows: its collections and plugins with every field, read from `fixtures/kong-fields.jsonl`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::release::KongVersion;

/// One line of the list: what is so from one release to another.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    entity: Option<String>,
    plugin: Option<String>,
    field: Option<String>,
    /// A field of the plugin entity itself that this plugin narrows down.
    top: Option<String>,
    #[serde(flatten)]
    rules: Rules,
    #[serde(default)]
    shorthand: bool,
    #[serde(default)]
    ttl: bool,
    from: String,
    until: String,
}

/// What a field's value has to be.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Rules {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) elements: String,
    #[serde(default)]
    pub(super) required: bool,
    /// Whether it has a default that isn't null.
    #[serde(default)]
    pub(super) default: bool,
    #[serde(default, deserialize_with = "array_or_nothing")]
    pub(super) one_of: Vec<Value>,
    #[serde(default)]
    pub(super) between: Option<(f64, f64)>,
    #[serde(default)]
    pub(super) reference: Option<String>,
    /// Present and null: the field has to be null.
    #[serde(default, deserialize_with = "present")]
    pub(super) eq: bool,
}

fn array_or_nothing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Array(values) => Ok(values),
        _ => Ok(Vec::new()),
    }
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Value::deserialize(deserializer).map(|_| true)
}

/// The fields of a collection's entities or of a plugin's configuration, by their path.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    pub(super) by_path: BTreeMap<String, Rules>,
    /// What may be written instead of newer fields.
    pub(super) shorthands: BTreeSet<String>,
    /// The fields of the plugin entity that the plugin narrows down.
    pub(super) top: BTreeMap<String, Rules>,
    /// The plugin that brings the collection.
    pub(super) plugin: Option<String>,
    pub(super) ttl: bool,
}

/// Everything that a release knows.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    pub(super) collections: BTreeMap<String, Fields>,
    pub(super) plugins: BTreeMap<String, Fields>,
}

impl Knowledge {
    /// What a version knows.
    pub fn of(version: KongVersion) -> &'static Self {
        static ALL: LazyLock<Vec<Knowledge>> = LazyLock::new(read);
        &ALL[version.release()]
    }

    /// The names of the bundled plugins, sorted.
    pub fn plugins(&self) -> impl Iterator<Item = &str> {
        self.plugins.keys().map(String::as_str)
    }

    /// Whether there is such a collection.
    pub fn has_collection(&self, name: &str) -> bool {
        self.collections.contains_key(name)
    }

    /// Whether a plugin's configuration has such a field.
    pub fn has_field(&self, plugin: &str, field: &str) -> bool {
        let fields = self.plugins.get(plugin);
        fields.is_some_and(|fields| fields.by_path.contains_key(field))
    }
}

fn read() -> Vec<Knowledge> {
    let text = include_str!("../../fixtures/kong-fields.jsonl");
    let mut all = vec![Knowledge::default(); KongVersion::ALL.len()];
    for line in text.lines() {
        let line: Line = serde_json::from_str(line).expect("a line of the list of fields is JSON");
        for knowledge in &mut all[release(&line.from)..=release(&line.until)] {
            knowledge.learn(&line);
        }
    }
    all
}

impl Knowledge {
    fn learn(&mut self, line: &Line) {
        let fields = match (&line.entity, &line.plugin) {
            (Some(entity), plugin) => {
                let fields = self.collections.entry(entity.clone()).or_default();
                if plugin.is_some() {
                    fields.plugin.clone_from(plugin);
                }
                fields
            }
            (None, Some(plugin)) => self.plugins.entry(plugin.clone()).or_default(),
            (None, None) => return,
        };
        fields.ttl |= line.ttl;
        match (&line.field, &line.top) {
            (Some(path), _) if line.shorthand => {
                fields.shorthands.insert(path.clone());
            }
            (Some(path), _) => {
                fields.by_path.insert(path.clone(), line.rules.clone());
            }
            (None, Some(path)) => {
                fields.top.insert(path.clone(), line.rules.clone());
            }
            (None, None) => {}
        }
    }
}

/// The place of `3.9` among the releases.
fn release(name: &str) -> usize {
    let known = |version: &KongVersion| format!("{}.{}", version.major, version.minor) == name;
    (KongVersion::ALL.iter().position(known)).expect("the list names releases that are simulated")
}
