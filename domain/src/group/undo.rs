//! What every way of undoing shares: some entities shall be what they were. Either all of them can, or everything that
//! stands in the way is named. What is erased or expired can't come back and is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::conflict::{Conflict, Obstacle};
use super::decide::{Draft, LeftOut, LeftOutReason};
use super::entity::Entity;
use super::{
    DeletionCause, Group, GroupError, GroupEvent, custom_plugins, erasure, operations, plugin_protocols,
    references,
};
use crate::{EntityId, Kind, Timestamp};

/// What entities shall be.
#[derive(Debug, Default)]
pub struct Wanted(BTreeMap<(Kind, EntityId), Goal>);

#[derive(Clone, Debug)]
enum Goal {
    Gone,
    /// Byte for byte, timestamps too.
    Exactly(Arc<Entity>),
    /// With the time at which it is written.
    InEssence(Arc<Entity>),
}

impl Goal {
    const fn entity(&self) -> Option<&Arc<Entity>> {
        match self {
            Self::Gone => None,
            Self::Exactly(entity) | Self::InEssence(entity) => Some(entity),
        }
    }
}

impl Wanted {
    /// It shall be gone.
    pub fn gone(&mut self, kind: Kind, id: EntityId) {
        self.0.insert((kind, id), Goal::Gone);
    }

    /// It shall be exactly this.
    pub fn exactly(&mut self, entity: Arc<Entity>) {
        self.0.insert((entity.kind, entity.id), Goal::Exactly(entity));
    }

    /// It shall be this, written now.
    pub fn in_essence(&mut self, entity: Arc<Entity>) {
        self.0.insert((entity.kind, entity.id), Goal::InEssence(entity));
    }

    fn entities(&self) -> impl Iterator<Item = &Arc<Entity>> {
        self.0.values().filter_map(Goal::entity)
    }

    /// What an entity will be; none if it will be gone.
    fn outcome<'all>(&'all self, state: &'all Group, kind: Kind, id: EntityId) -> Option<&'all Arc<Entity>> {
        match self.0.get(&(kind, id)) {
            Some(goal) => goal.entity(),
            None => state.entity(kind, id),
        }
    }
}

/// Makes entities what they shall be, or refuses with these and all further conflicts.
pub fn carry_out(
    draft: &mut Draft<'_>,
    mut wanted: Wanted,
    mut conflicts: Vec<Conflict>,
) -> Result<(), GroupError> {
    leave_out(draft, &mut wanted, &mut conflicts);
    taken_keys(&draft.scratch, &wanted, &mut conflicts);
    missing_references(&draft.scratch, &wanted, &mut conflicts);
    lost_references(&draft.scratch, &wanted, &mut conflicts);
    record(draft, &wanted, &mut conflicts)?;
    match conflicts.is_empty() {
        true => Ok(()),
        false => Err(GroupError::Conflicts(conflicts)),
    }
}

/// Leaves out what can't come back, and what belonged to it.
fn leave_out(draft: &mut Draft<'_>, wanted: &mut Wanted, conflicts: &mut Vec<Conflict>) {
    let mut coming_back = Vec::new();
    for entity in wanted.entities().cloned().collect::<Vec<_>>() {
        if draft.scratch.entity(entity.kind, entity.id).is_none() {
            coming_back.push(entity);
        } else if erasure::is_erased(&draft.scratch, &entity) {
            wanted.0.remove(&(entity.kind, entity.id));
            conflicts.push(Conflict::whole(entity, Obstacle::Erased));
        }
    }
    for left_out in lost_for_ever(&draft.scratch, coming_back.iter(), draft.context.at) {
        wanted.0.remove(&(left_out.kind, left_out.id));
        draft.outcome.left_out.push(left_out);
    }
}

/// Of entities that would come back together: those that can't, and those that refer to one that can't.
pub fn lost_for_ever<'all>(
    state: &Group,
    entities: impl Iterator<Item = &'all Arc<Entity>> + Clone,
    at: Timestamp,
) -> Vec<LeftOut> {
    let mut lost = BTreeMap::new();
    for entity in entities.clone() {
        let expired = entity.expires_at.is_some_and(|expiry| expiry <= at);
        let reason = match (erasure::is_erased(state, entity), expired) {
            (true, _) => LeftOutReason::Erased,
            (false, true) => LeftOutReason::Expired,
            (false, false) => continue,
        };
        lost.insert((entity.kind, entity.id), reason);
    }
    let mut found = lost.len();
    while found > 0 {
        let before = lost.len();
        for entity in entities.clone() {
            let key = (entity.kind, entity.id);
            let mut to = entity.references.iter();
            if !lost.contains_key(&key) && to.any(|to| lost.contains_key(&(to.kind, to.id))) {
                lost.insert(key, LeftOutReason::RefersToLeftOut);
            }
        }
        found = lost.len() - before;
    }
    let left_out = |((kind, id), reason)| LeftOut { kind, id, reason };
    lost.into_iter().map(left_out).collect()
}

/// What a change left out that was to bring these entities back, at that time and to this configuration: a repeated request is told it
/// again. `state` may be a later one.
pub fn left_out_then(
    state: &Group,
    brought_back: &[Arc<Entity>],
    outcome: &[Arc<Entity>],
    at: Timestamp,
) -> Vec<LeftOut> {
    let there: BTreeSet<_> = outcome.iter().map(|entity| (entity.kind, entity.id)).collect();
    let missing = brought_back.iter();
    let missing = missing.filter(|entity| !there.contains(&(entity.kind, entity.id)));
    lost_for_ever(state, missing, at)
}

