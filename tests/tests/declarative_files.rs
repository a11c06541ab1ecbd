//! A decK file goes in as one change, comes out with nothing lost, and changes nothing when it goes in again.

use std::path::Path;

use serde_json::Value;
use tests::api_client::GroupClient;
use tests::command_line::CommandLine;
use tests::declarative_file::{assert_same_meaning, document, fixture, fixtures, name_of};
use tests::nats_server::{NatsServer, Options};
use tests::server_process::{Log, ServerProcess};

/// What `apply` answers with when the file is already so.
const UNCHANGED: i32 = 0;
/// What `apply` answers with when it made a change.
const CHANGED: i32 = 2;

#[tokio::test]
async fn every_file_makes_the_round_trip_on_sqlite() {
    round_trips(Log::Sqlite).await;
}

#[tokio::test]
async fn every_file_makes_the_round_trip_on_nats() {
    let nats = NatsServer::start(Options::default()).await;
    round_trips(nats.log()).await;
}

async fn round_trips(log: Log) {
    let server = ServerProcess::start(log).await;
    let shell = server.command_line();
    for file in fixtures() {
        let name = name_of(&file);
        let (original, copy) = (format!("{name}-original"), format!("{name}-copy"));
        for group in [&original, &copy] {
            server.api().create_group(group).await;
        }

        apply(&shell, &file, &original, CHANGED).await;
        let group = server.api().group(&original);
        assert_eq!(group.version().await, 1, "{name} is one change");
        apply(&shell, &file, &original, UNCHANGED).await;

        let dump = dump(&shell, &original).await;
        assert_same_meaning(&name, &parse(&dump), &document(&file));
        let dumped = server.data_dir().join(format!("{name}.yaml"));
        std::fs::write(&dumped, &dump).expect("the data directory is writable");
        apply(&shell, &dumped, &original, UNCHANGED).await;
        let path = dumped.to_str().expect("the path is text");
        let arguments = ["apply", path, "--group", &original, "--prune"];
        shell.run(&arguments).await.expect_code(UNCHANGED);
        assert_eq!(group.version().await, 1, "{name}: what was dumped is already so");

        apply(&shell, &dumped, &copy, CHANGED).await;
        assert_eq!(
            self::dump(&shell, &copy).await,
            dump,
            "{name}: a group made from the dump dumps the same"
        );
    }
}

#[tokio::test]
async fn an_entity_that_is_not_nested_names_the_one_it_belongs_to() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let file = "_format_version: '3.0'\n\
        services:\n- name: reports\n  host: reports.internal.test\n\
        routes:\n- name: read\n  paths: [/reports]\n  service: {name: reports}\n\
        consumers:\n- username: auditor\n\
        plugins:\n- name: cors\n  route: read\n- name: prometheus\n  service: reports\n\
        - name: rate-limiting\n  consumer: auditor\n  config: {minute: 60, policy: local}\n";

    group.apply(file, "").await.expect_status(200);

    let only = async |path: &str| {
        let list = group.get(path).await.expect_status(200).json();
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{path}: {list}");
        list["data"][0]["name"].clone()
    };
    assert_eq!(only("services/reports/routes").await, "read");
    assert_eq!(only("routes/read/plugins").await, "cors");
    assert_eq!(only("services/reports/plugins").await, "prometheus");
    assert_eq!(only("consumers/auditor/plugins").await, "rate-limiting");
    group.apply(file, "").await.expect_status(200);
    assert_eq!(group.version().await, 1, "the same file again is no change");
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let file = fixture("storefront.yaml");
    let file = file.to_str().expect("the path is text");

    let outcome = server
        .command_line()
        .run(&["apply", file, "--group", "default", "--dry-run"])
        .await;

    let printed = outcome.expect_code(CHANGED).stdout();
    assert!(
        printed.contains("catalogue"),
        "the difference is shown: {printed}"
    );
    assert_eq!(server.api().group("default").version().await, 0);
}

