//! A configuration becomes a document in decK's nested form.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{file_key, memberships};
use crate::group::Entity;
use crate::schema::{ValueType, holds_hashed_secret, may_hash};
use crate::{EntityId, Kind};

/// What a dump holds.
#[derive(Clone, Debug, Default)]
pub struct DumpOptions {
    /// Only entities with all of these tags; written to `_info.select_tags`.
    pub select_tags: Vec<String>,
    /// The group's name for `_konnect.runtime_group_name`.
    pub group: Option<String>,
}

/// Writes a configuration as a decK document (`_format_version` 3.0), ids included, timestamps left out, and nothing
/// that applying it would fill in by itself. Secrets that are stored hashed stand as hashes, and `_transform: false` says so.
pub fn dump<'entities>(
    entities: impl Iterator<Item = &'entities Arc<Entity>>,
    options: &DumpOptions,
) -> Value {
    // A membership has no tags: it is written where both its sides are.
    let selected = |entity: &&Arc<Entity>| {
        entity.kind.schema().exported
            && (memberships::is_one(entity) || entity.has_tags(&options.select_tags))
    };
    let mut tree = Tree::default();
    let mut entities: Vec<_> = entities.filter(selected).collect();
    entities.sort_by_key(|entity| (entity.kind, entity.id));
    for entity in &entities {
        tree.add(entity);
    }
    let mut document = Map::new();
    document.insert("_format_version".to_owned(), json!("3.0"));
    if !options.select_tags.is_empty() {
        document.insert("_info".to_owned(), json!({ "select_tags": options.select_tags }));
    }
    if let Some(group) = &options.group {
        document.insert("_konnect".to_owned(), json!({ "runtime_group_name": group }));
    }
    let hashed =
        |entity: &&Arc<Entity>| may_hash(entity.kind) && holds_hashed_secret(entity.kind, &entity.map());
    if entities.iter().any(hashed) {
        document.insert("_transform".to_owned(), json!(false));
    }
    let top = tree.children.remove(&None).unwrap_or_default();
    tree.write(top, &mut document);
    Value::Object(document)
}

type Key = (Kind, EntityId);

#[derive(Default)]
struct Tree<'entities> {
    known: BTreeMap<Key, &'entities Arc<Entity>>,
    children: BTreeMap<Option<Key>, BTreeMap<Kind, Vec<Key>>>,
    /// The names of a consumer's groups.
    groups: BTreeMap<Key, Vec<Value>>,
}

impl<'entities> Tree<'entities> {
    fn add(&mut self, entity: &'entities Arc<Entity>) {
        if memberships::is_one(entity) {
            return self.add_membership(entity);
        }
        let key = (entity.kind, entity.id);
        let parent = self.parent_of(entity);
        self.known.insert(key, entity);
        self.children
            .entry(parent)
            .or_default()
            .entry(entity.kind)
            .or_default()
            .push(key);
    }

    fn add_membership(&mut self, entity: &Entity) {
        let known = |name: &str| {
            let mut references = entity.references.iter();
            let reference = references.find(|reference| reference.kind.name() == name)?;
            let key = (reference.kind, reference.id);
            Some((key, *self.known.get(&key)?))
        };
        if let (Some((_, group)), Some((consumer, _))) = (known("consumer_groups"), known("consumers")) {
            let name = group.map().get("name").cloned().unwrap_or(Value::Null);
            self.groups
                .entry(consumer)
                .or_default()
                .push(json!({ "name": name }));
        }
    }

    /// An entity that refers to exactly one other nests under it where decK nests it: what can't be without the other,
    /// routes, and plugins unless they are a consumer group's.
    fn parent_of(&self, entity: &Entity) -> Option<Key> {
        let [reference] = &*entity.references else {
            return None;
        };
        let parent = (reference.kind, reference.id);
        let key = &entity.kind.schema().foreign_keys[reference.foreign_key];
        let belongs = match entity.kind.name() {
            "routes" => true,
            // Below a consumer group decK reads no more of a plugin than its name and config.
            "plugins" => reference.kind.name() != "consumer_groups",
            _ => key.required,
        };
        let nests = belongs
            && Kind::nested(reference.kind, entity.kind.schema().nested_collection) == Some(entity.kind);
        (nests && self.known.contains_key(&parent)).then_some(parent)
    }

    fn write(&mut self, lists: BTreeMap<Kind, Vec<Key>>, into: &mut Map<String, Value>) {
        for (kind, keys) in lists {
            let items = keys.into_iter().map(|key| self.item(key)).collect();
            into.insert(file_key(kind), Value::Array(items));
        }
    }

    fn item(&mut self, key: Key) -> Value {
        let entity = self.known[&key];
        let parent = self.parent_of(entity).map(|(kind, _)| kind);
        let mut item = written(entity, parent);
        if let Some(children) = self.children.remove(&Some(key)) {
            self.write(children, &mut item);
        }
        if let Some(groups) = self.groups.remove(&key) {
            item.insert(memberships::GROUPS.to_owned(), Value::Array(groups));
        }
        Value::Object(item)
    }
}

/// The fields that a file must say: not the timestamps, not the reference that nesting says, not what filling makes.
fn written(entity: &Entity, parent: Option<Kind>) -> Map<String, Value> {
    let body = entity.map();
    let record = entity.kind.schema().record_for(&body);
    let mut written = Map::new();
    for (name, value) in body {
        let field = record.field(&name);
        let said_by_nesting = parent.is_some_and(|parent| {
            entity
                .kind
                .schema()
                .foreign_keys
                .iter()
                .any(|key| key.field == name && key.kind == Some(parent))
        });
        let default = field
            .and_then(|field| field.default.as_ref())
            .unwrap_or(&Value::Null);
        let generated = field.is_some_and(crate::schema::FieldSchema::is_generated);
        let filled = value.is_null() && default.is_null() && !generated;
        if said_by_nesting || filled || name == "created_at" || name == "updated_at" {
            continue;
        }
        let foreign = field.is_some_and(|field| matches!(field.value_type, ValueType::Foreign(_)));
        let value = match field {
            Some(_) if foreign && reads_plain_ids(entity.kind) => {
                value.get("id").cloned().unwrap_or(Value::Null)
            }
            Some(field) => said(&field.value_type, value),
            None => value,
        };
        written.insert(name, value);
    }
    written
}

/// Whether decK reads this kind's references as plain strings.
fn reads_plain_ids(kind: Kind) -> bool {
    matches!(kind.name(), "plugins" | "services")
}

/// A value without the nulls inside its records that filling makes again: decK refuses them outside of plugins' configs.
fn said(value_type: &ValueType, value: Value) -> Value {
    match (value_type, value) {
        (ValueType::Record(record), Value::Object(fields)) => {
            let said = fields.into_iter().filter_map(|(name, value)| {
                let Some(field) = record.field(&name) else {
                    return Some((name, value));
                };
                let filled = value.is_null() && field.default.as_ref().is_none_or(Value::is_null);
                (!filled).then(|| (name, said(&field.value_type, value)))
            });
            Value::Object(said.collect())
        }
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(values)) => values
            .into_iter()
            .map(|value| said(&elements.value_type, value))
            .collect(),
        (_, value) => value,
    }
}
