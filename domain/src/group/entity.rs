//! An entity: its canonical JSON text plus the keys extracted from it, so that serving and rendering are copies of
//! bytes and folding parses only what it indexes.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::custom_plugins;
use super::plugin_protocols::Protocols;
use crate::{EntityId, Kind, Timestamp, Version};

/// What a unique key hashes to: 128 bits of BLAKE3 over kind, rule and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UniqueKey(pub [u8; 16]);

impl UniqueKey {
    /// The key of these values (JSON texts, in the rule's field order) under a kind's unique rule.
    pub fn of<'a>(kind: Kind, rule: usize, values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(kind.name().as_bytes()).update(&[0, rule as u8]);
        for value in values {
            hasher
                .update(&(value.len() as u64).to_le_bytes())
                .update(value.as_bytes());
        }
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        Self(key)
    }
}

/// A reference from one entity to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Which of the kind's foreign keys: an index into its schema's list.
    pub foreign_key: usize,
    /// The kind it points at.
    pub kind: Kind,
    /// The entity it points at.
    pub id: EntityId,
}

/// One configuration object of a group. `Debug` never prints the body: it may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Entity {
    /// Its kind.
    pub kind: Kind,
    /// Its id, unique within (group, kind).
    pub id: EntityId,
    /// The canonical body: every field in schema order, null where unset.
    pub body: Arc<str>,
    /// Its unique keys.
    pub unique: Box<[UniqueKey]>,
    /// What it refers to.
    pub references: Box<[Reference]>,
    /// The entities it lists by id, without a foreign key (a service's `ca_certificates`).
    pub listed: Box<[(Kind, EntityId)]>,
    /// Its tags, in the body's order.
    pub tags: Box<[Arc<str>]>,
    /// The protocols it is for: a route's, a plugin's.
    pub protocols: Protocols,
    /// The unique key of the uploaded schema that describes it: of a plugin that isn't Kong's.
    pub described_by: Option<UniqueKey>,
    /// Its time to live in seconds, where it has one.
    pub ttl: Option<i64>,
    /// Whether a part of the body was erased with its key.
    pub erased: bool,
    /// When it expires: decided, and kept in its event.
    pub expires_at: Option<Timestamp>,
    /// The change that last touched it: its ETag; set by the fold.
    pub touched: Version,
}

impl fmt::Debug for Entity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}@{}", self.kind.name(), self.id, self.touched)
    }
}

/// A body that isn't a canonical body of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the body of {kind} {id} isn't canonical: {why}")]
pub struct NotCanonical {
    /// The kind's name.
    pub kind: &'static str,
    /// The entity.
    pub id: EntityId,
    /// The parser's words.
    pub why: String,
}

impl Entity {
    /// An entity from its canonical body, keys extracted.
    pub fn from_canonical(kind: Kind, id: EntityId, body: Arc<str>) -> Result<Self, NotCanonical> {
        let index = index_of(kind);
        let extracted = index.extract(&body).map_err(|error| NotCanonical {
            kind: kind.name(),
            id,
            why: error.to_string(),
        })?;
        Ok(Self {
            kind,
            id,
            unique: index.unique_keys(kind, &extracted),
            references: index.references(kind, &extracted),
            listed: index.listed(&extracted),
            tags: index.tags(&extracted),
            protocols: index.protocols(&extracted),
            described_by: index.described_by(kind, &extracted),
            ttl: index.ttl(&extracted),
            erased: false,
            expires_at: None,
            touched: 0,
            body,
        })
    }

    /// An entity from a canonical map.
    pub fn from_map(kind: Kind, id: EntityId, body: &Map<String, Value>) -> Self {
        let text = serde_json::to_string(body).expect("a JSON map serializes");
        Self::from_canonical(kind, id, text.into()).expect("a serialized JSON map parses")
    }

    /// Whether it has all of these tags.
    pub fn has_tags(&self, tags: &[String]) -> bool {
        match tags {
            [] => true,
            [tag] => self.tags.iter().any(|own| **own == **tag),
            several => {
                let own: HashSet<&str> = self.tags.iter().map(AsRef::as_ref).collect();
                several.iter().all(|tag| own.contains(tag.as_str()))
            }
        }
    }

    /// When its life began, if it has a time to live.
    pub fn born(&self) -> Option<Timestamp> {
        Some(self.expires_at?.plus_seconds(-self.ttl?))
    }

    /// The body, parsed.
    pub fn map(&self) -> Map<String, Value> {
        serde_json::from_str(&self.body).expect("a canonical body was parsed before")
    }
}

/// Which top-level fields of a kind are extracted, and as what.
struct KindIndex {
    wanted: Vec<&'static str>,
    /// Per unique rule: positions in `wanted`, and whether null is a value in it.
    unique: Vec<(Vec<usize>, bool)>,
    /// Per foreign key whose kind the catalogue has: its index, its kind, its position in `wanted`.
    references: Vec<(usize, Kind, usize)>,
    /// Per field that lists ids: the kind, its position in `wanted`.
    lists: Vec<(Kind, usize)>,
    tags: Option<usize>,
    protocols: Option<usize>,
    /// The plugin's name, in plugins.
    plugin: Option<usize>,
    ttl: Option<usize>,
}

