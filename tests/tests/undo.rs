//! Undoing at the terminal: what was broken is tried out, taken back, and told.

use serde_json::{Value, json};
use tests::command_line::Outcome;
use tests::server_process::{Log, ServerProcess};

async fn run(server: &ServerProcess, arguments: &[&str]) -> Outcome {
    let arguments = [arguments, &["--group", "default"]].concat();
    server.command_line().run(&arguments).await
}

/// A service with a route (version 1), whose port is changed (2) and whose route is deleted (3).
async fn broken() -> ServerProcess {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let file = json!({ "_format_version": "3.0", "services": [{
        "name": "orders", "host": "orders.test", "routes": [{ "name": "all", "paths": ["/orders"] }],
    }]});
    group.apply(&file.to_string(), "").await.expect_status(200);
    let port = json!({ "port": 81 });
    group.patch("services/orders", &port).await.expect_status(200);
    group.delete("routes/all").await.expect_status(204);
    server
}

async fn port(server: &ServerProcess) -> Value {
    let service = server.api().group("default").get("services/orders");
    service.await.expect_status(200).json()["port"].clone()
}

#[tokio::test]
async fn a_change_is_reverted_after_it_was_tried() {
    let server = broken().await;
    let tried = run(&server, &["revert", "2", "--dry-run"]).await.expect_code(0);
    assert!(tried.stdout().contains("port: 81 → 80"), "{}", tried.stdout());
    assert_eq!(port(&server).await, 81);
    // Nobody can be asked here, so it has to be said.
    let unasked = run(&server, &["revert", "2"]).await.expect_code(1);
    assert!(unasked.stderr().contains("--yes"), "{}", unasked.stderr());
    let done = run(&server, &["revert", "2", "--yes"]).await.expect_code(0);
    assert!(done.stdout().contains("version 4"), "{}", done.stdout());
    assert_eq!(port(&server).await, 80);
    let again = run(&server, &["revert", "2", "--yes"]).await.expect_code(0);
    assert!(again.stdout().contains("nothing changed"), "{}", again.stdout());
}

#[tokio::test]
async fn a_refused_revert_says_which_later_change_stands_in_the_way() {
    let server = broken().await;
    let refused = run(&server, &["revert", "1", "--yes"]).await.expect_code(1);
    let told = refused.stderr();
    assert!(
        told.contains("orders") && told.contains("port") && told.contains("version 2"),
        "{told}"
    );
}

#[tokio::test]
async fn a_deleted_route_is_restored_and_a_service_becomes_what_it_was() {
    let server = broken().await;
    let tried = run(&server, &["restore", "routes", "all", "--dry-run"])
        .await
        .expect_code(0);
    assert!(tried.stdout().contains("+ routes all"), "{}", tried.stdout());
    run(&server, &["restore", "routes", "all"]).await.expect_code(0);
    let group = server.api().group("default");
    group.get("routes/all").await.expect_status(200);
    run(
        &server,
        &["restore", "services", "orders", "--version", "1", "--yes"],
    )
    .await
    .expect_code(0);
    assert_eq!(port(&server).await, 80);
    run(&server, &["restore", "nothing", "orders"])
        .await
        .expect_code(1);
}

#[tokio::test]
async fn a_rollback_is_tried_and_carried_out() {
    let server = broken().await;
    let group = server.api().group("default");
    run(&server, &["rollback", "1", "--dry-run"]).await.expect_code(0);
    assert_eq!(group.version().await, 3);
    run(&server, &["rollback", "1", "--expect-version", "2", "--yes"])
        .await
        .expect_code(1);
    run(&server, &["rollback", "1", "--expect-version", "3", "--yes"])
        .await
        .expect_code(0);
    assert_eq!(group.digest(4).await, group.digest(1).await);
}
