//! Two processes with one record of nodes: each sees the whole fleet, wherever its instances are connected.

use std::sync::Arc;
use std::time::Duration;

use dataplane_sync::agent::AgentOptions;
use dataplane_sync::nodes::ForgetError;
use dataplane_sync::rollout::RolloutError;
use dataplane_sync::{ProcessId, SyncStatus};
use futures::FutureExt as _;
use uuid::Uuid;

use crate::configuration::{InMemory, Step};
use crate::shared_record::{Access, SharedRecord};
use crate::strict_kong::StrictKong;
use crate::world::{Agent, GROUP, Setting, World, eventually};

const LONG: Duration = Duration::from_secs(60);

/// Two processes over one log and one record of nodes.
struct Cluster {
    configuration: InMemory,
    first: World,
    second: World,
    first_access: Arc<Access>,
    second_access: Arc<Access>,
}

impl Cluster {
    fn start() -> Self {
        let configuration = InMemory::new();
        Self::with(configuration.clone(), configuration)
    }

    /// Two processes of which the second may hear of changes later.
    fn with(configuration: InMemory, of_second: InMemory) -> Self {
        let record = SharedRecord::default();
        let (first_access, second_access) = (record.access(), record.access());
        let process = |number, configuration: &InMemory, access: &Arc<Access>| {
            World::start_in(Setting {
                configuration: configuration.clone(),
                observed: access.clone(),
                process: Some(ProcessId(Uuid::from_u128(number))),
                ..Setting::default()
            })
        };
        Self {
            first: process(1, &configuration, &first_access),
            second: process(2, &of_second, &second_access),
            configuration,
            first_access,
            second_access,
        }
    }

    /// The instance of this name, first connected to the first process, as it connects to the second.
    fn moved(&self, name: &str) -> AgentOptions {
        AgentOptions {
            state_directory: self.first.agent(name).state_directory,
            ..self.second.agent(name)
        }
    }
}

