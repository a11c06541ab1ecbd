//! Changes of many entities: a decK file, a transaction, a rollback; and what the history says of them.

use axum::http::Method;
use serde_json::json;

use crate::app::{App, Heard};

const GROUP: &str = "/v2/runtime-groups/default";

const FILE: &str = "
_format_version: \"3.0\"
services:
- name: orders
  host: orders.example
  routes:
  - name: all
    paths: [/orders]
consumers:
- username: alice
  keyauth_credentials:
  - key: s3cret
";

async fn apply(app: &App, query: &str, file: &str) -> Heard {
    let call = app.request(Method::POST, &format!("{GROUP}/apply{query}"));
    call.bytes("application/yaml", file.to_owned()).send().await
}

#[tokio::test]
async fn a_repeated_request_is_told_what_the_first_one_did() {
    let app = App::start().await;
    let call = || {
        app.request(Method::POST, &format!("{GROUP}/apply"))
            .header("idempotency-key", "k")
            .bytes("application/yaml", FILE.to_owned())
    };
    let first = call().send().await.expect(200).body;
    assert_eq!(first["changed"], true);
    assert_eq!(call().send().await.expect(200).body, first);
}

#[tokio::test]
async fn a_file_is_one_change_and_applying_it_or_its_dump_again_is_none() {
    let app = App::start().await;
    let tried = apply(&app, "?dry_run", FILE).await.expect(200);
    assert_eq!(
        (&tried.body["version"], &tried.body["changed"]),
        (&json!(0), &json!(true))
    );
    let applied = apply(&app, "", FILE).await.expect(200);
    assert_eq!(
        (&applied.body["version"], &applied.body["changed"]),
        (&json!(1), &json!(true))
    );
    let said: Vec<_> = applied.body["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["what"])
        .collect();
    assert_eq!(said, ["created"; 4]);
    assert_eq!(apply(&app, "", FILE).await.expect(200).body["changed"], false);
    let dump = app.get(&format!("{GROUP}/dump")).await.expect(200);
    assert_eq!(dump.header("content-type"), "application/yaml");
    let again = apply(&app, "?prune", &dump.text).await.expect(200);
    assert_eq!(
        (&again.body["version"], &again.body["changed"]),
        (&json!(1), &json!(false)),
        "{}",
        dump.text
    );
    let as_json = app.request(Method::GET, &format!("{GROUP}/versions/latest/config"));
    let as_json = as_json
        .header("accept", "application/json")
        .send()
        .await
        .expect(200);
    assert_eq!(as_json.body["services"][0]["routes"][0]["name"], "all");
    let pruned = apply(&app, "?prune=true", "_format_version: \"3.0\"\nservices: []\n")
        .await
        .expect(200);
    let pruned = pruned.body["changes"].as_array().unwrap().len();
    assert_eq!(pruned, 4);
}

#[tokio::test]
async fn a_refused_file_changes_nothing_and_says_where() {
    let app = App::start().await;
    let file = "_format_version: \"3.0\"\nservices:\n- name: a\n  host: h\n- name: b\n  port: 99999\n";
    let refused = apply(&app, "", file).await.expect(400);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("services[1]"), "{detail}");
    assert_eq!(
        app.get(&format!("{GROUP}/versions")).await.body["meta"]["page"]["total"],
        0
    );
    apply(&app, "", "").await.expect(400);
    apply(&app, "", "services: [").await.expect(400);
    apply(&app, "?dry=1", FILE).await.expect(400);
    let call = app
        .request(Method::POST, &format!("{GROUP}/apply"))
        .bytes("text/plain", FILE);
    call.send().await.expect(415);
    let call = app
        .request(Method::POST, &format!("{GROUP}/apply"))
        .header("if-match", "\"4\"");
    call.bytes("application/yaml", FILE).send().await.expect(412);
}

#[tokio::test]
async fn a_transaction_is_all_or_nothing() {
    let app = App::start().await;
    let operations = json!([
        {"method": "POST", "path": "/services", "body": {"name": "s", "host": "h"}},
        {"method": "PUT", "path": "/services/s/routes/r", "body": {"paths": ["/"]}},
        {"method": "PATCH", "path": "/services/s", "body": {"port": 81}},
    ]);
    let path = format!("{GROUP}/transactions");
    let tried = app
        .post(&path, &json!({"dry_run": true, "operations": operations}))
        .await
        .expect(200);
    assert_eq!(
        (&tried.body["version"], &tried.body["changed"]),
        (&json!(0), &json!(true))
    );
    let done = app
        .post(&path, &json!({"message": "both", "operations": operations}))
        .await
        .expect(200);
    assert_eq!(done.body["version"], 1);
    assert_eq!(done.body["results"][2]["body"]["port"], 81);
    let mut refused = operations.clone();
    refused[2]["body"] = json!({"port": "x"});
    let refused = app.post(&path, &json!({"operations": refused})).await.expect(409);
    assert!(
        refused.body["detail"]
            .as_str()
            .unwrap()
            .starts_with("operations[0]"),
        "{}",
        refused.text
    );
    assert_eq!(
        app.get(&format!("{GROUP}/versions/1")).await.body["message"],
        "both"
    );
    app.get(&format!("{GROUP}/versions/2")).await.expect(404);
}

#[tokio::test]
async fn a_rollback_brings_the_old_configuration_and_its_digest_back() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let digest = |version: u64| {
        let path = format!("{GROUP}/versions/{version}");
        let app = &app;
        async move { app.get(&path).await.expect(200).body["digest"].clone() }
    };
    app.patch(
        &format!("{GROUP}/core-entities/services/orders"),
        &json!({"port": 81}),
    )
    .await
    .expect(200);
    app.delete(&format!("{GROUP}/core-entities/routes/all"))
        .await
        .expect(204);
    let difference = app.get(&format!("{GROUP}/diff?from=1&to=3")).await.expect(200);
    let said: Vec<_> = difference.body["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["what"])
        .collect();
    assert_eq!(said, ["updated", "deleted"]);
    let back = app
        .post(&format!("{GROUP}/rollback"), &json!({"to": 1}))
        .await
        .expect(200);
    assert_eq!(
        (&back.body["version"], &back.body["left_out"]),
        (&json!(4), &json!([]))
    );
    assert_eq!(digest(4).await, digest(1).await);
    assert_ne!(digest(4).await, digest(3).await);
    let same = app.get(&format!("{GROUP}/diff?from=1&to=4")).await.expect(200);
    assert_eq!(same.body["changes"], json!([]));
    app.post(&format!("{GROUP}/rollback"), &json!({"to": 9}))
        .await
        .expect(404);
    app.post(&format!("{GROUP}/rollback"), &json!({}))
        .await
        .expect(400);
}
