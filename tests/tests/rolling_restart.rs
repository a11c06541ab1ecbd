//! Restarting a cluster's servers one after another, under load and behind a load balancer, is noticed by nobody.

use tests::api_client::GroupClient;
use tests::cluster::Cluster;
use tests::eventually::eventually;
use tests::steady_load::{REQUESTS, SteadyLoad};

const AGENTS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_under_load_refuses_no_request_and_keeps_every_instance() {
    let mut cluster = Cluster::start(&["--drain-seconds=2"]).await;
    let group = cluster.api().group("default");
    let agents = cluster.agents("default", AGENTS).await;
    let load = SteadyLoad::start(&cluster);
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