fn put(host: &str) -> Step {
    Step::Put(1, host.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_over_two_processes_is_told_by_either_and_nobody_reads_unasked() {
    let cluster = Cluster::start();
    let agents = [
        Agent::run(cluster.first.agent("left")),
        Agent::run(cluster.second.agent("right")),
    ];
    for process in [&cluster.first, &cluster.second] {
        process.node("left", SyncStatus::InSync).await;
        process.node("right", SyncStatus::InSync).await;
    }
    let version = cluster.configuration.change(&[put("first.internal")]);
    for process in [&cluster.first, &cluster.second] {
        let nodes = process.service.nodes();
        let rollout = nodes.wait_rollout(GROUP, version, LONG).await.unwrap();
        assert!(rollout.complete());
        assert_eq!((rollout.connected, rollout.current), (2, 2));
    }

    let read = cluster.second_access.readings();
    let written = cluster.first_access.transactions();
    cluster.configuration.change(&[put("second.internal")]);
    eventually("the acknowledgement is written", async || {
        (cluster.first_access.transactions() > written).then_some(())
    })
    .await;
    assert_eq!(cluster.second_access.readings(), read, "nobody asked");
    for agent in agents {
        agent.stop().await;
    }
    cluster.first.node("right", SyncStatus::Disconnected).await;
    cluster.second.node("left", SyncStatus::Disconnected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_moves_belongs_to_the_process_it_moved_to() {
    let cluster = Cluster::start();
    let agent = Agent::run(cluster.first.agent("edge"));
    let before = cluster.second.node("edge", SyncStatus::InSync).await;
    agent.stop().await;
    let agent = Agent::run(cluster.moved("edge"));
    for process in [&cluster.first, &cluster.second] {
        let moved = eventually("the instance is on the second process", async || {
            let node = process.nodes().await.remove("edge")?;
            (node.record.process != before.record.process && node.status == SyncStatus::InSync)
                .then_some(node)
        })
        .await;
        assert_eq!(moved.record.id, before.record.id);
        assert_eq!(moved.record.first_seen, before.record.first_seen);
    }
    let again = Agent::run(cluster.first.agent("edge"));
    let replaced = eventually("the newest connection is the live one", async || {
        let node = cluster.first.nodes().await.remove("edge")?;
        (node.record.process == before.record.process).then_some(node)
    })
    .await;
    assert!(replaced.record.connected_since > before.record.connected_since);
    again.stop().await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_instances_of_a_process_that_died_without_a_word_fall_silent_and_are_gone() {
    let cluster = Cluster::start();
    let agent = Agent::run(cluster.first.agent("edge"));
    let node = cluster.second.node("edge", SyncStatus::InSync).await;
    let refused = cluster.second.service.nodes().forget(GROUP, node.record.id).await;
    assert!(matches!(refused, Err(ForgetError::Connected(_))));

    cluster.first_access.cut();
    cluster.second.clock.skip_seconds(46);
    cluster.second.node("edge", SyncStatus::Silent).await;
    cluster.second.clock.skip_seconds(45);
    cluster.second.node("edge", SyncStatus::Disconnected).await;
    let rollout = cluster.second.service.nodes().rollout(GROUP, 0).await.unwrap();
    assert_eq!(rollout.connected, 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_forgotten_on_one_process_is_forgotten_on_all() {
    let cluster = Cluster::start();
    let agent = Agent::run(cluster.first.agent("edge"));
    cluster.first.node("edge", SyncStatus::InSync).await;
    agent.stop().await;
    let node = cluster.second.node("edge", SyncStatus::Disconnected).await;
    cluster
        .second
        .service
        .nodes()
        .forget(GROUP, node.record.id)
        .await
        .unwrap();
    for process in [&cluster.first, &cluster.second] {
        eventually("nobody knows it any more", async || {
            process.nodes().await.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_outlive_a_record_that_cannot_be_reached() {
    let cluster = Cluster::start();
    cluster.first_access.cut();
    let agent = Agent::run(cluster.first.agent("edge"));
    let version = cluster.configuration.change(&[put("first.internal")]);
    let file = cluster.first.declarative_file("edge");
    eventually("the instance has the configuration", async || {
        let text = std::fs::read_to_string(&file).ok()?;
        text.contains("first.internal").then_some(())
    })
    .await;
    assert_eq!(version, 1);
    assert!(cluster.first.service.nodes().list(GROUP).await.is_err());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_has_not_arrived_here_is_not_live_even_where_no_instance_is() {
    let (configuration, late) = (InMemory::new(), InMemory::new());
    let cluster = Cluster::with(configuration, late.clone());
    let version = cluster.configuration.change(&[put("first.internal")]);
    let nodes = cluster.second.service.nodes();
    let hasty = nodes.wait_rollout(GROUP, version, Duration::ZERO).await;
    assert!(matches!(hasty, Err(RolloutError::NotSeen { target: 1, seen: 0 })));

    let mut waiting = std::pin::pin!(nodes.wait_rollout(GROUP, version, LONG));
    assert!(waiting.as_mut().now_or_never().is_none(), "it waits");
    late.change(&[put("first.internal")]);
    assert!(waiting.await.unwrap().complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_on_another_process_settles_the_wait() {
    let cluster = Cluster::start();
    let kong = StrictKong::start().await;
    let options = AgentOptions {
        kong_admin: Some(kong.url),
        ..cluster.first.agent("edge")
    };
    let agent = Agent::run(options);
    cluster.second.node("edge", SyncStatus::InSync).await;
    let nodes = cluster.second.service.nodes();
    let version = cluster.configuration.change(&[put("bad.internal")]);
    let rollout = nodes.wait_rollout(GROUP, version, LONG).await.unwrap();
    assert!(!rollout.complete());
    assert!(rollout.refused[0].reason.contains("bad host"));
    agent.stop().await;
}
