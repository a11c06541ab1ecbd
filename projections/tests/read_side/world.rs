//! A world in which things happen to groups: commands are decided by the domain and appended to a log, and every
//! state that was is remembered, to compare the read side with.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::chain::BoundaryChain;
use domain::codec::{EventCodec, encode_changes};
use domain::group::{
    Action, Condition, Entity, Group, GroupCommand, GroupEvent, OmittedChildren, Operation, Selector, Target,
    decide,
};
use domain::schema::Secrets;
use domain::{
    Actor, Boundary, Change, CommitId, Context, EntityId, GroupId, Keyring, Kind, Position, Record,
    Timestamp, Version,
};
use projections::{Location, Options, ProjectionError, Projections};
use serde_json::Value;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::log_double::LogDouble;
use crate::surroundings::{ClockDouble, KeyringDouble, Killable};
use crate::views_database::ViewsDatabase;

pub(crate) const RECORD_LIMIT: usize = 900 * 1024;

/// Everything outside the read side.
pub(crate) struct World {
    pub(crate) log: LogDouble,
    pub(crate) keyring: Arc<KeyringDouble>,
    pub(crate) clock: Arc<ClockDouble>,
    database: OnceCell<ViewsDatabase>,
    chains: BTreeMap<Boundary, BoundaryChain>,
    groups: BTreeMap<GroupId, Vec<Group>>,
    happened: u64,
}

/// A read side that runs until it is killed or dropped.
pub(crate) struct Running {
    pub(crate) projections: Projections,
    pub(crate) tasks: Killable,
}

pub(crate) fn group(number: u128) -> GroupId {
    GroupId(Uuid::from_u128(number))
}

pub(crate) fn kind(collection: &str) -> Kind {
    Kind::in_collection(collection).expect("a collection of the catalogue")
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            log: LogDouble::new(),
            keyring: Arc::default(),
            clock: Arc::default(),
            database: OnceCell::new(),
            chains: BTreeMap::new(),
            groups: BTreeMap::new(),
            happened: 0,
        }
    }

    /// The views' database, empty at first.
    pub(crate) async fn database(&self) -> &ViewsDatabase {
        self.database.get_or_init(ViewsDatabase::fresh).await
    }

    pub(crate) async fn open(&self) -> Result<Running, ProjectionError> {
        self.open_at(self.database().await.location(), self.log.clone())
            .await
    }

    pub(crate) async fn open_at(
        &self,
        database: Location,
        log: LogDouble,
    ) -> Result<Running, ProjectionError> {
        let tasks = Killable::default();
        let projections = Projections::open(Options {
            database,
            holder: "a test".to_owned(),
            log: Arc::new(log),
            keyring: Arc::<KeyringDouble>::clone(&self.keyring),
            clock: Arc::<ClockDouble>::clone(&self.clock),
            spawner: Arc::new(tasks.clone()),
            health: Arc::new(()),
        })
        .await?;
        Ok(Running { projections, tasks })
    }

    /// The read side, holding everything that has happened.
    pub(crate) async fn opened(&self) -> Running {
        let running = self.open().await.expect("the read side opens");
        running.caught_up(self).await;
        running
    }

    fn next_time(&mut self) -> Timestamp {
        self.happened += 1;
        Timestamp(1_800_000_000_000 + self.happened.cast_signed() * 1000)
    }

    /// A group after a version.
    pub(crate) fn group_at(&self, group: GroupId, version: Version) -> Group {
        let states = self.groups.get(&group);
        let at = |states: &Vec<Group>| {
            states
                .iter()
                .rev()
                .find(|state| state.version <= version)
                .cloned()
        };
        states.and_then(at).unwrap_or_default()
    }

    pub(crate) fn newest(&self, group: GroupId) -> Group {
        self.group_at(group, Version::MAX)
    }

    /// Decides a command without appending: the change it leads to, if it leads to one.
    pub(crate) fn decide(&mut self, group: GroupId, command: &GroupCommand) -> Option<Change<GroupEvent>> {
        let at = self.next_time();
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&self.happened.to_le_bytes());
        let mut state = self.newest(group);
        let decision = decide(&state, command, &mut Context::new(at, seed)).ok()?;
        if decision.events.is_empty() {
            return None;
        }
        let change = change(state.version + 1, at, decision.events);
        state.apply(&change);
        self.groups.entry(group).or_default().push(state);
        Some(change)
    }

    /// One operation as one commit of one change; says whether it led to one.
    pub(crate) async fn operate(&mut self, group: GroupId, operations: Vec<Operation>) -> bool {
        let command = GroupCommand::Operate {
            operations,
            expected_version: None,
        };
        let change = self.decide(group, &command);
        if let Some(change) = &change {
            self.commit(Boundary::Group(group), std::slice::from_ref(change), RECORD_LIMIT)
                .await;
        }
        change.is_some()
    }

    /// Creates an entity that must be accepted.
    pub(crate) async fn post(&mut self, group: GroupId, collection: &str, body: Value) -> EntityId {
        assert!(
            self.operate(group, vec![create(collection, body)]).await,
            "refused"
        );
        let touched = self
            .newest(group)
            .entities()
            .filter(|entity| entity.kind == kind(collection))
            .cloned()
            .collect::<Vec<_>>();
        touched
            .iter()
            .max_by_key(|entity| entity.touched)
            .expect("it was created")
            .id
    }

    /// Changes as the parts that a log with this record limit takes; answers them without appending.
    pub(crate) async fn parts<E: EventCodec>(
        &mut self,
        boundary: Boundary,
        changes: &[Change<E>],
        record_limit: usize,
    ) -> Parts {
        self.happened += 1;
        let id = CommitId(Uuid::from_u128(u128::from(self.happened)));
        let needed = domain::codec::changes::needed_keys(boundary, changes);
        self.keyring.ensure(&needed).await.expect("keys");
        let encoded =
            encode_changes(id, boundary, changes, &*self.keyring, record_limit).expect("keys are loaded");
        Parts {
            boundary,
            encoded,
            first: None,
        }
    }

    /// Appends one part.
    pub(crate) fn append(&mut self, parts: &mut Parts, index: usize) -> Position {
        let start = BoundaryChain::start(parts.boundary);
        let chain = self.chains.entry(parts.boundary).or_insert(start);
        let bytes = parts
            .encoded
            .record(index, chain.position(), chain.digest(), parts.first);
        let position = self.log.push(parts.boundary, bytes.clone());
        parts.first.get_or_insert(position);
        let record = Record {
            position,
            boundary: parts.boundary,
            bytes,
        };
        chain.accept(&record).expect("the record stands on the chain");
        position
    }

    pub(crate) async fn commit<E: EventCodec>(
        &mut self,
        boundary: Boundary,
        changes: &[Change<E>],
        record_limit: usize,
    ) {
        let mut parts = self.parts(boundary, changes, record_limit).await;
        for index in 0..parts.encoded.parts() {
            self.append(&mut parts, index);
        }
    }

    /// Appends a change of an organization.
    pub(crate) async fn organization<E: EventCodec>(
        &mut self,
        boundary: Boundary,
        version: Version,
        events: Vec<E>,
    ) {
        let at = self.next_time();
        self.commit(boundary, &[change(version, at, events)], RECORD_LIMIT)
            .await;
    }
}

