//! Certificates from the command line: what is printed for a new Kong connects it, and what is revoked cuts it off.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::command_line::CommandLine;
use tests::data_plane::{DataPlane, Identity, KongVersion, Pair, Settings};
use tests::server_process::{Log, ServerProcess};

const NEWEST: KongVersion = KongVersion::new(3, 9, 1);

/// A server with a service in its group `default`, and a shell that talks to it.
async fn started() -> (ServerProcess, CommandLine) {
    let server = ServerProcess::start(Log::Sqlite).await;
    let admin = server.admin_token();
    let service = json!({ "name": "orders", "host": "orders.test" });
    let api = server.api_as(&admin);
    let services = "/v2/runtime-groups/default/core-entities/services";
    api.post(services, &service).await.expect_status(201);
    let shell = CommandLine::of(&server.url(), &admin);
    (server, shell)
}

fn kong(server: &ServerProcess, identity: Identity) -> DataPlane {
    let address = server.dataplane_address().parse().expect("an address");
    DataPlane::start(Settings::new(NEWEST, address, identity))
}

/// What a command prints with `--output json`.
async fn said(shell: &CommandLine, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let said = shell.run(&arguments).await.expect_code(0).stdout();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The settings of a kong.conf whose certificates stand in it.
fn settings(kong_conf: &str) -> BTreeMap<&str, &str> {
    let lines = kong_conf.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kong_with_the_kong_conf_that_was_printed_for_it_connects() {
    let (server, shell) = started().await;
    let printed = shell.run(&["node", "add", "--platform", "kong-conf"]).await;
    let printed = printed.expect_code(0).stdout();
    let settings = settings(&printed);
    let inside = |key: &str| {
        let text = STANDARD.decode(settings[key]).expect("base64");
        String::from_utf8(text).expect("PEM")
    };
    assert_eq!(settings["cluster_control_plane"], server.dataplane_address());
    let pair = Pair {
        certificate: inside("cluster_cert"),
        key: inside("cluster_cert_key"),
    };
    let identity = Identity::pki(&pair, &inside("cluster_ca_cert"), settings["cluster_server_name"]);
    kong(&server, identity).runs_with("services", "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_certificate_opens_the_group_until_it_is_revoked() {
    let (server, shell) = started().await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let place = folder.path().display().to_string();
    let issue = ["node", "certificate", "issue", "--write", &place, "--days", "20"];
    let id = shell.run(&issue).await.expect_code(0).stdout().trim().to_owned();
    let again = shell.run(&issue).await.expect_code(1);
    assert!(again.stderr().contains("exists already"), "{}", again.stderr());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let mode = folder
        .path()
        .join("tls.key")
        .metadata()
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let pair = Pair {
        certificate: read("tls.crt"),
        key: read("tls.key"),
    };
    let identity = Identity::pki(&pair, &read("ca.crt"), "localhost");
    let node = kong(&server, identity);
    node.runs_with("services", "orders").await;
    let listed = said(&shell, &["node", "certificate", "list"]).await;
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(1),
        "the second was refused before it was issued"
    );
    assert!(
        listed[0]["warnings"][0]
            .as_str()
            .is_some_and(|warning| warning.starts_with("expires in "))
    );
    shell
        .run(&["node", "certificate", "revoke", &id, "--yes"])
        .await
        .expect_code(0);
    node.sees("its connection was closed", |seen| {
        (!seen.connected).then_some(())
    })
    .await;
    let attempts = node.observed().attempts;
    let refused =
        |seen: &tests::data_plane::Observed| (seen.attempts > attempts + 1 && !seen.connected).then_some(());
    node.sees("it isn't let in again", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_kong_hybrid_gen_cert_is_added_as_it_is_and_its_key_is_refused() {
    let (server, shell) = started().await;
    let pair = Pair::of_kong_hybrid();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path.display().to_string()
    };
    let key = write("cluster.key", &pair.key);
    let refused = shell
        .run(&["node", "certificate", "add", &key])
        .await
        .expect_code(1);
    assert!(refused.stderr().contains("private key"), "{}", refused.stderr());
    let certificate = write("cluster.crt", &pair.certificate);
    shell
        .run(&["node", "certificate", "add", &certificate])
        .await
        .expect_code(0);
    let authority = std::fs::read_to_string(server.data_dir().join("ca.pem")).expect("the server writes it");
    let identity = Identity::pki(&pair, &authority, "localhost");
    kong(&server, identity).runs_with("services", "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_runs_nothing_is_not_compared_and_why_is_said() {
    let (server, shell) = started().await;
    let printed = shell.run(&["node", "add", "--platform", "kong-conf"]).await;
    let printed = printed.expect_code(0).stdout();
    let settings = settings(&printed);
    let inside = |key: &str| {
        let text = STANDARD.decode(settings[key]).expect("base64");
        String::from_utf8(text).expect("PEM")
    };
    let pair = Pair {
        certificate: inside("cluster_cert"),
        key: inside("cluster_cert_key"),
    };
    let identity = Identity::pki(&pair, &inside("cluster_ca_cert"), settings["cluster_server_name"]);
    let address = server.dataplane_address().parse().expect("an address");
    let mut refusing = Settings::new(NEWEST, address, identity);
    refusing.dislikes.insert("orders".to_owned());
    let id = refusing.node_id.to_string();
    let node = DataPlane::start(refusing);
    node.sees("has refused it", |observed| observed.refusals.first().cloned())
        .await;
    let refused = shell.run(&["diff", "--node", &id]).await.expect_code(1);
    assert!(refused.stderr().contains("HTTP 409"), "{}", refused.stderr());
    assert!(
        refused.stderr().contains("there is nothing to compare with"),
        "{}",
        refused.stderr()
    );
}
