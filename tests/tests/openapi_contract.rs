//! Schemathesis against the OpenAPI document: whatever is sent, the server never fails, and never answers what the document denies.

use std::path::Path;

use serde_json::{Value, json};
use tests::server_process::{Log, ServerProcess};
use tokio::process::Command;

/// How many requests are made unless `CASES` says otherwise, at least one of each operation.
const CASES: usize = 1_000;

/// Each answer is checked for these.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

#[tokio::test]
async fn no_request_makes_the_server_fail_or_contradict_its_document() {
    let program = program().await;
    let server = ServerProcess::start(Log::Sqlite).await;
    server
        .api()
        .group("default")
        .apply(&configuration().to_string(), "")
        .await
        .expect_status(200);
    let document = server.api().get("/openapi.json").await.expect_status(200);
    let operations = operations(&document.json());
    let examples = cases().div_ceil(operations);

    let output = Command::new(&program)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/schemathesis"))
        .args(["run", &format!("{}/openapi.json", server.url())])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", server.admin_token()),
        ])
        .args(["--checks", CHECKS, "--phases", "fuzzing"])
        .args(["--max-examples", &examples.to_string()])
        // A followed stream of events has no end.
        .args(["--exclude-path-regex", "/events$"])
        .args(["--seed", &seed(), "--no-shrink", "--continue-on-failure"])
        .args(["--generation-database", "none", "--warnings", "off", "--no-color"])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("`{program}` can't be run: {error}"));

    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let generated = generated(&said);
    assert!(
        generated >= cases(),
        "only {generated} requests were made: {said}"
    );
}

/// The path of the installed program.
async fn program() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/schemathesis/program");
    let output = Command::new(&script).output().await;
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The environment's wish.
fn cases() -> usize {
    std::env::var("CASES").map_or(CASES, |cases| cases.parse().expect("CASES is a number"))
}

/// A failure says its seed; the same seed makes the same requests.
fn seed() -> String {
    std::env::var("SEED").unwrap_or_else(|_| "1".to_owned())
}

fn operations(document: &Value) -> usize {
    let paths = document["paths"].as_object().expect("a document has paths");
    let followed = |path: &&String| !path.ends_with("/events");
    let served = paths.keys().filter(followed);
    served
        .filter_map(|path| document["paths"][path].as_object())
        .map(serde_json::Map::len)
        .sum()
}

/// `Test cases: 1227 generated, …` of the summary.
fn generated(summary: &str) -> usize {
    let words: Vec<_> = summary.split_whitespace().collect();
    let place = words.iter().rposition(|word| word.starts_with("generated"));
    place
        .and_then(|place| words[place - 1].parse().ok())
        .unwrap_or_default()
}

/// Something to be found by the name that the requests use.
fn configuration() -> Value {
    json!({
        "_format_version": "3.0",
        "services": [{"name": "one", "host": "one.internal", "routes": [{"name": "one", "paths": ["/one"]}]}],
        "consumers": [{
            "username": "one",
            "keyauth_credentials": [{"key": "one"}],
            "acls": [{"group": "one"}],
            "basicauth_credentials": [{"username": "one", "password": "secret"}],
            "groups": [{"name": "one"}],
        }],
        "consumer_groups": [{"name": "one"}],
        "plugins": [{"name": "cors", "instance_name": "one"}],
        "upstreams": [{"name": "one", "targets": [{"target": "one:80"}]}],
        "key_sets": [{"name": "one"}],
        "vaults": [{"name": "env", "prefix": "one"}],
    })
}
