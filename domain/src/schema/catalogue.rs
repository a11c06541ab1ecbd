//! The catalogue: every kind the engine knows, compiled once from the embedded schema files.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::compile;
use super::definition::{FieldSchema, RecordSchema, Transformation, ValueType};
use super::embedded;

static CATALOGUE: LazyLock<Vec<KindSchema>> = LazyLock::new(|| {
    compile::catalogue(embedded::ENTITIES, embedded::PLUGINS)
        .expect("the embedded schema files are part of the program and compiled by its tests")
});

/// Every event and every row names a kind.
static NAMES: LazyLock<HashMap<&'static str, Kind>> =
    LazyLock::new(|| Kind::all().map(|kind| (kind.name(), kind)).collect());

/// A kind of entity: an index into the catalogue. Ordered so that a kind comes after those it refers to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u16);

impl Kind {
    pub(super) const fn at(index: u16) -> Self {
        Self(index)
    }

    /// The kind of this name (`"services"`).
    pub fn named(name: &str) -> Option<Self> {
        NAMES.get(name).copied()
    }

    /// The kind of this URL segment (`"services"`, `"key-auths"`).
    pub fn in_collection(segment: &str) -> Option<Self> {
        Self::all().find(|kind| kind.schema().collection == segment)
    }

    /// The kind of this URL segment below an entity of `parent` that it refers to (`"key-auth"` below consumers).
    pub fn nested(parent: Self, segment: &str) -> Option<Self> {
        Self::all().find(|kind| {
            let schema = kind.schema();
            schema.nested_collection == segment
                && schema.foreign_keys.iter().any(|key| key.kind == Some(parent))
        })
    }

    /// Every kind, each after those it refers to.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).map(Self).take(CATALOGUE.len())
    }

    /// Kong's name of the kind, also the name in the log.
    pub fn name(self) -> &'static str {
        self.schema().name
    }

    /// What the kind's schema file says.
    pub fn schema(self) -> &'static KindSchema {
        &CATALOGUE[usize::from(self.0)]
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| D::Error::custom(format_args!("unknown kind of entity {name:?}")))
    }
}

/// One kind: how it is addressed, what is unique, what it refers to, and its fields.
#[derive(Debug)]
pub struct KindSchema {
    /// Kong's name of the kind.
    pub name: &'static str,
    /// URL segment of the kind's collection.
    pub collection: &'static str,
    /// URL segment below an entity the kind refers to.
    pub nested_collection: &'static str,
    /// The unique field that may replace the id in URLs.
    pub endpoint_key: Option<&'static str>,
    /// What no two entities of a group may share, besides the id.
    pub unique: Vec<UniqueRule>,
    /// What it refers to.
    pub foreign_keys: Vec<ForeignKey>,
    /// Accepts a `ttl` in seconds beside its fields.
    pub ttl: bool,
    /// Has a `tags` field.
    pub tagged: bool,
    /// Part of declarative configuration and of what instances receive.
    pub exported: bool,
    /// Commands may write it. Other kinds exist as schemas only.
    pub configuration: bool,
    /// The generated endpoints serve it.
    pub served: bool,
    /// Some body of this kind has something to seal at rest.
    pub may_seal: bool,
    /// Its secrets belong to a consumer (itself, or the one it refers to) and are sealed with that one's key.
    pub owned: bool,
    /// The field whose value chooses the subschema (`plugins.name`, `routes.protocols`).
    pub subschema_key: Option<&'static str>,
    /// Fields, shorthands and checks without a subschema.
    pub record: RecordSchema,
    pub(super) transformations: Vec<Transformation>,
    pub(super) subschema_error: Option<&'static str>,
    pub(super) subschemas: HashMap<&'static str, Subschema>,
    pub(super) document: Value,
}

/// A kind's schema with one subschema merged in.
#[derive(Debug)]
pub(super) struct Subschema {
    pub(super) record: RecordSchema,
    pub(super) document: Value,
    pub(super) facts: PluginFacts,
}

/// What a plugin's file says besides its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PluginFacts {
    /// Order of execution, highest first.
    pub priority: i64,
    /// The plugin's own version.
    pub version: &'static str,
}

/// What no two entities of a group may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRule {
    /// The fields that form the key.
    pub fields: Vec<&'static str>,
    /// True: null is a value like any other. False: a null never clashes.
    pub composite: bool,
}

/// A field that refers to another entity.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The field's name.
    pub field: &'static str,
    /// Kong's name of the kind it refers to.
    pub reference: &'static str,
    /// That kind, if the catalogue has it.
    pub kind: Option<Kind>,
    /// Must be set.
    pub required: bool,
    /// What deleting the other entity does.
    pub on_delete: OnDelete,
}

/// What deleting an entity does to those that refer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// The deletion is refused while they exist.
    Restrict,
    /// They are deleted as well.
    Cascade,
}

