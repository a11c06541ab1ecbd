//! How many commands one group's writer takes here: on a log in memory (what deciding, encoding and sealing cost) and
//! on one in a SQLite file (what durability costs beside it).
//!
//! `cargo bench -p commands --bench writer_speed [-- COMMANDS]`

#![expect(clippy::print_stdout, reason = "a program that prints what it measured")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use commands::CommandBus;
use commands::bootstrap::{FirstStart, bootstrap};
use commands::bus::{DEADLINE, Options};
use commands::keyring::MemoryKeyring;
use commands::log::{MemoryLog, SqliteLog};
use commands::sandbox::{ProcessSandbox, Program};
use commands::tasks::Tasks;
use domain::gateway::Commands;
use domain::group::{Action, Condition, GroupCommand, OmittedChildren, Operation, Target};
use domain::schema::Secrets;
use domain::system::Authority;
use domain::token::TokenHash;
use domain::{Cause, Clock, EventLog, GroupId, Kind, OrganizationId, Secret, Timestamp};
use futures::future;
use serde_json::{Map, json};
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How many commands are sent in each round unless told otherwise.
const COMMANDS: usize = 20_000;

/// The clock's first time, in milliseconds since the epoch.
const START: i64 = 1_767_225_600_000;

/// A clock that ticks when it is looked at.
#[derive(Debug)]
struct TickingClock(AtomicI64);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A bus and its default group.
struct Desk {
    bus: CommandBus,
    organization: OrganizationId,
    group: GroupId,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let commands = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(COMMANDS);
    let tasks = Tasks::default();
    rounds("memory", Arc::new(MemoryLog::new()), &tasks, commands).await?;
    let directory = tempfile::tempdir_in(".")?;
    let log_tasks = Tasks::default();
    let log = SqliteLog::open(&directory.path().join("log.db"), None, &log_tasks).await?;
    rounds("sqlite", Arc::new(log), &tasks, commands).await?;
    tasks.shut_down().await;
    log_tasks.shut_down().await;
    Ok(())
}

async fn rounds(name: &str, log: Arc<dyn EventLog>, tasks: &Tasks, commands: usize) -> Outcome<()> {
    let desk = desk(log, tasks).await?;
    for callers in [1, 16, 64, 1_000] {
        let each = (commands / callers).min(commands / 10);
        let start = Instant::now();
        let calls = (0..callers).map(|caller| desk.call(callers, caller, each));
        future::try_join_all(calls).await?;
        let (count, took) = (callers * each, start.elapsed());
        println!(
            "{name}: {callers} callers: {:.0} commands/s, {:?} each",
            count as f64 / took.as_secs_f64(),
            took.div_f64(count as f64)
        );
    }
    Ok(())
}

async fn desk(log: Arc<dyn EventLog>, tasks: &Tasks) -> Outcome<Desk> {
    let bus = CommandBus::new(Options {
        log,
        keyring: Arc::new(MemoryKeyring::in_memory()),
        states: None,
        follower: None,
        clock: Arc::new(TickingClock(AtomicI64::new(START))),
        spawner: Arc::new(tasks.clone()),
        sandbox: Arc::new(ProcessSandbox::new(Program::this())),
        deadline: DEADLINE,
        group_retention: None,
    });
    let first = FirstStart {
        log_id: Uuid::from_u128(1),
        organization: OrganizationId(Uuid::from_u128(2)),
        name: "bench".to_owned(),
        authority: Authority {
            certificate: String::new(),
            key: Secret::new(String::new()),
        },
        admin: TokenHash([0; 32]),
    };
    let organization = bootstrap(&bus, first).await?.organization;
    let state = bus.organization_state(organization).await?;
    let group = state.state.group_named("default").ok_or("no default group")?.id;
    Ok(Desk {
        bus,
        organization,
        group,
    })
}

impl Desk {
    /// Creates services, one after the other.
    async fn call(&self, round: usize, caller: usize, each: usize) -> Outcome<()> {
        let kind = Kind::named("services").ok_or("no services")?;
        for number in 0..each {
            let mut body = Map::new();
            body.insert("name".to_owned(), json!(format!("s-{round}-{caller}-{number}")));
            body.insert("host".to_owned(), json!("example.com"));
            let operation = Operation {
                action: Action::Create(body),
                target: Target {
                    kind,
                    selector: None,
                    parent: None,
                },
                condition: Condition::Always,
                omitted_children: OmittedChildren::Delete,
                secrets: Secrets::Plain,
            };
            let command = GroupCommand::Operate {
                operations: vec![operation],
                expected_version: None,
            };
            let cause = Cause::system("bench");
            self.bus
                .group(self.organization, self.group, command, cause)
                .await?;
        }
        Ok(())
    }
}
