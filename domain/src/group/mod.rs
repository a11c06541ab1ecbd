//! A runtime group: its configuration, nothing else, so that a version means a configuration.
//!
//! - [`decide`]: a command, refused or turned into events; [`Group::apply`] folds them. [`rehearsal`]: what it would do.
//! - [`entity`]: an entity and the keys extracted from it; [`event`]: facts, and secrets sealed in them.
//! - [`operations`]: one entity operation; [`references`] and the unique index keep the configuration whole.
//! - [`hashing`]: slow hashes of secrets, before a command is decided.
//! - [`difference`]: what leads from one configuration to another; [`matching`]: another group's as if it stood here.
//! - [`declare`]: a declarative file as one change; [`rollback`]: an earlier configuration as a new change.
//! - [`revert`]: one change taken back; [`restore_entity`]: an entity as it was. [`undo`] is what ways of undoing share,
//!   [`conflict`] what stands in their way.
//! - [`erasure`]: a consumer that is forgotten for ever.

pub mod children;
pub mod command;
pub mod conflict;
pub mod custom_plugins;
pub mod decide;
pub mod declare;
pub mod difference;
pub mod entity;
pub mod erasure;
pub mod error;
pub mod event;
pub mod hashing;
pub mod idempotency;
pub mod matching;
pub mod operations;
pub mod plugin_protocols;
pub mod references;
pub mod rehearsal;
pub mod restore_entity;
pub mod revert;
pub mod rollback;
pub mod stored;
pub mod undo;

use std::collections::BTreeSet;
use std::ops::RangeBounds;
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use uuid::Uuid;

pub use command::{Action, Condition, GroupCommand, OmittedChildren, Operation, Selector, Target};
pub use conflict::{Conflict, Obstacle};
pub use decide::{Decision, EntityChange, LeftOut, LeftOutReason, Outcome, decide};
pub use difference::difference;
pub use entity::{Entity, UniqueKey};
pub use error::GroupError;
pub use event::{DeletionCause, GroupEvent};
pub use idempotency::{IdempotencyWindow, Remembered};
pub use rehearsal::{Rehearsal, rehearse};

use crate::schema::CustomPlugins;
use crate::{Change, EntityId, Kind, Timestamp, Version};
use plugin_protocols::{Protocols, Routed};

/// A group's folded state. Persistent maps make a clone cost microseconds, so decisions use scratch copies.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The newest change's number; 0 before the first.
    pub version: Version,
    /// The newest change's time in the order of changes.
    pub at: Timestamp,
    /// The newest change's time by the clock.
    pub clock: Timestamp,
    /// Whether the group is being deleted, or is deleted.
    pub sealed: bool,
    /// Idempotency keys of recent changes.
    pub idempotency: IdempotencyWindow,
    /// The plugins that aren't Kong's: what the `plugin_schemas` among the entities describe.
    pub plugins: CustomPlugins,
    /// The consumers that were erased, and the change that did it: they never come back.
    pub erased: OrdMap<EntityId, Version>,
    entities: OrdMap<(Kind, EntityId), Arc<Entity>>,
    unique: OrdMap<UniqueKey, EntityId>,
    /// (kind and id pointed at, kind and id that point, which foreign key).
    references: OrdSet<(Kind, EntityId, Kind, EntityId, usize)>,
    /// (kind and id listed, kind and id that lists it).
    lists: OrdSet<(Kind, EntityId, Kind, EntityId)>,
    expiries: OrdSet<(Timestamp, Kind, EntityId)>,
    /// When the lives of entities with a time to live began.
    births: OrdSet<(Timestamp, Kind, EntityId)>,
    /// (the unique key of an uploaded schema, the plugin that it describes).
    described: OrdSet<(UniqueKey, EntityId)>,
    /// How many routes each service has, by protocol.
    routed: Routed,
}

