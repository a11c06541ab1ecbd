//! Restarting a cluster's servers one after another, under load and behind a load balancer, is noticed by nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tests::api_client::GroupClient;
use tests::cluster::Cluster;
use tests::eventually::eventually;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const CLIENTS: usize = 16;
const AGENTS: usize = 12;
/// How many requests are answered between two restarts.
const REQUESTS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_refuses_no_request_and_keeps_every_instance() {
    let mut cluster = Cluster::start(&["--drain-seconds=2"]).await;
    let group = cluster.api().group("default");
    let agents = cluster.agents("default", AGENTS).await;
    let load = Load::start(&cluster);
    load.goes_on().await;
    connected(&group, AGENTS).await;

    for index in 0..cluster.size() {
        assert!(cluster.server(index).stop().await.success(), "an orderly end");
        load.goes_on().await;
        cluster.server(index).start_again();
        cluster.server(index).ready().await;
        cluster.all_balanced().await;
        load.goes_on().await;
        connected(&group, AGENTS).await;
    }

    let answered = load.finish().await;
    assert!(answered >= REQUESTS, "{answered}");
    let newest = group.digest(group.version().await).await;
    eventually("every instance runs the newest configuration", async || {
        let nodes = group.nodes().await;
        let current = nodes
            .iter()
            .filter(|node| node["applied"]["digest"] == newest.as_str());
        match current.count() {
            AGENTS => Ok(()),
            count => Err(format!("{count} of {AGENTS}: {nodes:?}")),
        }
    })
    .await;
    drop(agents);
}

async fn connected(group: &GroupClient, count: usize) {
    eventually("every instance is connected", async || {
        let nodes = group.nodes().await;
        let connected = nodes.iter().filter(|node| !node["connected_since"].is_null());
        match connected.count() {
            found if found == count => Ok(()),
            found => Err(format!("{found} of {count}: {nodes:?}")),
        }
    })
    .await;
}

/// Clients that never try anything twice: each request must be answered, and with a success.
struct Load {
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

impl Load {
    fn start(cluster: &Cluster) -> Self {
        let mut load = Self {
            answered: Arc::default(),
            stop: CancellationToken::new(),
            clients: JoinSet::new(),
        };
        for number in 0..CLIENTS {
            let group = cluster.api().group("default");
            let (answered, stop) = (Arc::clone(&load.answered), load.stop.clone());
            load.clients.spawn(async move {
                for count in 0.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    write_and_read(&group, number, count).await;
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        load
    }

    async fn goes_on(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + REQUESTS;
        eventually("requests are answered", async || {
            match self.answered.load(Ordering::Relaxed) {
                answered if answered >= goal => Ok(()),
                answered => Err(format!("{answered} of {goal}")),
            }
        })
        .await;
    }

    async fn finish(mut self) -> usize {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no request fails");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

async fn write_and_read(group: &GroupClient, number: usize, count: u64) {
    let path = format!("services/client-{number}");
    let host = format!("change-{count}.client-{number}.test");
    let body = json!({ "name": format!("client-{number}"), "host": host });
    let written = group.put(&path, &body).await;
    assert!(written.status.is_success(), "{written:?}");
    let read = group.get(&path).await.expect_status(200);
    assert_eq!(
        read.json()["host"],
        host.as_str(),
        "everybody reads their own writes"
    );
}