impl KindSchema {
    /// The kind's fields without a subschema, in stored order.
    pub fn fields(&self) -> &[FieldSchema] {
        &self.record.fields
    }

    /// The names that choose a subschema (for plugins: the plugins), in no particular order.
    pub fn subschema_names(&self) -> impl Iterator<Item = &'static str> {
        self.subschemas.keys().copied()
    }

    /// Whether its subschemas are plugins, of which a group may have more.
    pub(super) fn has_plugins(&self) -> bool {
        self.name == embedded::PLUGIN_KIND
    }

    /// Facts of the plugin of this name, if this kind's subschemas are plugins and it is one of them.
    pub fn plugin(&self, name: &str) -> Option<PluginFacts> {
        self.subschemas.get(name).map(|subschema| subschema.facts)
    }

    /// Fields, shorthands and checks that apply to this body: with its subschema, or without if it names none.
    pub fn record_for(&self, body: &Map<String, Value>) -> &RecordSchema {
        self.subschema_for(body)
            .map_or(&self.record, |subschema| &subschema.record)
    }

    pub(super) fn subschema_for(&self, body: &Map<String, Value>) -> Option<&Subschema> {
        let chosen = match body.get(self.subschema_key?)? {
            Value::Array(values) => values.first()?.as_str()?,
            value => value.as_str()?,
        };
        self.subschemas.get(chosen)
    }
}

/// Whether the record holds anything that is sealed at rest.
pub(super) fn seals(record: &RecordSchema) -> bool {
    record.fields.iter().any(field_seals)
}

/// Whether the field, or one below it, is sealed at rest.
pub(super) fn field_seals(field: &FieldSchema) -> bool {
    field.sealed
        || field.personal
        || match &field.value_type {
            ValueType::Array(elements) | ValueType::Set(elements) => field_seals(elements),
            ValueType::Map(_, values) => field_seals(values),
            ValueType::Record(record) => seals(record),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        Kind::named(name).unwrap()
    }

    #[test]
    fn a_kind_comes_after_those_it_refers_to() {
        for kind in Kind::all() {
            for key in &kind.schema().foreign_keys {
                assert!(
                    key.kind.is_some_and(|parent| parent < kind),
                    "{kind} refers to {}",
                    key.reference
                );
            }
        }
    }

    #[test]
    fn kinds_are_found_by_their_url_segments() {
        assert_eq!(
            Kind::in_collection("key-auths"),
            Some(kind("keyauth_credentials"))
        );
        assert_eq!(Kind::in_collection("keyauth_credentials"), None);
        for (parent, segment, child) in [
            ("consumers", "key-auth", "keyauth_credentials"),
            ("services", "routes", "routes"),
            ("services", "plugins", "plugins"),
            ("routes", "plugins", "plugins"),
            ("consumers", "plugins", "plugins"),
            ("upstreams", "targets", "targets"),
            ("certificates", "snis", "snis"),
            ("certificates", "services", "services"),
        ] {
            assert_eq!(
                Kind::nested(kind(parent), segment),
                Some(kind(child)),
                "{parent}/{segment}"
            );
        }
        assert_eq!(Kind::nested(kind("services"), "targets"), None);
    }

    #[test]
    fn a_kind_is_its_name_when_written_down() {
        let text = serde_json::to_string(&kind("routes")).unwrap();
        assert_eq!(text, "\"routes\"");
        assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), kind("routes"));
        assert!(
            serde_json::from_str::<Kind>("\"x\"")
                .unwrap_err()
                .to_string()
                .contains("unknown kind")
        );
    }

    #[test]
    fn unique_keys_and_references_are_those_of_the_files() {
        let plugins = kind("plugins").schema();
        let fields = vec!["name", "route", "service", "consumer", "consumer_group"];
        assert!(plugins.unique.contains(&UniqueRule {
            fields,
            composite: true
        }));
        assert!(plugins.unique.contains(&UniqueRule {
            fields: vec!["instance_name"],
            composite: false
        }));
        assert!(
            plugins
                .foreign_keys
                .iter()
                .all(|key| key.on_delete == OnDelete::Cascade && !key.required)
        );
        let key = &kind("routes").schema().foreign_keys[0];
        assert_eq!(
            (key.field, key.kind, key.on_delete),
            ("service", Some(kind("services")), OnDelete::Restrict)
        );
        let key = &kind("snis").schema().foreign_keys[0];
        assert_eq!(
            key.on_delete,
            OnDelete::Cascade,
            "Kong deletes a certificate's SNIs before itself"
        );
    }

    #[test]
    fn plugins_are_known_with_their_priority() {
        let plugins = kind("plugins").schema();
        assert_eq!(plugins.plugin("key-auth").unwrap().priority, 1250);
        assert_eq!(plugins.plugin("nope"), None);
        assert_eq!(plugins.subschema_names().count(), 45);
    }
}