impl Group {
    /// The state that holds these entities at a version, for judging what they are asked to become. It knows nothing of
    /// times and earlier requests, and is open.
    pub fn of(version: Version, entities: impl IntoIterator<Item = Arc<Entity>>) -> Self {
        let mut group = Self {
            version,
            ..Self::default()
        };
        for entity in entities {
            group.insert(entity);
        }
        group
    }

    /// Folds one change.
    pub fn apply(&mut self, change: &Change<GroupEvent>) {
        self.version = change.version;
        (self.at, self.clock) = (change.at, change.clock);
        for event in &change.events {
            evolve(self, event);
        }
        if let Some(idempotency) = &change.idempotency {
            self.idempotency.remember(
                &change.actor,
                idempotency,
                change.version,
                change.clock,
                touched(&change.events),
            );
        }
    }

    /// The entity with this id.
    pub fn entity(&self, kind: Kind, id: EntityId) -> Option<&Arc<Entity>> {
        self.entities.get(&(kind, id))
    }

    /// The holder of a unique key.
    pub fn holder(&self, key: UniqueKey) -> Option<EntityId> {
        self.unique.get(&key).copied()
    }

    /// Every entity, by kind and id.
    pub fn entities(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.values()
    }

    /// The entities of one kind, by id.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entity>> {
        let last = (kind, EntityId(Uuid::max()));
        self.range((kind, EntityId(Uuid::nil()))..=last)
    }

    fn range(&self, keys: impl RangeBounds<(Kind, EntityId)>) -> impl Iterator<Item = &Arc<Entity>> {
        self.entities.range(keys).map(|(_, entity)| entity)
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether there is no entity.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// The entities that refer to this one, and by which of their kind's foreign keys.
    pub fn referring(&self, kind: Kind, id: EntityId) -> impl Iterator<Item = (&Arc<Entity>, usize)> {
        let (kinds, nil, max) = (kind_bounds(), EntityId(Uuid::nil()), EntityId(Uuid::max()));
        let range = (kind, id, kinds.0, nil, 0)..=(kind, id, kinds.1, max, usize::MAX);
        self.references
            .range(range)
            .filter_map(|(_, _, kind, id, key)| Some((self.entity(*kind, *id)?, *key)))
    }

    /// The entities that list this one.
    pub fn listing(&self, kind: Kind, id: EntityId) -> impl Iterator<Item = (Kind, EntityId)> {
        let (kinds, nil, max) = (kind_bounds(), EntityId(Uuid::nil()), EntityId(Uuid::max()));
        let range = (kind, id, kinds.0, nil)..=(kind, id, kinds.1, max);
        self.lists.range(range).map(|(_, _, by, by_id)| (*by, *by_id))
    }

    /// The plugins that the uploaded schema of this unique key describes, by id.
    pub fn described_by(&self, schema: UniqueKey) -> impl Iterator<Item = &Arc<Entity>> {
        let range = (schema, EntityId(Uuid::nil()))..=(schema, EntityId(Uuid::max()));
        let plugins = Kind::named("plugins");
        self.described
            .range(range)
            .filter_map(move |(_, id)| self.entity(plugins?, *id))
    }

    /// The protocols of a service's routes; none if it has no route.
    pub fn routed(&self, service: EntityId) -> Option<Protocols> {
        self.routed.of(service)
    }

    /// The entities whose time to live has ended by then.
    pub fn expired(&self, at: Timestamp) -> impl Iterator<Item = (Kind, EntityId)> {
        self.expiries
            .iter()
            .take_while(move |(expiry, ..)| *expiry <= at)
            .map(|(_, kind, id)| (*kind, *id))
    }

    /// When the next entity expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.get_min().map(|(at, ..)| *at)
    }

    /// The entities whose lives began after a time.
    pub fn born_after(&self, at: Timestamp) -> impl Iterator<Item = (Kind, EntityId)> {
        self.births
            .iter()
            .rev()
            .take_while(move |(birth, ..)| *birth > at)
            .map(|(_, kind, id)| (*kind, *id))
    }

    /// When the life began that began last.
    pub fn latest_birth(&self) -> Option<Timestamp> {
        self.births.get_max().map(|(at, ..)| *at)
    }

    /// An entity that was decided here is the state's own from then on: none of a large change is copied.
    fn put(&mut self, entity: &Arc<Entity>) {
        self.remove(entity.kind, entity.id);
        if entity.touched == self.version {
            return self.insert(Arc::clone(entity));
        }
        self.insert(Arc::new(Entity {
            touched: self.version,
            ..entity.as_ref().clone()
        }));
    }

    fn insert(&mut self, entity: Arc<Entity>) {
        for key in &*entity.unique {
            self.unique.insert(*key, entity.id);
        }
        for reference in &*entity.references {
            self.references.insert((
                reference.kind,
                reference.id,
                entity.kind,
                entity.id,
                reference.foreign_key,
            ));
        }
        for (kind, id) in &*entity.listed {
            self.lists.insert((*kind, *id, entity.kind, entity.id));
        }
        if let Some(expiry) = entity.expires_at {
            self.expiries.insert((expiry, entity.kind, entity.id));
        }
        if let Some(birth) = entity.born() {
            self.births.insert((birth, entity.kind, entity.id));
        }
        if let Some(schema) = entity.described_by {
            self.described.insert((schema, entity.id));
        }
        self.routed.add(&entity);
        custom_plugins::note(&mut self.plugins, &entity);
        self.entities.insert((entity.kind, entity.id), entity);
    }

    fn remove(&mut self, kind: Kind, id: EntityId) -> Option<Arc<Entity>> {
        let entity = self.entities.remove(&(kind, id))?;
        custom_plugins::forget(&mut self.plugins, &entity);
        for key in &*entity.unique {
            // Within one change a key may already have moved on to its next holder.
            if self.unique.get(key) == Some(&id) {
                self.unique.remove(key);
            }
        }
        for reference in &*entity.references {
            self.references
                .remove(&(reference.kind, reference.id, kind, id, reference.foreign_key));
        }
        for (listed, other) in &*entity.listed {
            self.lists.remove(&(*listed, *other, kind, id));
        }
        if let Some(expiry) = entity.expires_at {
            self.expiries.remove(&(expiry, kind, id));
        }
        if let Some(birth) = entity.born() {
            self.births.remove(&(birth, kind, id));
        }
        if let Some(schema) = entity.described_by {
            self.described.remove(&(schema, id));
        }
        self.routed.take(&entity);
        Some(entity)
    }
}

