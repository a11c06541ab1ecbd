//! The log's signed head: kept beside a server that runs, compared at every start, and with a copy that somebody put away.

use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tests::command_line::{CommandLine, Outcome};
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::server_process::{Log, ServerProcess};
use tests::workload::Workload;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_verified_beside_a_server_under_load() {
    let server = ServerProcess::start(Log::Sqlite).await;
    verify_under_load(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_in_nats_is_verified_beside_a_server_under_load() {
    let nats = NatsServer::start(Options::default()).await;
    let server = ServerProcess::start(nats.log()).await;
    verify_under_load(server).await;
}

async fn verify_under_load(mut server: ServerProcess) {
    let group = server.api().group("default");
    let mut workload = Workload::start(&group, 4);
    workload.progress(20).await;
    let archived = server.data_dir().join("archived.json");
    let head = log(&server, "head", &[]).await.expect_code(0).stdout();
    std::fs::write(&archived, &head).expect("the data directory is writable");
    for _ in 0..3 {
        workload.progress(20).await;
        let archived = ["--head", &archived.display().to_string()];
        let verified = log(&server, "verify", &archived).await.expect_code(0).stdout();
        assert!(verified.contains("as signed on"), "{verified}");
        assert!(verified.contains("signed up to position"), "{verified}");
    }
    workload.finish().await;
    assert!(server.stop().await.success(), "an orderly end is a success");
    let verified = log(&server, "verify", &[]).await.expect_code(0).stdout();
    assert!(verified.contains(", 0 records after it"), "{verified}");
}

#[tokio::test]
async fn the_head_that_is_served_is_the_one_on_disk() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    let body = json!({ "host": "h.test" });
    api.group("default")
        .put("services/s", &body)
        .await
        .expect_status(200);
    let ready = api.get("/readyz").await.expect_status(200).json();
    let tail = ready["checks"]["log"]["position"].clone();
    eventually("the newest record is signed", async || {
        let served = api.get("/v2/log/head").await.expect_status(200).json();
        let text = std::fs::read_to_string(server.data_dir().join("head.json")).unwrap_or_default();
        let kept = serde_json::from_str(&text).unwrap_or(serde_json::Value::Null);
        let current = served["position"] == tail && served == kept;
        current.then_some(()).ok_or(format!("{served} {kept}"))
    })
    .await;
}

#[tokio::test]
async fn a_log_that_lost_its_last_record_is_named_and_not_started_on() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let body = json!({ "host": "h.test" });
    let group = server.api().group("default");
    group.put("services/s", &body).await.expect_status(200);
    assert!(server.stop().await.success(), "an orderly end is a success");
    server.forget_what_is_derived();
    let options = SqliteConnectOptions::new().filename(server.data_dir().join("log.db"));
    let mut file = SqliteConnection::connect_with(&options)
        .await
        .expect("log.db opens");
    sqlx::query("DELETE FROM record WHERE position = (SELECT max(position) FROM record)")
        .execute(&mut file)
        .await
        .expect("the record is deleted");
    file.close().await.expect("log.db closes");

    let named = log(&server, "verify", &[]).await.expect_code(1).stderr();
    assert!(named.contains("the record is gone"), "{named}");
    server.start_again();
    assert!(!server.process().ended().await.success(), "it doesn't start");
    let printed = server.process().printed();
    assert!(
        printed.contains("the log has lost its tail: it ends at"),
        "{printed}"
    );
}

async fn log(server: &ServerProcess, command: &str, arguments: &[&str]) -> Outcome {
    let storage = server.storage_arguments();
    let mut line = vec!["log", command];
    line.extend(arguments);
    line.extend(storage.iter().map(String::as_str));
    CommandLine::new().run(&line).await
}
