//! A group's long history, written straight into a log: as commands it would take longer than anybody waits.

use std::sync::Arc;

use api::compose::installation::Installation;
use api::config::{DatabaseEngine, LogEngine, MasterKeySource, StorageSettings};
use domain::codec::encode_changes;
use domain::group::{DeletionCause, Entity, GroupEvent};
use domain::log::Placed;
use domain::schema::{CustomPlugins, Generator, Secrets, Write, fill_and_validate};
use domain::{
    Actor, Boundary, Change, CommitId, Context, Digest, EntityId, EventLog, Expected, GroupId, KeyId,
    Keyring, Kind, Position, Record, Timestamp, Version,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server_process::ServerProcess;

/// How many services live at a time.
pub const LIVE_ENTITIES: u64 = 10_000;
/// How many parts of the program take turns in making the changes.
pub const ACTORS: u64 = 7;
/// One change in so many says why.
pub const SAYS_WHY: u64 = 500;
/// How many records are appended together.
const AT_ONCE: usize = 4_096;
/// When the history begins, in milliseconds.
const BEGINNING: i64 = 1_790_000_000_000;

/// How the services come to be what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The same services for ever, changed in turn.
    Updates,
    /// The oldest service goes, a new one comes: in the end nearly all that ever lived are gone.
    Churn,
}

impl Shape {
    /// What figures are headed with.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Updates => "10,000 services, changed in turn",
            Self::Churn => "10,000 services live, the oldest goes and a new one comes",
        }
    }

    /// The service that a change is about, by the order in which services were made.
    const fn subject(self, version: Version) -> u64 {
        let later = version.saturating_sub(LIVE_ENTITIES);
        match self {
            Self::Updates => (version - 1) % LIVE_ENTITIES,
            _ if later == 0 => version - 1,
            // A deletion, then a creation, in turns.
            Self::Churn if later % 2 == 1 => later / 2,
            Self::Churn => LIVE_ENTITIES + later / 2 - 1,
        }
    }
}

/// The id of a service: scattered, as random ones are.
pub fn id(number: u64) -> EntityId {
    let digest = Digest::of(&number.to_le_bytes());
    let bytes = digest.0[..16].try_into().expect("16 of 32 bytes");
    EntityId(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct LongHistory {
    /// Whose history it is.
    pub group: GroupId,
    /// How its services come and go.
    pub shape: Shape,
    /// How many changes it has, of one event each.
    pub events: u64,
    /// How many of them share a commit.
    pub changes_per_commit: u64,
}

impl LongHistory {
    /// Appends the history to the log of a server on one machine that has stopped.
    ///
    /// # Errors
    /// If its files can't be opened or written.
    pub async fn write_to(&self, server: &ServerProcess) -> anyhow::Result<()> {
        let settings = StorageSettings {
            log_limit: None,
            master_key: MasterKeySource::DataDirectory,
            data_dir: server.data_dir(),
            log: LogEngine::Sqlite,
            database: DatabaseEngine::Sqlite,
        };
        let installation = Installation::open(&settings).await?;
        let storage = &installation.storage;
        self.write(&*storage.log, &*storage.keyring).await?;
        installation.close().await;
        Ok(())
    }

    /// Appends the history many records at once: one writer knows every position in advance.
    ///
    /// # Errors
    /// If a log or keyring refuses.
    pub async fn write(&self, log: &dyn EventLog, keyring: &dyn Keyring) -> anyhow::Result<()> {
        let boundary = Boundary::Group(self.group);
        let key = KeyId {
            boundary,
            owner: None,
        };
        keyring.ensure(&[key].into()).await?;
        let mut end = log.tail().await?;
        let (mut previous, mut digest) = (Position::START, Digest::ZERO);
        let mut records = Vec::new();
        let mut version = 0;
        while version < self.events {
            let last = (version + self.changes_per_commit).min(self.events);
            let changes: Vec<_> = (version + 1..=last).map(|version| self.change(version)).collect();
            let id = CommitId(Uuid::from_u128(u128::from(last)));
            let encoded = encode_changes(id, boundary, &changes, keyring, log.record_limit())?;
            let bytes = encoded.record(0, previous, digest, None);
            let expected = Expected::after(Some(previous));
            digest = Digest::of(&bytes);
            end = end.next();
            previous = end;
            let record = Record {
                position: end,
                boundary,
                bytes,
            };
            records.push(Placed { record, expected, id });
            version = last;
            if records.len() == AT_ONCE || version == self.events {
                log.append_at(std::mem::take(&mut records)).await?;
            }
        }
        Ok(())
    }

    /// The change with this number.
    fn change(&self, version: Version) -> Change<GroupEvent> {
        let at = Timestamp(BEGINNING + version.cast_signed() * 1_000);
        let says_why = version.is_multiple_of(SAYS_WHY);
        Change {
            version,
            at,
            clock: at,
            actor: Actor::System {
                part: format!("benchmark-{}", version % ACTORS),
            },
            reason: says_why.then(|| format!("release {}", version / SAYS_WHY)),
            request_id: None,
            source: None,
            idempotency: None,
            catalogue: domain::schema::CATALOGUE_REVISION,
            events: vec![self.event(version, at)],
        }
    }

    fn event(&self, version: Version, at: Timestamp) -> GroupEvent {
        let number = self.shape.subject(version);
        let later = version > LIVE_ENTITIES;
        match self.shape {
            Shape::Churn if later && (version - LIVE_ENTITIES) % 2 == 1 => GroupEvent::EntityDeleted {
                kind: services(),
                id: id(number),
                cause: DeletionCause::Requested,
            },
            Shape::Updates if later => GroupEvent::EntityUpdated {
                entity: service(number, version, at),
                changed: vec!["host".to_owned(), "updated_at".to_owned()],
            },
            Shape::Updates | Shape::Churn => GroupEvent::EntityCreated {
                entity: service(number, version, at),
            },
        }
    }
}

fn services() -> Kind {
    Kind::named("services").expect("the catalogue has services")
}

fn service(number: u64, version: Version, at: Timestamp) -> Arc<Entity> {
    let mut context = Context::new(at, [0; 32]);
    let input = json!({
        "id": id(number), "name": format!("service-{number}"), "host": format!("h{version}.example.com"),
        "path": "/v1", "tags": ["load", format!("team-{}", number % 50)], "created_at": context.now().seconds(),
    });
    let Value::Object(input) = input else {
        unreachable!("json! of an object")
    };
    let body = fill_and_validate(
        services(),
        &CustomPlugins::default(),
        Write::Insert,
        input,
        Secrets::Plain,
        &mut context,
    )
    .expect("a valid service");
    Arc::new(Entity::from_map(services(), id(number), &body))
}
