//! A consumer is erased: from the configuration, from the history, from what a rollback may bring back.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const GROUP: &str = "/v2/runtime-groups/default";
const CONSUMERS: &str = "/v2/runtime-groups/default/core-entities/consumers";

const FILE: &str = "
_format_version: \"3.0\"
consumers:
- username: ada-lovelace
  custom_id: id-of-ada
  keyauth_credentials:
  - key: the-key-of-ada
  acls:
  - group: mathematicians
- username: bob
";

/// A group at version 1 with ada, who has a credential and a membership, and bob; answers ada's id.
async fn with_ada(app: &App) -> String {
    let apply = app.request(Method::POST, &format!("{GROUP}/apply"));
    apply
        .bytes("application/yaml", FILE.to_owned())
        .send()
        .await
        .expect(200);
    let ada = app.get(&format!("{CONSUMERS}/ada-lovelace")).await.expect(200);
    ada.body["id"].as_str().unwrap().to_owned()
}

async fn erase(app: &App, consumer: &str) -> Heard {
    app.post(&format!("{CONSUMERS}/{consumer}/erase"), &json!({}))
        .await
}

fn says_nothing_of_ada(heard: &Heard) {
    for value in ["ada-lovelace", "id-of-ada", "the-key-of-ada"] {
        assert!(!heard.text.contains(value), "{value}: {}", heard.text);
    }
}

#[tokio::test]
async fn an_erased_consumer_is_in_no_answer_any_more_and_the_history_says_so() {
    let app = App::start().await;
    let ada = with_ada(&app).await;
    let past = [
        format!("{GROUP}/versions"),
        format!("{GROUP}/versions/1"),
        format!("{GROUP}/versions/1/config"),
        format!("{GROUP}/versions/2"),
        format!("{GROUP}/diff?from=0&to=1"),
        format!("{CONSUMERS}/{ada}?at=1"),
        format!("{CONSUMERS}/{ada}/key-auth?at=1"),
    ];
    let call = app.request(Method::POST, &format!("{CONSUMERS}/ada-lovelace/erase"));
    let call = call.header("x-change-message", "she asked for it");
    let erased = call.send().await.expect(200);
    assert_eq!(erased.body["version"], 2);
    assert_eq!(
        (&erased.body["changed"], &erased.body["consumer"]),
        (&json!(true), &json!(ada))
    );
    assert_eq!(erased.body["deleted"].as_array().unwrap().len(), 3);
    says_nothing_of_ada(&erased);
    for path in past {
        let heard = app.get(&path).await.expect(200);
        says_nothing_of_ada(&heard);
        assert!(heard.text.contains("{erased}"), "{path}: {}", heard.text);
    }
    let change = app.get(&format!("{GROUP}/versions/2")).await.expect(200).body;
    assert_eq!(change["message"], "she asked for it");
    let last = change["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["what"], &last["id"]),
        (&json!("consumer.erased"), &json!(ada))
    );
    app.get(&format!("{CONSUMERS}/{ada}")).await.expect(404);
    assert_eq!(erase(&app, &ada).await.expect(200).body["changed"], false);
}

#[tokio::test]
async fn a_consumer_that_was_deleted_before_is_erased_by_its_id() {
    let app = App::start().await;
    let ada = with_ada(&app).await;
    app.delete(&format!("{CONSUMERS}/{ada}")).await.expect(204);
    erase(&app, "ada-lovelace").await.expect(404);
    let erased = erase(&app, &ada).await.expect(200);
    assert_eq!(erased.body["deleted"], json!([]));
    says_nothing_of_ada(&app.get(&format!("{GROUP}/versions/1")).await.expect(200));
    erase(&app, "11111111-1111-4111-8111-111111111111")
        .await
        .expect(404);
}

#[tokio::test]
async fn nothing_brings_an_erased_consumer_back() {
    let app = App::start().await;
    let ada = with_ada(&app).await;
    erase(&app, &ada).await.expect(200);
    let body = json!({ "username": "ada-again" });
    let refused = app.put(&format!("{CONSUMERS}/{ada}"), &body).await.expect(409);
    assert!(refused.text.contains("erased by version 2"), "{}", refused.text);
    let rolled_back = app.post(&format!("{GROUP}/rollback"), &json!({ "to": 1 })).await;
    let rolled_back = rolled_back.expect(200);
    assert_eq!(rolled_back.body["changed"], false);
    let mut left_out: Vec<_> = rolled_back.body["left_out"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| entity["kind"].clone())
        .collect();
    left_out.sort_by_key(Value::to_string);
    assert_eq!(left_out, ["acls", "consumers", "keyauth_credentials"]);
    app.get(&format!("{CONSUMERS}/bob")).await.expect(200);
}