/// Names and other unique values that belong to others.
fn taken_keys(state: &Group, wanted: &Wanted, conflicts: &mut Vec<Conflict>) {
    let mut claimed: HashMap<_, &Arc<Entity>> = HashMap::new();
    for entity in wanted.entities() {
        for key in &entity.unique {
            let holder = state.holder(*key).filter(|holder| *holder != entity.id);
            let holder = holder.and_then(|holder| wanted.outcome(state, entity.kind, holder));
            let holder = holder.filter(|holder| holder.unique.contains(key));
            if let Some(other) = claimed.insert(*key, entity).or(holder) {
                let fields: Vec<_> = references::fields_of(entity, *key)
                    .into_iter()
                    .map(|(name, _)| name)
                    .collect();
                let obstacle = Obstacle::Taken { by: other.clone() };
                conflicts.push(Conflict::field(entity.clone(), fields.join(","), obstacle));
            }
        }
    }
}

/// What the wanted entities would refer to in vain.
fn missing_references(state: &Group, wanted: &Wanted, conflicts: &mut Vec<Conflict>) {
    for entity in wanted.entities() {
        let missing = entity
            .references
            .iter()
            .filter(|to| wanted.outcome(state, to.kind, to.id).is_none());
        for to in missing {
            let field = entity.kind.schema().foreign_keys[to.foreign_key].field;
            let obstacle = Obstacle::Missing {
                kind: to.kind,
                id: to.id,
            };
            conflicts.push(Conflict::field(entity.clone(), field.to_owned(), obstacle));
        }
    }
}

/// What stays and refers to an entity that shall be gone: nothing that came later is taken along.
fn lost_references(state: &Group, wanted: &Wanted, conflicts: &mut Vec<Conflict>) {
    for (kind, id) in wanted.0.keys() {
        let goal = wanted.outcome(state, *kind, *id);
        let Some(entity) = state.entity(*kind, *id).filter(|_| goal.is_none()) else {
            continue;
        };
        let mut keepers: BTreeSet<_> = state
            .referring(*kind, *id)
            .map(|(by, _)| (by.kind, by.id))
            .collect();
        keepers.extend(state.listing(*kind, *id));
        let users = custom_plugins::users(state, entity);
        keepers.extend(users.iter().map(|plugin| (plugin.kind, plugin.id)));
        for by in keepers {
            // What will be another than it is was looked at from its own side.
            let stays = state.entity(by.0, by.1).filter(|_| !wanted.0.contains_key(&by));
            conflicts.extend(stays.map(|by| {
                let obstacle = Obstacle::ReferredTo { by: by.clone() };
                Conflict::whole(entity.clone(), obstacle)
            }));
        }
    }
}

/// Records what leads there; deletions first, and schemas before the plugins they describe.
fn record(draft: &mut Draft<'_>, wanted: &Wanted, conflicts: &mut Vec<Conflict>) -> Result<(), GroupError> {
    for ((kind, id), goal) in wanted.0.iter().rev() {
        if goal.entity().is_none() && draft.scratch.entity(*kind, *id).is_some() {
            let (kind, id, cause) = (*kind, *id, DeletionCause::Requested);
            draft.record(GroupEvent::EntityDeleted { kind, id, cause })?;
        }
    }
    let is_schema = |goal: &&Goal| {
        goal.entity()
            .is_some_and(|entity| custom_plugins::is_schema(entity))
    };
    let goals = wanted.0.values();
    let written = goals
        .clone()
        .filter(is_schema)
        .chain(goals.filter(|goal| !is_schema(goal)));
    let mut schemas = Vec::new();
    for goal in written {
        let Some(entity) = goal.entity() else { continue };
        match write(draft, goal, entity) {
            Ok(()) if custom_plugins::is_schema(entity) => schemas.push(entity),
            Ok(()) => {}
            Err(error @ (GroupError::EntityTooLarge { .. } | GroupError::ChangeTooLarge { .. })) => {
                return Err(error);
            }
            Err(error) => conflicts.push(invalid(entity, error)),
        }
    }
    for schema in schemas {
        if let Err(error) = custom_plugins::revalidate(draft, schema) {
            conflicts.push(invalid(schema, error));
        }
    }
    for entity in wanted.entities() {
        if let Err(error) = plugin_protocols::check(&draft.scratch, entity) {
            conflicts.push(invalid(entity, error));
        }
    }
    Ok(())
}

fn invalid(entity: &Arc<Entity>, error: GroupError) -> Conflict {
    Conflict::whole(entity.clone(), Obstacle::Invalid(Box::new(error)))
}

fn write(draft: &mut Draft<'_>, goal: &Goal, entity: &Arc<Entity>) -> Result<(), GroupError> {
    let now = draft.scratch.entity(entity.kind, entity.id).cloned();
    if now.as_ref().is_some_and(|now| now.body == entity.body) {
        return Ok(());
    }
    let body = entity.map();
    let filled = operations::filled_anew(draft, entity.kind, &body)?;
    let same = operations::changed_fields(&body, &filled)
        .iter()
        .all(|field| field == "updated_at");
    let entity = match goal {
        Goal::Exactly(entity) if same => entity.clone(),
        _ => rewritten(entity, &filled),
    };
    let event = match now {
        Some(now) => {
            let changed = operations::changed_fields(&now.map(), &entity.map());
            GroupEvent::EntityUpdated { entity, changed }
        }
        None => GroupEvent::EntityCreated { entity },
    };
    draft.record(event)
}

fn rewritten(entity: &Entity, body: &Map<String, Value>) -> Arc<Entity> {
    let expires_at = entity.expires_at;
    Arc::new(Entity {
        expires_at,
        ..Entity::from_map(entity.kind, entity.id, body)
    })
}
