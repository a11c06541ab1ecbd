//! One fleet over two processes: each sees the instances of both, waits for both, and lets out whom the other let out.

use serde_json::{Value, json};
use tests::agent_process::AgentProcess;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::server_process::ServerProcess;

/// Waits until exactly so many instances of a group are connected, as this process sees it.
async fn connected(api: &ApiClient, group: &str, count: usize) {
    eventually(
        &format!("{count} instances of {group} are connected"),
        async || {
            let nodes = api.group(group).nodes().await;
            let connected = nodes.iter().filter(|node| !node["connected_since"].is_null());
            if connected.count() == count {
                Ok(())
            } else {
                Err(format!("{nodes:?}"))
            }
        },
    )
    .await;
}

/// How far the newest version has got, waiting for it.
async fn rollout(api: &ApiClient, group: &str) -> Value {
    let path = format!("/v2/runtime-groups/{group}/rollout?wait=120s");
    api.get(&path).await.expect_status(200).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_both_processes_are_seen_waited_for_and_let_out_by_each() {
    let nats = NatsServer::start(Options::default()).await;
    let database = PostgresServer::shared().fresh_database().await;
    let mut first = ServerProcess::prepare(nats.log()).with_database(&database);
    first.start_again();
    first.ready().await;
    let second = first.another().await;
    let admin = first.admin_token();
    let apis = [first.api_as(&admin), second.api_as(&admin)];
    apis[0].create_group("edge").await;
    let token = json!({ "name": "instances", "role": "instance", "group": "default" });
    let token = apis[0].post("/v2/tokens", &token).await.expect_status(201).json();
    let secret = token["token"].as_str().unwrap();
    let of_edge = apis[1].instance_token("edge").await;
    let instances = [
        AgentProcess::start(&first, "default", secret),
        AgentProcess::start(&second, "default", secret),
        AgentProcess::start(&second, "edge", &of_edge),
    ];
    for api in &apis {
        connected(api, "default", 2).await;
        connected(api, "edge", 1).await;
    }

    for (number, (writer, waiter)) in [(0, 1), (1, 0)].into_iter().enumerate() {
        let body = json!({ "name": "orders", "host": format!("change-{number}.test") });
        apis[writer]
            .group("default")
            .put("services/orders", &body)
            .await
            .expect_status(200);
        let rollout = rollout(&apis[waiter], "default").await;
        assert_eq!(rollout["state"], "live", "{rollout}");
        assert_eq!(
            (&rollout["connected"], &rollout["current"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(rollout["version"], json!(number + 1));
    }

    let path = format!("/v2/tokens/{}", token["id"].as_str().unwrap());
    apis[0].delete(&path).await.expect_status(204);
    apis[0].delete("/v2/runtime-groups/edge").await.expect_status(204);
    for api in &apis {
        connected(api, "default", 0).await;
    }
    eventually("the instance of the deleted group is let out", async || {
        let printed = instances[2].printed();
        let let_out = printed.contains("doesn't admit this instance any more");
        if let_out { Ok(()) } else { Err(printed) }
    })
    .await;
}