#[tokio::test]
async fn an_erasure_is_not_taken_back() {
    let app = App::start().await;
    let ada = with_ada(&app).await;
    erase(&app, &ada).await.expect(200);
    let refused = app.post(&format!("{GROUP}/versions/2/revert"), &json!({})).await;
    assert!(refused.expect(409).text.contains("stays erased"));
}

#[tokio::test]
async fn a_deleted_group_is_listed_with_the_day_of_its_purge_and_purged_for_ever() {
    let app = App::start().await;
    let new = json!({ "name": "payments", "description": "of ada-lovelace" });
    let group = app.post("/v2/runtime-groups", &new).await.expect(201);
    let id = group.body["id"].as_str().unwrap().to_owned();
    let purge = format!("/v2/runtime-groups/{id}/purge");
    app.post(&purge, &json!({})).await.expect(409);
    let apply = app.request(Method::POST, &format!("/v2/runtime-groups/{id}/apply"));
    let apply = apply.bytes("application/yaml", FILE.to_owned());
    apply.send().await.expect(200);
    app.delete(&format!("/v2/runtime-groups/{id}")).await.expect(204);

    let deleted = app
        .get("/v2/runtime-groups?filter[deleted]=true")
        .await
        .expect(200);
    let listed = &deleted.body["data"][0];
    assert_eq!(listed["id"], json!(id));
    let day = |name: &str| listed[name].as_str().unwrap()[..10].to_owned();
    assert!(day("purge_at") > day("deleted_at"), "{listed}");
    assert_eq!(listed["purged_at"], Value::Null);
    let history = format!("/v2/runtime-groups/{id}/versions/1");
    assert!(app.get(&history).await.expect(200).text.contains("ada-lovelace"));

    let stale = app.request(Method::POST, &purge).header("if-match", "\"1\"");
    stale.send().await.expect(412);
    let purged = app.post(&purge, &json!({})).await.expect(200);
    assert_eq!(
        (&purged.body["name"], &purged.body["description"]),
        (&json!("payments"), &Value::Null)
    );
    assert!(purged.body["purged_at"].is_string() && purged.body["purge_at"].is_null());
    let past = app.get(&history).await.expect(200);
    says_nothing_of_ada(&past);
    assert!(past.text.contains("{erased}"), "{}", past.text);
    let restore = format!("/v2/runtime-groups/{id}/restore");
    let gone = app.post(&restore, &json!({})).await.expect(410);
    assert!(gone.text.contains("was purged at"), "{}", gone.text);
    app.post(&purge, &json!({})).await.expect(200);
    let unknown = "/v2/runtime-groups/11111111-1111-4111-8111-111111111111/purge";
    app.post(unknown, &json!({})).await.expect(404);
}

#[tokio::test]
async fn a_repeated_rollback_is_told_what_the_first_one_left_out() {
    let app = App::start().await;
    with_ada(&app).await;
    erase(&app, "ada-lovelace").await.expect(200);
    app.delete(&format!("{CONSUMERS}/bob")).await.expect(204);
    let back = json!({ "to": 1 });
    let call = || app.request(Method::POST, &format!("{GROUP}/rollback"));
    let roll_back = || call().json(&back).header("idempotency-key", "once").send();
    let first = roll_back().await.expect(200);
    let left_out = first.body["left_out"].as_array().unwrap();
    assert_eq!(left_out.len(), 3, "{}", first.text);
    let repeated = roll_back().await.expect(200);
    assert_eq!(repeated.body["left_out"], first.body["left_out"]);
    assert_eq!(repeated.body["version"], first.body["version"]);
}

#[tokio::test]
async fn a_past_version_says_that_its_digest_is_of_what_is_left() {
    let app = App::start().await;
    with_ada(&app).await;
    let version = async |version: u64| app.get(&format!("{GROUP}/versions/{version}")).await;
    let before = version(1).await.expect(200).body;
    assert_eq!(before["erased"], false);
    erase(&app, "ada-lovelace").await.expect(200);
    let after = version(1).await.expect(200).body;
    assert_eq!(after["erased"], true);
    assert_ne!(after["digest"], before["digest"]);
    let config = app.get(&format!("{GROUP}/versions/1/config?format=json")).await;
    let config = config.expect(200).body;
    assert_eq!(
        (&config["erased"], &config["digest"]),
        (&json!(true), &after["digest"])
    );
    assert_eq!(version(2).await.expect(200).body["erased"], false);
}
