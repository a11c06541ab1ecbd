//! Changes of many entities: a decK file, a transaction, a rollback; and what the history says of them.

use axum::http::Method;
use serde_json::{Value, json};

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

async fn restore(app: &App, entity: &str, query: &str, body: Value) -> Heard {
    app.post(&format!("{GROUP}/core-entities/{entity}/restore{query}"), &body)
        .await
}

#[tokio::test]
async fn a_deleted_entity_comes_back_by_id_or_name_with_what_belonged_to_it() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let alice = format!("{GROUP}/core-entities/consumers/alice");
    let before = app.get(&alice).await.expect(200);
    let id = before.body["id"].as_str().unwrap();
    app.delete(&alice).await.expect(204);
    let tried = restore(&app, "consumers/alice", "?dry_run", json!({}))
        .await
        .expect(200);
    assert_eq!(tried.body["changes"].as_array().unwrap().len(), 2);
    app.get(&alice).await.expect(404);
    let alone = restore(&app, "consumers/alice", "?cascade=false", json!({})).await;
    assert_eq!(alone.expect(200).body["changes"].as_array().unwrap().len(), 1);
    assert_eq!(app.get(&alice).await.expect(200).body, before.body);
    app.delete(&alice).await.expect(204);
    restore(&app, "consumers/alice", "", json!({"version": 1}))
        .await
        .expect(200);
    app.delete(&alice).await.expect(204);
    let whole = restore(&app, &format!("consumers/{id}"), "", json!({}))
        .await
        .expect(200);
    assert_eq!(
        whole.body["changes"].as_array().unwrap().len(),
        1,
        "the key didn't go again"
    );
    let told = app.get(&format!("{GROUP}/versions/latest")).await.body;
    assert_eq!(
        told["message"],
        format!("restore of consumers {id} as of version 5")
    );
}

#[tokio::test]
async fn an_entity_that_exists_becomes_what_it_was_at_a_version() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let first = app.get(SERVICE).await.expect(200).body;
    app.patch(SERVICE, &json!({"port": 81, "name": "renamed"}))
        .await
        .expect(200);
    restore(&app, "services/renamed", "", json!({})).await.expect(409);
    restore(&app, "services/renamed", "", json!({"version": 1}))
        .await
        .expect(200);
    assert_eq!(app.get(SERVICE).await.expect(200).body, first);
    restore(&app, "services/orders", "", json!({"version": 0}))
        .await
        .expect(404);
    restore(&app, "services/orders", "", json!({"version": 99}))
        .await
        .expect(404);
    restore(&app, "services/nobody", "", json!({})).await.expect(404);
    let unknown = "services/11111111-1111-4111-8111-111111111111";
    restore(&app, unknown, "", json!({})).await.expect(404);
    restore(&app, "services/orders", "?cascade=perhaps", json!({}))
        .await
        .expect(400);
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_restoration_is_named() {
    let app = App::start().await;
    apply(&app, "", FILE).await.expect(200);
    let id = app.get(SERVICE).await.body["id"].as_str().unwrap().to_owned();
    app.delete(&format!("{GROUP}/core-entities/routes/all"))
        .await
        .expect(204);
    app.delete(SERVICE).await.expect(204);
    let refused = restore(&app, "routes/all", "", json!({})).await.expect(409);
    let conflict = &refused.body["conflicts"][0];
    assert_eq!(
        (&conflict["reason"], &conflict["version"]),
        (&json!("missing_reference"), &json!(3))
    );
    app.put(SERVICE, &json!({"host": "another.example"}))
        .await
        .expect(200);
    let refused = restore(&app, &format!("services/{id}"), "", json!({}))
        .await
        .expect(409);
    let conflict = &refused.body["conflicts"][0];
    assert_eq!(
        (&conflict["reason"], &conflict["field"], &conflict["version"]),
        (&json!("taken"), &json!("name"), &json!(4))
    );
    let stale = app
        .request(Method::POST, &format!("{GROUP}/core-entities/routes/all/restore"))
        .header("if-match", "\"1\"");
    stale.send().await.expect(412);
}

#[tokio::test]
async fn a_tried_transaction_names_every_operation_that_would_be_refused() {
    let app = App::start().await;
    let path = format!("{GROUP}/transactions");
    let operations = json!([
        {"method": "POST", "path": "/services", "body": {"name": "one", "host": "h"}},
        {"method": "POST", "path": "/services", "body": {"name": "two", "host": "h", "port": "x"}},
        {"method": "GET", "path": "/services"},
        {"method": "POST", "path": "/services", "body": {"name": "one", "host": "h"}},
        {"method": "PATCH", "path": "/services/two", "body": {"port": 1}},
        {"method": "PUT", "path": "/services/three", "body": {"host": "h"}},
    ]);
    let tried = app
        .post(&path, &json!({"dry_run": true, "operations": operations}))
        .await
        .expect(200)
        .body;
    let errors = tried["errors"].as_array().unwrap();
    let said: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                error["operation"].as_u64().unwrap(),
                error["status"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [(1, 400), (2, 400), (3, 409), (4, 404)]);
    assert_eq!(errors[0]["invalid_parameters"][0]["field"], "operations[1].port");
    assert!(
        errors[2]["detail"]
            .as_str()
            .unwrap()
            .starts_with("operations[3]: UNIQUE")
    );
    assert_eq!(
        (&tried["accepted"], &tried["changed"]),
        (&json!(false), &json!(false))
    );
    let names: Vec<_> = tried["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["name"])
        .collect();
    assert_eq!(names.len(), 2);
    assert!(names.contains(&&json!("one")) && names.contains(&&json!("three")));
    app.get(&format!("{GROUP}/versions/1")).await.expect(404);
    // What a dry run refuses nothing of is what then happens.
    let fine = json!([operations[0], operations[5]]);
    let tried = app
        .post(&path, &json!({"dry_run": true, "operations": fine}))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&tried["accepted"], &tried["errors"], &tried["nodes"]),
        (&json!(true), &json!([]), &json!([]))
    );
    app.post(&path, &json!({"operations": fine})).await.expect(200);
    for dry_run in [false, true] {
        let stale = app.request(Method::POST, &path).header("if-match", "\"7\"");
        let stale = stale.json(&json!({"dry_run": dry_run, "operations": fine}));
        stale.send().await.expect(412);
    }
}
