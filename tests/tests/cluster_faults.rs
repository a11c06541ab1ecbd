//! Three servers, three NATS servers and one PostgreSQL under load, and everything that can happen to them: nothing acknowledged
//! is lost, nothing happens twice, everybody reads what was written before on any server, every instance converges.

use std::collections::BTreeMap;

use tests::agent_process::AgentProcess;
use tests::api_client::GroupClient;
use tests::cluster::Cluster;
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::histories;
use tests::workload::{self, Workload};

const WRITERS: u64 = 16;
const AGENTS: usize = 50;
/// How many changes are acknowledged while something is broken, and after it was mended.
const CHANGES: usize = 150;
const STREAM: &str = "RUNTIME_EVENTS";

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_its_promises_whatever_breaks() {
    let mut cluster = Cluster::start(&[]).await;
    let agents = cluster.agents("default", AGENTS).await;
    let mut load = Load::start(&cluster);
    load.goes_on("at rest").await;

    for index in 0..cluster.size() {
        cluster.server(index).kill9();
        load.goes_on("without a server").await;
        cluster.server(index).start_again();
        cluster.server(index).ready().await;
        load.goes_on("with the server again").await;
    }
    // One of them projects: reading goes on only when another has taken over, which its lease allows when it has run out.
    for index in 0..cluster.size() {
        cluster.server(index).process().pause();
        load.goes_on("with a frozen server").await;
        cluster.server(index).process().proceed();
        load.goes_on("with the server thawed").await;
    }

    let follower = (cluster.nats.stream_leader(0, STREAM).await + 1) % cluster.size();
    cluster.nats.member(follower).kill9();
    load.goes_on("without a NATS server").await;
    cluster.nats.member(follower).start_again();
    cluster.nats.ready().await;
    load.goes_on("with the NATS server again").await;

    let leader = cluster.nats.stream_leader(follower, STREAM).await;
    cluster.nats.member(leader).pause();
    load.goes_on("with the NATS leader frozen").await;
    cluster.nats.member(leader).proceed();
    cluster.nats.ready().await;
    load.goes_on("with the NATS leader thawed").await;

    let leader = cluster.nats.stream_leader(0, STREAM).await;
    cluster.nats.isolate(leader);
    load.goes_on("with the NATS leader cut off").await;
    cluster.nats.rejoin(leader);
    cluster.nats.ready().await;
    load.goes_on("with the NATS servers together again").await;

    cluster.postgres.kill9();
    cluster.postgres.start_again().await;
    load.goes_on("with PostgreSQL restarted").await;

    load.settle(&agents).await;
    let server = cluster.server(0);
    server.stop().await;
    let mut arguments = vec!["log".to_owned(), "verify".to_owned()];
    arguments.extend(cluster.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    CommandLine::new()
        .export("RUNTIME_MANAGER_MASTER_KEY", cluster.master_key())
        .run(&arguments)
        .await
        .expect_code(0);
}

/// Sixteen writers spread over all servers, and what they were promised.
struct Load {
    groups: Vec<GroupClient>,
    workload: Workload,
    verified: u64,
}

impl Load {
    fn start(cluster: &Cluster) -> Self {
        let groups = cluster.group_everywhere("default");
        Self {
            workload: Workload::spread(&groups, WRITERS),
            groups,
            verified: 0,
        }
    }

    /// Writers make progress, and what they saw until now is right.
    async fn goes_on(&mut self, how: &str) {
        self.workload.progress(CHANGES).await;
        if let Err(contradiction) = histories::judge(&self.workload.history().operations()) {
            panic!("{how}: {contradiction}");
        }
    }

    /// The writers stop: the state is exactly what was promised, on every server and in every instance.
    async fn settle(mut self, agents: &[AgentProcess]) {
        let history = self.workload.history();
        let promised = self.workload.finish().await;
        histories::judge(&history.operations()).expect("one sequence of changes explains what everybody saw");
        for group in &self.groups {
            self.verified = workload::verify(group, &promised, 0).await;
            workload::verify_services(group, &promised).await;
        }
        let newest = self.groups[0].digest(self.verified).await;
        for group in &self.groups {
            assert_eq!(group.version().await, self.verified);
            eventually(
                "every instance is seen to run the newest configuration",
                async || {
                    let nodes = group.nodes().await;
                    let current = nodes
                        .iter()
                        .filter(|node| node["applied"]["digest"] == newest.as_str());
                    match current.count() {
                        count if count == agents.len() => Ok(()),
                        count => Err(format!("{count} of {} run {newest}", agents.len())),
                    }
                },
            )
            .await;
        }
        let mut digests = BTreeMap::new();
        for agent in agents {
            ordered(&agent.applied(), &mut digests);
        }
    }
}

/// An instance's configurations come in the order of their versions, and a version is the same configuration in each instance.
fn ordered(applied: &[(u64, String)], digests: &mut BTreeMap<u64, String>) {
    for pair in applied.windows(2) {
        assert!(
            pair[0].0 < pair[1].0,
            "an instance went from {:?} to {:?}",
            pair[0],
            pair[1]
        );
    }
    for (version, digest) in applied {
        let known = digests.entry(*version).or_insert_with(|| digest.clone());
        assert_eq!(known, digest, "version {version} isn't the same everywhere");
    }
}
