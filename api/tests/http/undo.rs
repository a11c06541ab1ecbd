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

const SERVICE: &str = "/v2/runtime-groups/default/core-entities/services/orders";

async fn revert(app: &App, version: u64, query: &str) -> Heard {
    app.post(&format!("{GROUP}/versions/{version}/revert{query}"), &json!({}))
        .await
}

#[tokio::test]
async fn a_revert_takes_back_one_change_and_keeps_the_later_ones() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let wrong = app
        .request(Method::PATCH, SERVICE)
        .header("x-change-message", "another port")
        .json(&json!({"port": 81}));
    wrong.send().await.expect(200);
    app.patch(SERVICE, &json!({"retries": 2})).await.expect(200);
    let tried = revert(&app, 2, "?dry_run").await.expect(200).body;
    assert_eq!(
        (&tried["version"], &tried["changed"], &tried["dry_run"]),
        (&json!(3), &json!(true), &json!(true))
    );
    let done = revert(&app, 2, "").await.expect(200).body;
    assert_eq!((&done["version"], &done["dry_run"]), (&json!(4), &json!(false)));
    assert_eq!(done["changes"][0]["before"]["port"], 81);
    let service = app.get(SERVICE).await.expect(200).body;
    assert_eq!((&service["port"], &service["retries"]), (&json!(80), &json!(2)));
    let told = app.get(&format!("{GROUP}/versions/4")).await.expect(200).body;
    assert_eq!(told["message"], "revert of version 2: another port");
    assert_eq!(revert(&app, 2, "").await.expect(200).body["changed"], false);
    revert(&app, 4, "").await.expect(200);
    assert_eq!(app.get(SERVICE).await.body["port"], 81);
}

#[tokio::test]
async fn a_refused_revert_names_what_stands_in_the_way_and_since_which_version() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    app.patch(SERVICE, &json!({"port": 81})).await.expect(200);
    app.patch(SERVICE, &json!({"port": 82})).await.expect(200);
    app.patch(SERVICE, &json!({"retries": 2})).await.expect(200);
    for query in ["", "?dry_run"] {
        let refused = revert(&app, 2, query).await.expect(409).body;
        assert_eq!(refused["type"], "urn:runtime-manager:problem:undo-conflict");
        let conflict = &refused["conflicts"][0];
        assert_eq!(
            (&conflict["kind"], &conflict["name"], &conflict["field"]),
            (&json!("services"), &json!("orders"), &json!("port"))
        );
        // Version 4 touched the service later, but not its port.
        assert_eq!(
            (&conflict["reason"], &conflict["version"]),
            (&json!("changed_since"), &json!(3))
        );
    }
    let refused = revert(&app, 1, "").await.expect(409).body;
    assert!(refused["conflicts"].as_array().unwrap().len() >= 2, "{refused}");
    assert_eq!(
        app.get(&format!("{GROUP}/versions")).await.body["meta"]["page"]["total"],
        4
    );
}

#[tokio::test]
async fn a_deletion_that_stands_in_the_way_is_found_in_the_history() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let route = format!("{GROUP}/core-entities/routes/all");
    app.delete(&route).await.expect(204);
    app.delete(SERVICE).await.expect(204);
    let refused = revert(&app, 2, "").await.expect(409).body;
    let conflict = &refused["conflicts"][0];
    assert_eq!(
        (&conflict["reason"], &conflict["version"], &conflict["by"]["kind"]),
        (&json!("missing_reference"), &json!(3), &json!("services"))
    );
    revert(&app, 3, "").await.expect(200);
    revert(&app, 2, "").await.expect(200);
    app.get(&route).await.expect(200);
}

#[tokio::test]
async fn a_revert_asks_for_a_change_that_exists_and_can_be_conditional() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    revert(&app, 0, "").await.expect(404);
    revert(&app, 9, "").await.expect(404);
    let path = format!("{GROUP}/versions/1/revert");
    app.post(&path, &json!({"to": 1})).await.expect(400);
    for query in ["", "?dry_run"] {
        let stale = app
            .request(Method::POST, &format!("{path}{query}"))
            .header("if-match", "\"7\"");
        stale.send().await.expect(412);
    }
    let repeated = || app.request(Method::POST, &path).header("idempotency-key", "once");
    let first = repeated().send().await.expect(200).body;
    assert_eq!(first["changes"].as_array().unwrap().len(), 4);
    assert_eq!(repeated().send().await.expect(200).body, first);
    let latest = app.get(&format!("{GROUP}/versions/latest")).await.body;
    assert_eq!(latest["version"], 2);
}

#[tokio::test]
async fn a_rollback_can_be_tried() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    app.patch(SERVICE, &json!({"port": 81})).await.expect(200);
    let back = json!({"to": 1});
    let tried = app
        .post(&format!("{GROUP}/rollback?dry_run"), &back)
        .await
        .expect(200)
        .body;
    assert_eq!((&tried["version"], &tried["dry_run"]), (&json!(2), &json!(true)));
    let done = app
        .post(&format!("{GROUP}/rollback"), &back)
        .await
        .expect(200)
        .body;
    assert_eq!(done["changes"], tried["changes"]);
}

#[tokio::test]
async fn the_closing_of_a_deleted_group_is_no_change_to_revert() {
    let app = App::start().await;
    let made = app
        .post("/v2/runtime-groups", &json!({"name": "g"}))
        .await
        .expect(201);
    let group = format!("/v2/runtime-groups/{}", made.body["id"].as_str().unwrap());
    app.delete(&group).await.expect(204);
    app.post(&format!("{group}/restore"), &json!({}))
        .await
        .expect(200);
    let refused = app
        .post(&format!("{group}/versions/1/revert"), &json!({}))
        .await
        .expect(409);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("group.sealed"), "{detail}");
}