/// A commit in parts, on its way into the log.
pub(crate) struct Parts {
    boundary: Boundary,
    pub(crate) encoded: domain::codec::EncodedChanges,
    first: Option<Position>,
}

impl Running {
    pub(crate) async fn caught_up(&self, world: &World) {
        // Another process may hold the lease of one that was killed: one time of patience isn't enough.
        let mut patience = 6;
        while let Err(behind) = self.projections.caught_up_to(world.log.last()).await {
            patience -= 1;
            assert!(
                patience > 0 && self.projections.status().halted.is_none(),
                "{behind}"
            );
        }
    }

    pub(crate) async fn kill(self) {
        self.tasks.kill().await;
    }

    /// Waits until projecting has stopped, and says why.
    pub(crate) async fn halted(&self) -> String {
        loop {
            if let Some(reason) = self.projections.status().halted {
                return reason;
            }
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn change<E>(version: Version, at: Timestamp, events: Vec<E>) -> Change<E> {
    Change {
        version,
        at,
        clock: at,
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: Some(format!("change {version}")),
        request_id: Some(Uuid::from_u128(u128::from(version))),
        source: None,
        idempotency: None,
        catalogue: domain::schema::CATALOGUE_REVISION,
        events,
    }
}

pub(crate) fn create(collection: &str, body: Value) -> Operation {
    operation(Action::Create(object(body)), collection, None)
}

pub(crate) fn put(collection: &str, id: EntityId, body: Value) -> Operation {
    operation(Action::Put(object(body)), collection, Some(id))
}

pub(crate) fn patch(collection: &str, id: EntityId, body: Value) -> Operation {
    operation(Action::Patch(object(body)), collection, Some(id))
}

pub(crate) fn delete(collection: &str, id: EntityId) -> Operation {
    operation(Action::Delete, collection, Some(id))
}

fn object(body: Value) -> serde_json::Map<String, Value> {
    body.as_object().expect("an object").clone()
}

fn operation(action: Action, collection: &str, id: Option<EntityId>) -> Operation {
    Operation {
        action,
        target: Target {
            kind: kind(collection),
            selector: id.map(Selector::Id),
            parent: None,
        },
        condition: Condition::Always,
        omitted_children: OmittedChildren::default(),
        secrets: Secrets::Plain,
    }
}

/// A group's entities as the fold has them.
pub(crate) fn entities(group: &Group) -> Vec<Arc<Entity>> {
    group.entities().cloned().collect()
}
