//! NATS is away: what is away is said at once, at one place each, nobody waits for long, and nothing is lost when it is back.

use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::nats_server::{self, NatsServer};
use tests::server_process::ServerProcess;

/// What `/readyz` says once it isn't well.
async fn illness(server: &ServerProcess, wanted: &str) -> Value {
    eventually("the server says what is away", async || {
        let answer = reqwest::get(format!("{}/readyz", server.url())).await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.map_err(|error| format!("{error:?}"))?;
        let conditions = body["conditions"].to_string();
        if status == 503 && conditions.contains(wanted) {
            Ok(body)
        } else {
            Err(body.to_string())
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_that_has_stopped_is_said_everywhere_and_loses_nothing() {
    let mut nats = NatsServer::start(nats_server::Options::default()).await;
    let mut server = ServerProcess::start(nats.log()).await;
    let group = server.api().group("default");
    let service = json!({ "name": "before", "host": "example.test" });
    group.post("services", &service).await.expect_status(201);

    nats.stop_jetstream();
    illness(&server, "JetStream is off at the NATS server").await;
    let seen = server
        .command_line()
        .run(&[
            "doctor",
            "--url",
            &server.url(),
            "--data-dir",
            &server.data_dir().display().to_string(),
        ])
        .await
        .expect_code(1);
    assert!(seen.stdout().contains("JetStream is off"), "{}", seen.stdout());
    let listed = server.command_line().run(&["group", "list"]).await.expect_code(1);
    assert!(
        listed.stderr().contains("JetStream is off"),
        "{}",
        listed.stderr()
    );
    let refused = group
        .post(
            "services",
            &json!({ "name": "meanwhile", "host": "example.test" }),
        )
        .await;
    assert!(refused.expect_status(503).text().contains("JetStream is off"));
    let printed = server.process().printed();
    let lines = printed
        .lines()
        .filter(|line| line.contains("log in NATS") && line.contains("JetStream is off"));
    assert_eq!(lines.count(), 1, "{printed}");

    nats.restart().await;
    server.ready().await;
    let names: Vec<Value> = group
        .all("services")
        .await
        .into_iter()
        .map(|service| service["name"].clone())
        .collect();
    assert_eq!(names, [json!("before")]);
    group
        .post("services", &json!({ "name": "after", "host": "example.test" }))
        .await
        .expect_status(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_answered_soon_and_with_the_reason_while_no_nats_server_runs() {
    let mut nats = NatsServer::start(nats_server::Options::default()).await;
    let mut server = ServerProcess::start(nats.log()).await;
    nats.kill9();
    illness(&server, "no NATS server answers at").await;
    let listed = server.command_line().run(&["group", "list"]).await.expect_code(1);
    assert!(
        listed.stderr().contains("no NATS server answers at"),
        "{}",
        listed.stderr()
    );
    nats.start_again();
    nats.ready().await;
    server.ready().await;
    server.command_line().run(&["group", "list"]).await.expect_code(0);
}
