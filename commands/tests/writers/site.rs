//! A place with a log, a keyring and a clock, where buses start as processes do.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use commands::CommandBus;
use commands::bootstrap::{FirstStart, Installation, bootstrap};
use commands::bus::Options;
use commands::keyring::MemoryKeyring;
use commands::log::MemoryLog;
use commands::sandbox::{ProcessSandbox, Program};
use commands::tasks::Tasks;
use domain::chain::{Accepted as AcceptedRecord, BoundaryChain};
use domain::commit::Changes;
use domain::gateway::{Accepted, CommandError, Commands};
use domain::group::{
    Action, Condition, GroupCommand, GroupEvent, OmittedChildren, Operation, Outcome, Selector, Target,
};
use domain::schema::Secrets;
use domain::state_store::StateStore;
use domain::system::Authority;
use domain::token::TokenHash;
use domain::{
    Actor, Boundary, Cause, Change, Clock, Commit, Digest, EventLog, GroupId, Idempotency, Keyring, Kind,
    OrganizationId, Position, Secret, Spawner, Timestamp, TokenId,
};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::stored_states::MemoryStates;

/// After how long deleted groups are purged here.
pub(crate) const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct StillClock(AtomicI64);

impl StillClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// What outlives a process, and the processes' tasks.
pub(crate) struct Site {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) states: Arc<MemoryStates>,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) tasks: Tasks,
    pub(crate) deadline: Duration,
}

impl Site {
    pub(crate) fn on(log: impl EventLog) -> Self {
        Self {
            log: Arc::new(log),
            keyring: Arc::new(MemoryKeyring::in_memory()),
            states: Arc::default(),
            clock: Arc::new(StillClock(AtomicI64::new(1_767_225_600_000))),
            tasks: Tasks::default(),
            deadline: Duration::from_secs(10),
        }
    }

    /// An empty log in memory, and the handle that injects its faults.
    pub(crate) fn in_memory() -> (Self, MemoryLog) {
        let log = MemoryLog::new();
        (Self::on(log.clone()), log)
    }

    /// Starts another bus, as another process on the same log would.
    pub(crate) fn bus(&self) -> CommandBus {
        CommandBus::new(Options {
            log: Arc::clone(&self.log),
            keyring: Arc::clone(&self.keyring),
            states: Some(Arc::clone(&self.states) as Arc<dyn StateStore>),
            follower: None,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            spawner: Arc::new(self.tasks.clone()) as Arc<dyn Spawner>,
            sandbox: Arc::new(ProcessSandbox::new(Program::this())),
            deadline: self.deadline,
            group_retention: Some(RETENTION),
        })
    }

    /// Starts a bus on the installation, which the first one makes.
    pub(crate) async fn desk(&self) -> Desk {
        let bus = self.bus();
        let installation = bootstrap(&bus, first_start(1)).await.unwrap();
        Desk::new(bus, installation).await
    }

    /// Runs a bus's reactors until the site ends.
    pub(crate) fn run_reactors(&self, bus: &CommandBus) {
        let bus = bus.clone();
        self.tasks
            .spawn("reactors", async move { bus.run_reactors().await });
    }

    /// Every commit of a boundary, checked as any reader checks it.
    pub(crate) async fn commits(&self, boundary: Boundary) -> Vec<Commit> {
        let mut chain = BoundaryChain::start(boundary);
        let mut commits = Vec::new();
        let mut records = self.log.read_boundary(boundary, Position::START);
        while let Some(record) = records.try_next().await.unwrap() {
            if let AcceptedRecord::Commit(sealed) = chain.accept(&record).unwrap() {
                commits.push(sealed.open(&*self.keyring).unwrap());
            }
        }
        commits
    }

    /// Every change of a group, in order.
    pub(crate) async fn changes(&self, group: GroupId) -> Vec<Change<GroupEvent>> {
        let commits = self.commits(Boundary::Group(group)).await;
        let changes = commits.into_iter().flat_map(|commit| match commit.changes {
            Changes::Group(_, changes) => changes,
            _ => panic!("a group's boundary holds a group's changes"),
        });
        changes.collect()
    }

    /// The versions of a group's changes.
    pub(crate) async fn versions(&self, group: GroupId) -> Vec<u64> {
        let changes = self.changes(group).await;
        changes.iter().map(|change| change.version).collect()
    }
}

