//! `kill -9` at any moment, under sixteen concurrent writers: what was acknowledged is there, nothing happened twice, and every
//! instance converges to the configuration that a fresh fold of the log gives. `ROUNDS` says how often (20 unless set).

use tests::agent_process::AgentProcess;
use tests::api_client::GroupClient;
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::server_process::{Log, ServerProcess};
use tests::workload::{self, Workload};

const WRITERS: u64 = 16;
const AGENTS: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_sqlite_keeps_its_promises_however_often_it_is_killed() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    kill_the_server(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_nats_keeps_its_promises_however_often_it_is_killed() {
    let nats = NatsServer::start(Options::default()).await;
    let mut server = ServerProcess::start(nats.log()).await;
    kill_the_server(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_keeps_its_promises_however_often_its_nats_server_is_killed() {
    let mut nats = NatsServer::start(Options::default()).await;
    let mut server = ServerProcess::start(nats.log()).await;
    let group = server.api().group("default");
    let agents = agents(&server).await;
    let mut workload = Workload::start(&group, WRITERS);
    let mut verified = 0;

    for round in 0..rounds() {
        workload.progress(moment(round)).await;
        nats.restart().await;
        let promised = workload.acknowledged();
        workload.progress(1).await;
        verified = workload::verify(&group, &promised, verified).await;
    }

    let promised = workload.finish().await;
    settle(&mut server, &group, &promised, &agents).await;
}

async fn kill_the_server(server: &mut ServerProcess) {
    let group = server.api().group("default");
    let agents = agents(server).await;
    let mut workload = Workload::start(&group, WRITERS);
    let mut verified = 0;

    for round in 0..rounds() {
        workload.progress(moment(round)).await;
        server.kill9();
        let promised = workload.acknowledged();
        verify_log(server).await;
        server.start_again();
        if round % 4 == 3 {
            // Recovery itself is cut short, wherever it is by now.
            server.kill9();
            server.start_again();
        }
        server.ready().await;
        verified = workload::verify(&group, &promised, verified).await;
    }

    let promised = workload.finish().await;
    settle(server, &group, &promised, &agents).await;
}

/// No writer runs any more: the state is exactly what was promised, and every instance and a fresh fold of the log agree on it.
async fn settle(
    server: &mut ServerProcess,
    group: &GroupClient,
    promised: &[workload::Acknowledged],
    agents: &[AgentProcess],
) {
    workload::verify(group, promised, 0).await;
    workload::verify_services(group, promised).await;

    let version = group.version().await;
    let live = group.digest(version).await;
    eventually("every instance runs the newest configuration", async || {
        let nodes = group.nodes().await;
        let current = nodes
            .iter()
            .filter(|node| node["applied"]["digest"] == live.as_str())
            .count();
        if current == agents.len() {
            Ok(())
        } else {
            Err(format!("{live} isn't what all run: {nodes:?}"))
        }
    })
    .await;
    for agent in agents {
        eventually("the instance has written the newest configuration", async || {
            let file = agent.declarative_text();
            if file.contains(&live) { Ok(()) } else { Err(file) }
        })
        .await;
    }

    server.kill9();
    verify_log(server).await;
    server.forget_what_is_derived();
    server.start_again();
    server.ready().await;
    assert_eq!(
        group.digest(version).await,
        live,
        "a fresh fold of the log gives the same configuration"
    );
}

async fn verify_log(server: &ServerProcess) {
    let mut arguments = vec!["log".to_owned(), "verify".to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    CommandLine::new().run(&arguments).await.expect_code(0);
}

async fn agents(server: &ServerProcess) -> Vec<AgentProcess> {
    let token = server.api().instance_token("default").await;
    (0..AGENTS)
        .map(|_| AgentProcess::start(server, "default", &token))
        .collect()
}

fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().expect("ROUNDS is a number"))
}

/// After how many more acknowledged changes the next kill comes: another number each round, the same ones each time.
fn moment(round: usize) -> usize {
    // The multiplier spreads consecutive rounds over the whole range.
    (round + 1).wrapping_mul(2_654_435_761) % 400 + 1
}
