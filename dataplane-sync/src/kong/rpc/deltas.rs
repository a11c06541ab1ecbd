//! What leads an instance from the configuration it has to the newest, or to it from nothing, as the result of
//! `get_delta`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::compatibility::{self, DEFAULT_WORKSPACE, Effect, Level};
use domain::group::{Entity, Group};
use domain::{EntityId, GroupId, Kind, Timestamp};
use serde::Deserialize as _;
use serde_json::value::RawValue;

use super::snappy::{Compressed, NotCompressed};
use super::version::SyncVersion;

/// The collections beside those of entities that instances keep.
const KEPT_BESIDE_ENTITIES: [&str; 2] = ["workspaces", "parameters"];

/// How a group's entities are written for the instances of a level.
pub trait Projection: Send + Sync + 'static {
    /// An entity's JSON text; none where instances of this level aren't sent it.
    ///
    /// # Errors
    /// [`NoDeltas::Withheld`] where they can't be sent anything as long as it is there.
    fn written(&self, group: &Group, entity: &Entity) -> Result<Option<String>, NoDeltas>;

    /// What else is written differently after this entity was created, changed or deleted.
    fn affected(&self, group: &Group, kind: Kind, id: EntityId) -> Vec<(Kind, EntityId)>;

    /// What is written differently because time went on since an earlier change.
    fn aged(&self, group: &Group, since: Timestamp) -> Vec<(Kind, EntityId)>;

    /// Whether instances of this level know such entities at all.
    fn knows(&self, kind: Kind) -> bool;

    /// What stands beside the entities, as (key, JSON text).
    fn preamble(&self) -> Vec<(&'static str, String)>;
}

/// The instances of a level, of a group.
#[derive(Clone, Debug)]
pub struct OfLevel {
    /// What they can take.
    pub level: Level,
    /// Whose they are.
    pub group: GroupId,
}

impl Projection for OfLevel {
    fn written(&self, group: &Group, entity: &Entity) -> Result<Option<String>, NoDeltas> {
        let written = compatibility::write(group, entity, &self.level);
        let mut effects = written.findings.iter().map(|finding| finding.effect);
        match effects.any(|effect| matches!(effect, Effect::Withheld(_))) {
            true => Err(NoDeltas::Withheld),
            false => Ok(written.text),
        }
    }

    fn affected(&self, group: &Group, kind: Kind, id: EntityId) -> Vec<(Kind, EntityId)> {
        compatibility::affected(group, kind, id)
    }

    fn aged(&self, group: &Group, since: Timestamp) -> Vec<(Kind, EntityId)> {
        compatibility::aged(group, since)
    }

    fn knows(&self, kind: Kind) -> bool {
        compatibility::knows(kind, &self.level)
    }

    fn preamble(&self) -> Vec<(&'static str, String)> {
        compatibility::preamble(&self.level, self.group.0)
    }
}

/// Why there are no deltas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDeltas {
    /// The instances can't express the configuration; its findings say what of it.
    #[error("the configuration can't be expressed for these instances")]
    Withheld,
    /// They are larger than a message can be.
    #[error(transparent)]
    TooLarge(#[from] NotCompressed),
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
    pub fn nothing(leads_to: SyncVersion) -> Result<Self, NoDeltas> {
        Deltas::new(leads_to).finish(false)
    }

    /// A group's whole configuration.
    ///
    /// # Errors
    /// [`NoDeltas`] says why there are none.
    pub fn whole(
        group: &Group,
        leads_to: SyncVersion,
        projection: &dyn Projection,
    ) -> Result<Self, NoDeltas> {
        let mut deltas = Deltas::new(leads_to);
        deltas.rows(&projection.preamble(), &KEPT_BESIDE_ENTITIES);
        for entity in group.entities() {
            if let Some(text) = projection.written(group, entity)? {
                deltas.upsert(entity.kind.name(), &text);
            }
        }
        deltas.finish(true)
    }

    /// What leads from an earlier configuration to a group's newest: `touched` are the entities that changed since.
    /// None where only the whole configuration is sure to.
    ///
    /// # Errors
    /// [`NoDeltas`] says why there are none.
    pub fn step(
        group: &Group,
        before: Option<&Group>,
        touched: &[(Kind, EntityId)],
        leads_to: SyncVersion,
        projection: &dyn Projection,
    ) -> Result<Option<Self>, NoDeltas> {
        let touched: BTreeSet<_> = touched.iter().copied().collect();
        let since = before.map_or(Timestamp::default(), |before| before.clock);
        let affected = touched
            .iter()
            .flat_map(|(kind, id)| projection.affected(group, *kind, *id));
        // Most of what could be written differently isn't: the routes of a service that goes on being enabled.
        let changed = |(kind, id): &(Kind, EntityId)| {
            let text = |group: &Group| match group.entity(*kind, *id) {
                Some(entity) => projection.written(group, entity),
                None => Ok(None),
            };
            before.is_none_or(|before| text(before) != text(group))
        };
        let affected = affected.chain(projection.aged(group, since)).filter(changed);
        let concerned: BTreeSet<_> = touched.iter().copied().chain(affected).collect();
        let mut deltas = Deltas::new(leads_to);
        let mut upserts = Vec::new();
        for (kind, id) in concerned {
            if let Some(entity) = group.entity(kind, id)
                && let Some(text) = projection.written(group, entity)?
            {
                upserts.push((entity, text));
            } else if projection.knows(kind) {
                // Before the upserts: an instance that deletes an entity forgets its name and keys, whoever has them.
                deltas.delete(kind.name(), id);
            }
        }
        let rewritten = upserts.iter().map(|(entity, _)| entity.as_ref());
        let rewritten = rewritten.filter(|entity| touched.contains(&(entity.kind, entity.id)));
        if moves_unique_keys(before, rewritten) {
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
            r#"{{"type":"{collection}","version":"{version}","ws_id":"{DEFAULT_WORKSPACE}","#
        ));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("a text takes everything");
    }

    fn finish(mut self, full_sync: bool) -> Result<EncodedDeltas, NoDeltas> {
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
