//! A group's configuration in memory, with its whole history remembered: no log, no database.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dataplane_sync::configurations::{
    ConfigurationEnded, ConfigurationState, ConfigurationUnavailable, Configurations, LiveConfiguration,
};
use domain::group::event::DeletionCause;
use domain::group::{Entity, Group, GroupEvent, evolve, touched};
use domain::{Actor, Change, Digest, EntityId, GroupId, Kind, SnapshotDigest, Timestamp, Version};
use serde_json::Value;
use tokio::sync::watch;
use uuid::Uuid;

/// What a test does to a configuration.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The service of this number gets this host.
    Put(u128, String),
    /// The service of this number goes.
    Delete(u128),
    /// These two services, if there are both, exchange their names.
    Swap(u128, u128),
}

/// Two services that exchange their names.
impl From<(u128, u128)> for Step {
    fn from((one, other): (u128, u128)) -> Self {
        Self::Swap(one, other)
    }
}

/// A version's digest and what it touched.
type Past = (Digest, Vec<(Kind, EntityId)>);

/// One state of it.
#[derive(Clone, Default)]
pub(crate) struct State {
    group: Group,
    digest: Digest,
    /// Per version from 1 on.
    history: Arc<Vec<Past>>,
}

impl ConfigurationState for State {
    fn group(&self) -> &Group {
        &self.group
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn changed_since(&self, version: Version) -> Option<Vec<(Kind, EntityId)>> {
        let mut touched: Vec<_> = self
            .history
            .get(usize::try_from(version).ok()?..)?
            .iter()
            .flat_map(|(_, touched)| touched.clone())
            .collect();
        touched.sort_unstable();
        touched.dedup();
        Some(touched)
    }

    fn digest_at(&self, version: Version) -> Option<Digest> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.history.get(index).map(|(digest, _)| *digest)
    }
}

/// A configuration that can be changed.
#[derive(Clone)]
pub(crate) struct InMemory {
    folding: Arc<Mutex<(State, SnapshotDigest)>>,
    newest: watch::Sender<Arc<State>>,
}

impl InMemory {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let mut hashes = SnapshotDigest::default();
        let state = State {
            digest: hashes.digest(),
            ..State::default()
        };
        Self {
            newest: watch::Sender::new(Arc::new(state.clone())),
            folding: Arc::new(Mutex::new((state, hashes))),
        }
    }

    /// One change; answers its version.
    pub(crate) fn change(&self, steps: &[Step]) -> Version {
        let mut folding = self.folding.lock().unwrap();
        let (state, hashes) = &mut *folding;
        let version = state.group.version + 1;
        let mut scratch = state.group.clone();
        let mut all = Vec::new();
        for step in steps {
            for event in events(&scratch, version, step) {
                evolve(&mut scratch, &event);
                all.push(event);
            }
        }
        let touched = touched(&all);
        state.group.apply(&Change {
            version,
            at: Timestamp(version as i64),
            clock: Timestamp(version as i64),
            actor: Actor::System {
                part: "test".to_owned(),
            },
            reason: None,
            request_id: None,
            source: None,
            idempotency: None,
            catalogue: 1,
            events: all,
        });
        for (kind, id) in &touched {
            match state.group.entity(*kind, *id) {
                Some(entity) => hashes.put(*kind, *id, &entity.body),
                None => hashes.remove(*kind, *id),
            }
        }
        state.digest = hashes.digest();
        Arc::make_mut(&mut state.history).push((state.digest, touched));
        self.newest.send_replace(Arc::new(state.clone()));
        version
    }

    /// The newest state.
    pub(crate) fn state(&self) -> Arc<dyn ConfigurationState> {
        self.newest.borrow().clone()
    }
}

#[async_trait]
impl Configurations for InMemory {
    async fn open(&self, _group: GroupId) -> Result<Box<dyn LiveConfiguration>, ConfigurationUnavailable> {
        Ok(Box::new(Followed(self.newest.subscribe())))
    }
}

struct Followed(watch::Receiver<Arc<State>>);

#[async_trait]
impl LiveConfiguration for Followed {
    fn current(&self) -> Arc<dyn ConfigurationState> {
        self.0.borrow().clone()
    }

    async fn changed(&mut self) -> Result<(), ConfigurationEnded> {
        self.0.changed().await.map_err(|_| ConfigurationEnded)
    }
}

fn services() -> Kind {
    Kind::named("services").unwrap()
}

fn id(number: u128) -> EntityId {
    EntityId(Uuid::from_u128(number))
}

/// What a step does to a group.
fn events(group: &Group, version: Version, step: &Step) -> Vec<GroupEvent> {
    let field = |number, field: &str| -> Option<String> {
        let body: Value = serde_json::from_str(&group.entity(services(), id(number))?.body).unwrap();
        Some(body[field].as_str()?.to_owned())
    };
    match step {
        Step::Put(number, host) => {
            let is_free = |name: &String| {
                let mut keys = service(*number, name, host).unique.into_iter();
                keys.all(|key| group.holder(key).is_none())
            };
            let first = Some(format!("service-{number}")).filter(is_free);
            let name = field(*number, "name").or(first);
            vec![put(
                *number,
                &name.unwrap_or_else(|| format!("service-{number}-{version}")),
                host,
            )]
        }
        Step::Delete(number) => vec![GroupEvent::EntityDeleted {
            kind: services(),
            id: id(*number),
            cause: DeletionCause::Requested,
        }],
        Step::Swap(one, other) => {
            match [*one, *other].map(|number| Some((field(number, "name")?, field(number, "host")?))) {
                [Some((name, host)), Some((other_name, other_host))] if one != other => vec![
                    put(*one, "in-between", &host),
                    put(*other, &name, &other_host),
                    put(*one, &other_name, &host),
                ],
                _ => Vec::new(),
            }
        }
    }
}

fn put(number: u128, name: &str, host: &str) -> GroupEvent {
    let entity = Arc::new(service(number, name, host));
    GroupEvent::EntityCreated { entity }
}

fn service(number: u128, name: &str, host: &str) -> Entity {
    let id = id(number);
    let body = format!(r#"{{"id":"{id}","name":"{name}","host":"{host}","path":null}}"#);
    Entity::from_canonical(services(), id, body.into()).unwrap()
}