static INDEXES: LazyLock<BTreeMap<Kind, KindIndex>> =
    LazyLock::new(|| Kind::all().map(|kind| (kind, KindIndex::new(kind))).collect());

fn index_of(kind: Kind) -> &'static KindIndex {
    &INDEXES[&kind]
}

impl KindIndex {
    fn new(kind: Kind) -> Self {
        let schema = kind.schema();
        let mut wanted = Vec::new();
        let mut position = |field: &'static str| {
            wanted
                .iter()
                .position(|known| *known == field)
                .unwrap_or_else(|| {
                    wanted.push(field);
                    wanted.len() - 1
                })
        };
        let unique = schema
            .unique
            .iter()
            .map(|rule| {
                (
                    rule.fields.iter().map(|field| position(field)).collect(),
                    rule.composite,
                )
            })
            .collect();
        let references = schema
            .foreign_keys
            .iter()
            .enumerate()
            .filter_map(|(number, key)| key.kind.map(|kind| (number, kind, position(key.field))))
            .collect();
        let lists = schema
            .fields()
            .iter()
            .filter_map(|field| Some((field.lists?, position(field.name))))
            .collect();
        let tags = schema.tagged.then(|| position("tags"));
        let protocols = match kind.name() {
            "routes" | "plugins" => Some(position("protocols")),
            _ => None,
        };
        let plugin = custom_plugins::are_plugins(kind).then(|| position("name"));
        let ttl = schema.ttl.then(|| position("ttl"));
        Self {
            wanted,
            unique,
            references,
            lists,
            tags,
            protocols,
            plugin,
            ttl,
        }
    }

    fn extract<'body>(&self, body: &'body str) -> Result<Vec<Option<&'body str>>, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let values = TopLevel { wanted: &self.wanted }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(values)
    }

    fn unique_keys(&self, kind: Kind, values: &[Option<&str>]) -> Box<[UniqueKey]> {
        let mut keys = Vec::with_capacity(self.unique.len());
        for (rule, (fields, null_counts)) in self.unique.iter().enumerate() {
            let of = |field: &usize| values[*field].unwrap_or("null");
            if *null_counts || fields.iter().all(|field| of(field) != "null") {
                keys.push(UniqueKey::of(kind, rule, fields.iter().map(of)));
            }
        }
        keys.into()
    }

    fn references(&self, _kind: Kind, values: &[Option<&str>]) -> Box<[Reference]> {
        let reference = |(foreign_key, kind, field): &(usize, Kind, usize)| {
            let id = values[*field].and_then(referenced_id)?;
            Some(Reference {
                foreign_key: *foreign_key,
                kind: *kind,
                id,
            })
        };
        self.references.iter().filter_map(reference).collect()
    }

    fn listed(&self, values: &[Option<&str>]) -> Box<[(Kind, EntityId)]> {
        let ids = |field: usize| serde_json::from_str::<Option<Vec<EntityId>>>(values[field]?).ok()?;
        let of_list = |(kind, field): &(Kind, usize)| {
            let kind = *kind;
            ids(*field).into_iter().flatten().map(move |id| (kind, id))
        };
        self.lists.iter().flat_map(of_list).collect()
    }

    fn tags(&self, values: &[Option<&str>]) -> Box<[Arc<str>]> {
        let text = self.tags.and_then(|field| values[field]).unwrap_or("null");
        serde_json::from_str::<Option<Vec<Arc<str>>>>(text)
            .ok()
            .flatten()
            .unwrap_or_default()
            .into()
    }

    fn protocols(&self, values: &[Option<&str>]) -> Protocols {
        let text = self.protocols.and_then(|field| values[field]);
        text.map_or_else(Protocols::default, Protocols::read)
    }

    fn described_by(&self, kind: Kind, values: &[Option<&str>]) -> Option<UniqueKey> {
        let name: String = serde_json::from_str(values[self.plugin?]?).ok()?;
        custom_plugins::schema_key(kind, &name)
    }

    fn ttl(&self, values: &[Option<&str>]) -> Option<i64> {
        self.ttl
            .and_then(|field| values[field])
            .and_then(|text| serde_json::from_str(text).ok())
    }
}

/// The id in a canonical foreign value `{"id":"…"}`.
fn referenced_id(text: &str) -> Option<EntityId> {
    #[derive(serde::Deserialize)]
    struct Foreign {
        id: Uuid,
    }
    serde_json::from_str::<Option<Foreign>>(text)
        .ok()
        .flatten()
        .map(|foreign| EntityId(foreign.id))
}

struct TopLevel<'index> {
    wanted: &'index [&'static str],
}

impl<'de> DeserializeSeed<'de> for TopLevel<'_> {
    type Value = Vec<Option<&'de str>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TopLevel<'_> {
    type Value = Vec<Option<&'de str>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.wanted.len()];
        while let Some(field) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.wanted.iter().position(|wanted| *wanted == field) {
                Some(position) => values[position] = Some(map.next_value::<&'de RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(values)
    }
}