/// Folds one event; never refuses and never judges.
pub fn evolve(state: &mut Group, event: &GroupEvent) {
    match event {
        GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => state.put(entity),
        GroupEvent::EntityDeleted { kind, id, .. } => {
            state.remove(*kind, *id);
        }
        GroupEvent::ConsumerErased { id } => {
            state.erased.insert(*id, state.version);
        }
        GroupEvent::GroupSealed => state.sealed = true,
        GroupEvent::GroupUnsealed => state.sealed = false,
    }
}

/// The entities that events touched, each once, in order of first touch.
pub fn touched(events: &[GroupEvent]) -> Vec<(Kind, EntityId)> {
    let mut seen = BTreeSet::new();
    let key = |event: &GroupEvent| match event {
        GroupEvent::EntityCreated { entity } | GroupEvent::EntityUpdated { entity, .. } => {
            Some((entity.kind, entity.id))
        }
        GroupEvent::EntityDeleted { kind, id, .. } => Some((*kind, *id)),
        GroupEvent::ConsumerErased { .. } | GroupEvent::GroupSealed | GroupEvent::GroupUnsealed => None,
    };
    events
        .iter()
        .filter_map(key)
        .filter(|key| seen.insert(*key))
        .collect()
}

fn kind_bounds() -> (Kind, Kind) {
    let first = Kind::all().next().expect("the catalogue has kinds");
    (first, Kind::all().last().expect("the catalogue has kinds"))
}
