//! A transaction is one change: whatever dies and whoever writes at the same time, it is there whole or not at all, in what is
//! read and in the history. `ROUNDS` says how often the server is killed (20 unless set).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::api_client::{Answer, GroupClient};
use tests::eventually::{Patience, eventually};
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::server_process::{Log, ServerProcess};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const WRITERS: u64 = 6;
/// What every transaction writes, all with the same host.
const SERVICES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_survives_a_kill_whole_or_not_at_all() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    kill_the_server(&mut server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_on_nats_survives_a_kill_whole_or_not_at_all() {
    let nats = NatsServer::start(Options::default()).await;
    let mut server = ServerProcess::start(nats.log()).await;
    kill_the_server(&mut server).await;
}

async fn kill_the_server(server: &mut ServerProcess) {
    let group = server.api().group("default");
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (group, acknowledged, stop) = (group.clone(), acknowledged.clone(), stop.clone());
        writers.spawn(async move {
            for count in 0.. {
                if stop.is_cancelled() {
                    return count;
                }
                let host = format!("change-{count}.writer-{writer}.test");
                if count % 3 == 2 {
                    let refused = transact(&group, &host, true, None).await;
                    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text());
                } else {
                    transact(&group, &host, false, None).await.expect_status(200);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                }
            }
            unreachable!("counting doesn't end");
        });
    }

    let rounds = std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().expect("ROUNDS is a number"));
    for round in 0..rounds {
        let goal = acknowledged.load(Ordering::SeqCst) + 1 + round * 7 % 40;
        eventually("the writers make progress", async || {
            assert!(writers.try_join_next().is_none(), "a writer has ended");
            match acknowledged.load(Ordering::SeqCst) {
                now if now >= goal => Ok(()),
                now => Err(format!("{now} of {goal}")),
            }
        })
        .await;
        server.kill9();
        let promised = acknowledged.load(Ordering::SeqCst);
        server.start_again();
        server.ready().await;
        let version = group.version().await;
        assert!(
            version >= promised,
            "{promised} were acknowledged, {version} are there"
        );
        alike(&group).await;
    }
    stop.cancel();
    while let Some(ended) = writers.join_next().await {
        ended.expect("every transaction is answered as it should be");
    }
    // No transaction happened twice and none that was refused left a trace.
    let version = group.version().await;
    assert_eq!(version, acknowledged.load(Ordering::SeqCst));
    whole(&group, version).await;
    alike(&group).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_conflicting_writers_on_two_processes_lose_nothing() {
    const INCREMENTS: u64 = 15;
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let mut first = ServerProcess::prepare(nats.log()).with_database(&database);
    first.start_again();
    first.ready().await;
    let mut second = ServerProcess::prepare(nats.log()).with_database(&database);
    second.take_master_key_of(&first);
    second.start_again();
    second.ready().await;
    let admin = first.admin_token();
    let groups = [&first, &second].map(|server| server.api_as(&admin).group("default"));
    transact(&groups[0], &numbered(0), false, None)
        .await
        .expect_status(200);

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let group = groups[writer as usize % 2].clone();
        writers.spawn(async move {
            for count in 0..INCREMENTS {
                increment(&group, &format!("writer {writer}, {count}")).await;
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("every increment is made");
    }
    let made = WRITERS * INCREMENTS;
    for group in &groups {
        assert_eq!(alike(group).await, numbered(made), "no increment is lost");
        whole(group, made + 1).await;
    }
}

fn numbered(number: u64) -> String {
    format!("number-{number}")
}

/// Makes the number that all services have for a host greater by one; again, whenever another writer was faster.
async fn increment(group: &GroupClient, what: &str) {
    let patience = Patience::new(what);
    loop {
        let read = group.get("services?size=10").await.expect_status(200);
        let (version, host) = (read.group_version(), only_host(&read.json()["data"]));
        let number = host.trim_start_matches("number-").parse::<u64>();
        let next = numbered(number.expect("a number") + 1);
        let answer = transact(group, &next, false, Some((version, what))).await;
        match answer.status {
            StatusCode::OK => return,
            StatusCode::PRECONDITION_FAILED => patience.pause("another writer was faster").await,
            _ => panic!("{}", answer.text()),
        }
    }
}

/// Gives every service the host in one transaction, the last operation of which may be one that is refused; sends it again until the
/// answer is definite. `guarded` is the version that the group must have, and what is said for a reason.
async fn transact(group: &GroupClient, host: &str, refused: bool, guarded: Option<(u64, &str)>) -> Answer {
    let put = |name: &&str| json!({ "method": "PUT", "path": format!("/services/{name}"), "body": { "host": host } });
    let mut operations: Vec<Value> = SERVICES.iter().map(put).collect();
    if refused {
        operations.push(json!({ "method": "PATCH", "path": "/services/a", "body": { "port": "x" } }));
    }
    let (version, reason) = guarded.unzip();
    let key = format!("{host} {version:?} {reason:?} {refused}");
    let body = json!({ "message": host, "operations": operations });
    let patience = Patience::new(&format!("a definite answer about {host}"));
    loop {
        let mut call = group
            .change("transactions", &body)
            .header("idempotency-key", &key);
        if let Some(version) = version {
            call = call.header("if-match", &format!("\"{version}\""));
        }
        match call.attempt().await {
            Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => return answer,
            Ok(answer) => patience.pause(answer.text()).await,
            Err(error) => patience.pause(error).await,
        }
    }
}

/// Checks that one read sees every service with the same host; answers it.
async fn alike(group: &GroupClient) -> String {
    only_host(&Value::from(group.all("services").await))
}

fn only_host(services: &Value) -> String {
    let services = services.as_array().expect("a list of services");
    let mut hosts: Vec<_> = services.iter().map(|service| service["host"].as_str()).collect();
    assert_eq!(hosts.len(), SERVICES.len(), "{services:?}");
    hosts.dedup();
    assert_eq!(hosts.len(), 1, "a part of a transaction: {services:?}");
    hosts[0].expect("a service has a host").to_owned()
}

/// Checks every change up to a version: each is one transaction with all its operations.
async fn whole(group: &GroupClient, newest: u64) {
    for version in 1..=newest {
        let change = group
            .read(&format!("versions/{version}"))
            .await
            .expect_status(200)
            .json();
        let touched = change["changes"].as_array().expect("a change has changes");
        assert_eq!(touched.len(), SERVICES.len(), "version {version}: {change}");
        for entity in touched {
            assert_eq!(entity["after"]["host"], change["message"], "version {version}");
        }
    }
}
