//! What differs: between versions, times, groups and files; secrets are named and never shown.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const GROUP: &str = "/v2/runtime-groups/default";

async fn put(app: &App, group: &str, path: &str, body: Value) -> Heard {
    let path = format!("/v2/runtime-groups/{group}/core-entities/{path}");
    app.put(&path, &body).await
}

async fn compared(app: &App, query: &str) -> Heard {
    app.get(&format!("{GROUP}/diff?{query}")).await
}

/// `created services orders` and the like.
fn said(heard: &Heard) -> Vec<String> {
    let changes = heard.body["changes"].as_array().expect("changes");
    let one = |change: &Value| {
        let text = |field: &str| change[field].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("what"), text("kind"), text("name"))
    };
    changes.iter().map(one).collect()
}

#[tokio::test]
async fn every_field_that_changed_is_named_with_what_it_was_and_is() {
    let app = App::start().await;
    put(&app, "default", "services/orders", json!({"host": "a.test"}))
        .await
        .expect(200);
    let body = json!({"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}});
    let plugin = "plugins/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";
    put(&app, "default", plugin, body).await.expect(200);
    let body = json!({"name": "rate-limiting", "config": {"minute": 9, "policy": "local"}});
    put(&app, "default", plugin, body).await.expect(200);
    let difference = compared(&app, "from=2&to=3").await.expect(200);
    assert_eq!(said(&difference), ["updated plugins -"]);
    let fields = &difference.body["changes"][0]["fields"];
    let minute = json!({"path": "config.minute", "before": 5, "after": 9});
    assert!(fields.as_array().unwrap().contains(&minute), "{fields}");
    let back = compared(&app, "from=3&to=2").await.expect(200);
    let minute = json!({"path": "config.minute", "before": 9, "after": 5});
    let fields = &back.body["changes"][0]["fields"];
    assert!(fields.as_array().unwrap().contains(&minute), "{fields}");
    let all = compared(&app, "from=0").await.expect(200);
    assert_eq!(said(&all), ["created services orders", "created plugins -"]);
    assert_eq!(said(&compared(&app, "from=3&to=3").await.expect(200)), [""; 0]);
    compared(&app, "to=3").await.expect(400);
    compared(&app, "from=4").await.expect(404);
    compared(&app, "from=yesterday").await.expect(400);
}

#[tokio::test]
async fn a_time_means_the_last_change_before_it() {
    let app = App::start().await;
    put(&app, "default", "services/orders", json!({"host": "a.test"}))
        .await
        .expect(200);
    let at = app.get(&format!("{GROUP}/versions/1")).await.body["at"].clone();
    let at = at.as_str().unwrap();
    let since = compared(&app, &format!("from=2001-01-01T00:00:00Z&to={at}")).await;
    assert_eq!(said(&since.expect(200)), ["created services orders"]);
}

#[tokio::test]
async fn a_secret_that_changed_is_named_and_shown_to_nobody() {
    let app = App::start().await;
    put(&app, "default", "consumers/ada", json!({})).await.expect(200);
    let path = "consumers/ada/key-auth/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";
    for key in ["the-first-key", "the-second-key"] {
        put(&app, "default", path, json!({ "key": key }))
            .await
            .expect(200);
    }
    for query in ["from=2&to=3", "from=0&to=3", "from=3&to=0"] {
        let difference = compared(&app, query).await.expect(200);
        assert!(!difference.text.contains("-key\""), "{}", difference.text);
        assert!(difference.text.contains("{redacted}"), "{}", difference.text);
    }
    let difference = compared(&app, "from=2&to=3").await.expect(200);
    let change = &difference.body["changes"][0];
    assert!(change["changed"].as_array().unwrap().contains(&json!("key")));
    let blotted = json!({"path": "key", "before": "{redacted}", "after": "{redacted}"});
    assert!(change["fields"].as_array().unwrap().contains(&blotted));
    let file = "_format_version: '3.0'\nconsumers:\n- username: ada\n  keyauth_credentials:\n  - key: the-third-key\n";
    let against = against_file(&app, "", file).await.expect(200);
    assert!(!against.text.contains("-key\""), "{}", against.text);
}

async fn against_file(app: &App, query: &str, file: &'static str) -> Heard {
    let call = app.request(Method::POST, &format!("{GROUP}/diff{query}"));
    call.bytes("application/yaml", file).send().await
}

#[tokio::test]
async fn a_file_is_compared_with_any_version_and_changes_nothing() {
    let app = App::start().await;
    put(&app, "default", "services/orders", json!({"host": "a.test"}))
        .await
        .expect(200);
    put(&app, "default", "services/billing", json!({"host": "b.test"}))
        .await
        .expect(200);
    let file =
        "_format_version: '3.0'\nservices:\n- name: orders\n  host: c.test\n- name: new\n  host: n.test\n";
    let mut now = said(&against_file(&app, "", file).await.expect(200));
    now.sort();
    let expected = [
        "created services new",
        "deleted services billing",
        "updated services orders",
    ];
    assert_eq!(now, expected);
    let mut then = said(&against_file(&app, "?from=1", file).await.expect(200));
    then.sort();
    assert_eq!(then, ["created services new", "updated services orders"]);
    let empty = against_file(&app, "?from=0", file).await.expect(200);
    assert_eq!(
        (empty.body["from"].clone(), empty.body["to"].clone()),
        (json!(0), json!(null))
    );
    assert_eq!(said(&empty).len(), 2);
    against_file(&app, "?from=9", file).await.expect(404);
    let refused = against_file(&app, "", "_format_version: '3.0'\nservices:\n- name: orders\n");
    refused.await.expect(400);
    against_file(&app, "", "services: [").await.expect(400);
    assert_eq!(
        app.get(&format!("{GROUP}/versions")).await.body["meta"]["page"]["total"],
        2
    );
}

#[tokio::test]
async fn two_groups_are_compared_by_names_and_not_by_ids() {
    let app = App::start().await;
    app.post("/v2/runtime-groups", &json!({"name": "other"}))
        .await
        .expect(201);
    for (group, port) in [("default", 80), ("other", 81)] {
        put(
            &app,
            group,
            "services/orders",
            json!({"host": "a.test", "port": port}),
        )
        .await
        .expect(200);
        put(&app, group, "services/orders/routes/all", json!({"paths": ["/"]}))
            .await
            .expect(200);
    }
    put(&app, "other", "services/new", json!({"host": "n.test"}))
        .await
        .expect(200);
    let difference = compared(&app, "with=other").await.expect(200);
    let mut both = said(&difference);
    both.sort();
    assert_eq!(both, ["created services new", "updated services orders"]);
    assert_eq!(difference.body["with"]["name"], "other");
    let earlier = compared(&app, "with=other&from=2&to=2").await.expect(200);
    assert_eq!(said(&earlier), ["updated services orders"]);
    compared(&app, "with=nobody").await.expect(404);
    compared(&app, "with=other&to=9").await.expect(404);
    let node = "0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";
    compared(&app, &format!("node={node}")).await.expect(404);
    compared(&app, &format!("with=other&node={node}"))
        .await
        .expect(400);
    compared(&app, "node=me").await.expect(400);
}
