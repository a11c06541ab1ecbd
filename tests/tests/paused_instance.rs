//! An instance that stops reading holds up nobody, and ends at the newest version.

use tests::agent_process::AgentProcess;
use tests::api_client::GroupClient;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

const INSTANCES: usize = 10;
const CHANGES: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn nine_instances_follow_a_thousand_changes_while_the_tenth_is_stopped() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let token = server.api().instance_token("default").await;
    let instances: Vec<AgentProcess> = (0..INSTANCES)
        .map(|_| AgentProcess::start(&server, "default", &token))
        .collect();
    change(&group, 0).await;
    running_newest(&group, INSTANCES).await;

    let paused = &instances[0];
    paused.pause();
    for number in 1..=CHANGES {
        change(&group, number).await;
        if number % 100 == 0 {
            running_newest(&group, INSTANCES - 1).await;
        }
    }
    paused.proceed();
    running_newest(&group, INSTANCES).await;

    assert_eq!(group.version().await, CHANGES + 1);
    let newest = group.digest(CHANGES + 1).await;
    for instance in &instances {
        eventually("the instance has written the newest configuration", async || {
            let file = instance.declarative_text();
            let newest = file.contains(&newest) && file.contains(&format!("change-{CHANGES}.test"));
            if newest { Ok(()) } else { Err(file) }
        })
        .await;
    }
}

async fn change(group: &GroupClient, number: u64) {
    let body = serde_json::json!({ "name": "orders", "host": format!("change-{number}.test") });
    let answer = group.put("services/orders", &body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// Waits until exactly as many instances as said run the group's newest configuration.
async fn running_newest(group: &GroupClient, count: usize) {
    let newest = group.digest(group.version().await).await;
    eventually(&format!("{count} instances run the newest version"), async || {
        let nodes = group.nodes().await;
        let current = nodes
            .iter()
            .filter(|node| node["applied"]["digest"] == newest.as_str())
            .count();
        if current == count {
            Ok(())
        } else {
            Err(format!("{current} run {newest}: {nodes:?}"))
        }
    })
    .await;
}
