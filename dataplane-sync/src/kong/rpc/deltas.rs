//! What leads an instance from the configuration it has to the newest, or to it from nothing, as the result of
//! `get_delta`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::group::{Entity, Group};
use domain::{EntityId, Kind};
use serde::Deserialize as _;
use serde_json::value::RawValue;

use super::snappy::{Compressed, NotCompressed};
use super::version::SyncVersion;

/// The workspace that everything belongs to: the id that Kong itself gives its default one.
pub const WORKSPACE: &str = "0dc6f45b-8f8d-40d2-a504-473544ee190b";
/// The collections beside those of entities that instances keep.
const KEPT_BESIDE_ENTITIES: [&str; 2] = ["workspaces", "parameters"];

/// How a group's entities are written for the instances of a level.
pub trait Projection: Send + Sync + 'static {
    /// An entity's JSON text; none where instances of this level aren't sent it.
    fn written(&self, group: &Group, entity: &Entity) -> Option<String>;

    /// What else is written differently after this entity was created, changed or deleted.
    fn affected(&self, group: &Group, kind: Kind, id: EntityId) -> Vec<(Kind, EntityId)>;

    /// Whether instances of this level know such entities at all.
    fn knows(&self, kind: Kind) -> bool;

    /// What stands beside the entities, as (key, JSON text).
    fn preamble(&self) -> Vec<(&'static str, String)>;
}

/// An answer to `get_delta`, encoded once for all instances that have the same and are of the same level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedDeltas {
    /// The configuration it leads to.
    pub leads_to: SyncVersion,
    /// Whether it replaces everything an instance has.
    pub full_sync: bool,
    /// How many entities it says something about.
    pub count: usize,
    /// The result and the brace that ends the answer.
    pub compressed: Compressed,
}

impl EncodedDeltas {
    /// The answer to an instance that has the newest already, or is sent nothing for the moment.
    pub fn nothing(leads_to: SyncVersion) -> Result<Self, NotCompressed> {
        Deltas::new(leads_to).finish(false)
    }

    /// A group's whole configuration.
    ///
    /// # Errors
    /// [`NotCompressed`] if it is larger than a message can be.
    pub fn whole(
        group: &Group,
        leads_to: SyncVersion,
        projection: &dyn Projection,
    ) -> Result<Self, NotCompressed> {
        let mut deltas = Deltas::new(leads_to);
        deltas.rows(&projection.preamble(), &KEPT_BESIDE_ENTITIES);
        for entity in group.entities() {
            if let Some(text) = projection.written(group, entity) {
                deltas.upsert(entity.kind.name(), &text);
            }
        }
        deltas.finish(true)
    }

    /// What leads from an earlier configuration to a group's newest: `touched` are the entities that changed since.
    /// None where only the whole configuration is sure to.
    ///
    /// # Errors
    /// [`NotCompressed`] if it is larger than a message can be.
    pub fn step(
        group: &Group,
        before: Option<&Group>,
        touched: &[(Kind, EntityId)],
        leads_to: SyncVersion,
        projection: &dyn Projection,
    ) -> Result<Option<Self>, NotCompressed> {
        let mut concerned: BTreeSet<_> = touched.iter().copied().collect();
        for (kind, id) in touched {
            concerned.extend(projection.affected(group, *kind, *id));
        }
        let mut deltas = Deltas::new(leads_to);
        let mut upserts = Vec::new();
        for (kind, id) in concerned {
            let entity = group.entity(kind, id);
            match entity.and_then(|entity| Some((entity, projection.written(group, entity)?))) {
                Some(upsert) => upserts.push(upsert),
                // Before the upserts: an instance that deletes an entity forgets its name and keys, whoever has them.
                None if projection.knows(kind) => deltas.delete(kind.name(), id),
                None => (),
            }
        }
        if moves_unique_keys(before, upserts.iter().map(|(entity, _)| entity.as_ref())) {
            return Ok(None);
        }
        for (entity, text) in &upserts {
            deltas.upsert(entity.kind.name(), text);
        }
        if deltas.count == 0 {
            // Nothing that concerns this level: an instance takes note of a version only with an entity.
            deltas.rows(&projection.preamble(), &KEPT_BESIDE_ENTITIES[1..]);
        }
        deltas.finish(false).map(Some)
    }
}

/// Whether an entity may have taken a unique key that another of these entities gave up: an instance that is told of the
/// latter after the former would forget whose key it now is.
fn moves_unique_keys<'a>(before: Option<&Group>, upserts: impl Iterator<Item = &'a Entity> + Clone) -> bool {
    let Some(before) = before else {
        let mut kinds = BTreeSet::new();
        let mut with_keys = upserts.filter(|entity| !entity.unique.is_empty());
        return with_keys.any(|entity| !kinds.insert(entity.kind));
    };
    let places: BTreeSet<_> = upserts.clone().map(|entity| (entity.kind, entity.id)).collect();
    let mut keys = upserts.flat_map(|entity| entity.unique.iter().map(move |key| (entity, key)));
    keys.any(|(entity, key)| {
        let holder = before.holder(*key).filter(|holder| *holder != entity.id);
        holder.is_some_and(|holder| places.contains(&(entity.kind, holder)))
    })
}

/// The text of an answer's result being written.
struct Deltas {
    leads_to: SyncVersion,
    text: String,
    count: usize,
}

impl Deltas {
    fn new(leads_to: SyncVersion) -> Self {
        let text = r#"{"default":{"deltas":["#.to_owned();
        let count = 0;
        Self {
            leads_to,
            text,
            count,
        }
    }

    fn upsert(&mut self, collection: &str, entity: &str) {
        self.begin(collection);
        self.write(format_args!(r#""entity":{entity}}}"#));
    }

    fn delete(&mut self, collection: &str, id: EntityId) {
        self.begin(collection);
        self.write(format_args!(r#""entity":null,"pk":{{"id":"{id}"}}}}"#));
    }

    /// The rows of those of these collections, each of which is a JSON array.
    fn rows(&mut self, collections: &[(&'static str, String)], kept: &[&str]) {
        for (collection, rows) in collections.iter().filter(|(name, _)| kept.contains(name)) {
            let mut rows_of = serde_json::Deserializer::from_str(rows);
            let rows = Vec::<&RawValue>::deserialize(&mut rows_of).unwrap_or_default();
            for row in rows {
                self.upsert(collection, row.get());
            }
        }
    }

    fn begin(&mut self, collection: &str) {
        if self.count > 0 {
            self.text.push(',');
        }
        self.count += 1;
        let version = self.leads_to;
        self.write(format_args!(
            r#"{{"type":"{collection}","version":"{version}","ws_id":"{WORKSPACE}","#
        ));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a text takes everything");
    }

    fn finish(mut self, full_sync: bool) -> Result<EncodedDeltas, NotCompressed> {
        let version = self.leads_to;
        self.write(format_args!(
            r#"],"full_sync":{full_sync},"latest_version":"{version}"}}}}}}"#
        ));
        Ok(EncodedDeltas {
            leads_to: version,
            full_sync,
            count: self.count,
            compressed: Compressed::of(&self.text)?,
        })
    }
}