/// Waits until something was appended after which the condition holds.
pub(crate) async fn until(site: &Site, mut condition: impl AsyncFnMut() -> bool) {
    let mut records = site.log.follow(site.log.tail().await.unwrap());
    while !condition().await {
        records.next().await.unwrap().unwrap();
    }
}

/// The inputs of a first start, different for each number.
pub(crate) fn first_start(number: u8) -> FirstStart {
    FirstStart {
        log_id: Uuid::from_u128(u128::from(number)),
        organization: OrganizationId(Uuid::from_u128(0x0a00 + u128::from(number))),
        name: format!("organization {number}"),
        authority: Authority {
            certificate: format!("certificate {number}"),
            key: Secret::new(format!("key {number}")),
        },
        admin: TokenHash([number; 32]),
    }
}

/// Where a caller talks to a bus about one group: the default one at first.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) bus: CommandBus,
    pub(crate) organization: OrganizationId,
    pub(crate) group: GroupId,
}

impl Desk {
    async fn new(bus: CommandBus, installation: Installation) -> Self {
        let organization = installation.organization;
        let state = bus.organization_state(organization).await.unwrap();
        let group = state.state.group_named("default").unwrap().id;
        Self {
            bus,
            organization,
            group,
        }
    }

    pub(crate) fn at(&self, group: GroupId) -> Self {
        Self {
            group,
            ..self.clone()
        }
    }

    pub(crate) fn boundary(&self) -> Boundary {
        Boundary::Group(self.group)
    }

    pub(crate) async fn send(&self, command: GroupCommand) -> Result<Accepted<Outcome>, CommandError> {
        self.send_as(command, cause()).await
    }

    pub(crate) async fn send_as(
        &self,
        command: GroupCommand,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        self.bus
            .group(self.organization, self.group, command, cause)
            .await
    }

    /// Creates a service, whose name must be free.
    pub(crate) async fn create(&self, name: &str) -> Result<Accepted<Outcome>, CommandError> {
        self.send(create_service(name)).await
    }

    /// Puts a service with this path.
    pub(crate) async fn put(&self, name: &str, path: &str) -> Result<Accepted<Outcome>, CommandError> {
        self.send(put_service(name, path)).await
    }

    /// The names of the group's services, as the bus knows them.
    pub(crate) async fn services(&self) -> Vec<String> {
        let durable = self.bus.group_state(self.group).await.unwrap();
        let name = |entity: &Value| entity["name"].as_str().unwrap().to_owned();
        let kind = Kind::named("services").unwrap();
        let services = durable.state.of_kind(kind);
        let mut names: Vec<_> = services
            .map(|entity| name(&serde_json::from_str(&entity.body).unwrap()))
            .collect();
        names.sort();
        names
    }
}

/// An administrator asks.
pub(crate) fn cause() -> Cause {
    let actor = Actor::Token {
        id: TokenId(Uuid::from_u128(0x70)),
        name: "tester".to_owned(),
    };
    Cause {
        actor,
        ..Cause::system("test")
    }
}

/// An administrator asks with an idempotency key, on a request with this text.
pub(crate) fn keyed(key: &str, request: &str) -> Cause {
    Cause {
        idempotency: Some(Idempotency {
            key: key.to_owned(),
            request: Digest::of(request.as_bytes()),
        }),
        ..cause()
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(crate) fn operation(kind: &str, selector: Option<&str>, action: Action) -> Operation {
    Operation {
        action,
        target: Target {
            kind: Kind::named(kind).unwrap(),
            selector: selector.map(Selector::parse),
            parent: None,
        },
        condition: Condition::Always,
        omitted_children: OmittedChildren::Delete,
        secrets: Secrets::Plain,
    }
}

pub(crate) fn operate(operations: Vec<Operation>) -> GroupCommand {
    GroupCommand::Operate {
        operations,
        expected_version: None,
    }
}

pub(crate) fn create_service(name: &str) -> GroupCommand {
    let body = object(json!({"name": name, "host": "example.com"}));
    operate(vec![operation("services", None, Action::Create(body))])
}

pub(crate) fn put_service(name: &str, path: &str) -> GroupCommand {
    let body = object(json!({"name": name, "host": "example.com", "path": path}));
    operate(vec![operation("services", Some(name), Action::Put(body))])
}

pub(crate) fn delete_service(name: &str) -> GroupCommand {
    operate(vec![operation("services", Some(name), Action::Delete)])
}