#[tokio::test]
async fn pruning_deletes_what_the_file_does_not_have() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    put_service(&group, "stranger").await;
    let (shell, file) = (server.command_line(), fixture("storefront.yaml"));

    apply(&shell, &file, "default", CHANGED).await;
    group.get("services/stranger").await.expect_status(200);
    let file = file.to_str().expect("the path is text");
    shell
        .run(&["apply", file, "--group", "default", "--prune"])
        .await
        .expect_code(CHANGED);

    group.get("services/stranger").await.expect_status(404);
    group.get("services/catalogue").await.expect_status(200);
}

#[tokio::test]
async fn a_file_that_is_refused_changes_nothing_at_all() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let half_right = "_format_version: '3.0'\n\
        services:\n- name: good\n  host: good.test\n- name: bad\n  host: bad.test\n  port: 700000\n";

    let refusal = group.apply(half_right, "").await.expect_status(400).text();

    assert!(refusal.contains("port"), "the refusal names the field: {refusal}");
    assert_eq!(group.version().await, 0);
    group.get("services/good").await.expect_status(404);
}

#[tokio::test]
async fn a_file_meant_for_another_version_is_refused() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    put_service(&group, "newer").await;
    let file = fixture("storefront.yaml");
    let file = file.to_str().expect("the path is text");

    let arguments = ["apply", file, "--group", "default", "--expect-version", "0"];
    let outcome = server.command_line().run(&arguments).await;

    assert!(
        !matches!(outcome.code(), Some(UNCHANGED | CHANGED)),
        "it is refused: {outcome:?}"
    );
    assert_eq!(group.version().await, 1);
}

#[tokio::test]
async fn several_files_with_environment_variables_are_one_change() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let home = server.data_dir().join("files");
    std::fs::create_dir(&home).expect("the data directory is writable");
    let write = |name: &str, text: &str| {
        std::fs::write(home.join(name), text).expect("the data directory is writable");
    };
    write(
        "a.yaml",
        "_format_version: '3.0'\nservices:\n- name: a\n  host: ${{ env \"DECK_HOST\" }}\n  port: ${{ env \"DECK_PORT\" | toInt }}\n",
    );
    write(
        "b.yaml",
        "_format_version: '3.0'\nservices:\n- name: b\n  host: b.test\n",
    );
    let folder = home.to_str().expect("the path is text");
    let apply = ["apply", folder, "--group", "default"];

    let shell = server.command_line().export("DECK_HOST", "a.test");
    let refused = shell.run(&apply).await.expect_code(1);
    assert!(
        refused.stderr().contains("DECK_PORT isn't set"),
        "it says what is missing: {}",
        refused.stderr()
    );
    let shell = shell.export("DECK_PORT", "8443");
    shell.run(&apply).await.expect_code(CHANGED);

    assert_eq!(group.version().await, 1);
    let service = group.get("services/a").await.expect_status(200).json();
    assert_eq!(
        (&service["host"], &service["port"]),
        (&"a.test".into(), &8443.into())
    );
    group.get("services/b").await.expect_status(200);
}

#[tokio::test]
async fn a_file_from_before_3_0_keeps_its_regular_expressions() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let file = "_format_version: '1.1'\nservices:\n- name: old\n  host: old.test\n  routes:\n  - name: old\n    paths: [/plain, '/items/\\d+$']\n";

    group.apply(file, "").await.expect_status(200);

    let route = group.get("routes/old").await.expect_status(200).json();
    assert_eq!(route["paths"], serde_json::json!(["/plain", "~/items/\\d+$"]));
    group.apply(file, "").await.expect_status(200);
    assert_eq!(group.version().await, 1, "the same file again is no change");
}

async fn put_service(group: &GroupClient, name: &str) {
    let body = serde_json::json!({ "name": name, "host": "somewhere.test" });
    let answer = group.put(&format!("services/{name}"), &body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn apply(shell: &CommandLine, file: &Path, group: &str, code: i32) {
    let file = file.to_str().expect("the path is text");
    shell
        .run(&["apply", file, "--group", group])
        .await
        .expect_code(code);
}

async fn dump(shell: &CommandLine, group: &str) -> String {
    shell
        .run(&["dump", "--group", group])
        .await
        .expect_code(0)
        .stdout()
}

fn parse(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}
