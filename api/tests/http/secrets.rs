//! Who may not read secrets learns nothing of them: not by looking somebody up, not by comparing with guesses, not from a digest.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const GROUP: &str = "/v2/runtime-groups/default";
const CREDENTIAL: &str = "0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";

/// A group with a consumer, its API key, and plugins and an upstream with secrets in places where people put them.
async fn furnished() -> (App, String) {
    let app = App::start().await;
    let entities = format!("{GROUP}/core-entities");
    for (path, body) in [
        ("services/orders", json!({"host": "orders.test"})),
        ("consumers/ada", json!({})),
        (
            &format!("consumers/ada/key-auth/{CREDENTIAL}"),
            json!({"key": "1234"}),
        ),
        ("consumers/ada/basic-auth/b", json!({"password": "1234"})),
        ("consumers/ada/jwt/issuer", json!({"secret": "1234"})),
        (
            "plugins/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a52",
            json!({"name": "request-transformer", "config": {"add": {"headers": ["x-pin:1234"]}}}),
        ),
        (
            "plugins/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a53",
            json!({"name": "zipkin", "config": {"http_endpoint": "http://user:1234@tracing.test"}}),
        ),
        (
            "upstreams/orders",
            json!({"healthchecks": {"active": {"headers": {"Authorization": ["Bearer 1234"]}}}}),
        ),
    ] {
        app.put(&format!("{entities}/{path}"), &body).await.expect(200);
    }
    let viewer = app.token("viewer", None).await;
    (app, viewer)
}

async fn seen(app: &App, viewer: &str, path: &str) -> Heard {
    app.request(Method::GET, path).with_token(viewer).send().await
}

async fn against_file(app: &App, viewer: &str, file: String) -> Heard {
    let call = app
        .request(Method::POST, &format!("{GROUP}/diff"))
        .with_token(viewer);
    call.bytes("application/yaml", file).send().await
}

/// What the admin dumps, with every secret of the group replaced.
async fn file_with(app: &App, secret: &str) -> String {
    let dumped = app.get(&format!("{GROUP}/dump")).await.expect(200);
    assert!(dumped.text.contains("1234"), "{}", dumped.text);
    dumped.text.replace("1234", secret)
}

#[tokio::test]
async fn nobody_is_looked_up_by_a_secret_without_the_permission_to_read_it() {
    let (app, viewer) = furnished().await;
    let places = [
        format!("{GROUP}/core-entities/key-auths/KEY/consumer"),
        format!("{GROUP}/core-entities/key-auths/KEY"),
        format!("{GROUP}/core-entities/key-auths/KEY/history"),
        format!("{GROUP}/core-entities/consumers/ada/key-auth/KEY"),
        format!("{GROUP}/versions?entity=key-auths/KEY"),
        format!("{GROUP}/history/events?entity=key-auths/KEY"),
        "/groups/default/admin/key-auths/KEY/consumer".to_owned(),
        "/groups/default/admin/key-auths/KEY".to_owned(),
        "/groups/default/admin/consumers/ada/key-auth/KEY".to_owned(),
        "/konnect-api/api/runtime_groups/default/key-auths/KEY".to_owned(),
    ];
    for place in places {
        let (right, wrong) = (place.replace("KEY", "1234"), place.replace("KEY", "1235"));
        let (right, wrong) = (
            seen(&app, &viewer, &right).await,
            seen(&app, &viewer, &wrong).await,
        );
        let told = |heard: &Heard| {
            let mut body = heard.body.clone();
            if let Some(body) = body.as_object_mut() {
                body.remove("instance");
            }
            (heard.status, body, heard.text.len())
        };
        assert_eq!(told(&right), told(&wrong), "{place}");
        assert!(
            right.status.as_u16() == 403 || right.status.as_u16() == 404,
            "{place}: {}",
            right.text
        );
    }
    let by_id = format!("{GROUP}/core-entities/key-auths/{CREDENTIAL}/consumer");
    let found = seen(&app, &viewer, &by_id).await.expect(200);
    assert_eq!(found.body["username"], "ada");
    let admin = app.get("/groups/default/admin/key-auths/1234/consumer").await;
    assert_eq!(admin.expect(200).body["username"], "ada");
}

#[tokio::test]
async fn a_file_of_right_guesses_compares_like_one_of_wrong_guesses() {
    let (app, viewer) = furnished().await;
    let right = against_file(&app, &viewer, file_with(&app, "1234").await)
        .await
        .expect(200);
    let wrong = against_file(&app, &viewer, file_with(&app, "9876").await)
        .await
        .expect(200);
    assert_eq!(right.body, wrong.body);
    assert_eq!(right.body["changes"], json!([]), "{}", right.text);
    assert_eq!(right.body["secrets_compared"], false);
    for heard in [&right, &wrong] {
        assert!(
            !heard.text.contains("1234") && !heard.text.contains("9876"),
            "{}",
            heard.text
        );
    }
    // What isn't a secret is still compared.
    let other = file_with(&app, "9876")
        .await
        .replace("orders.test", "elsewhere.test");
    let other = against_file(&app, &viewer, other).await.expect(200);
    assert_eq!(
        other.body["changes"].as_array().map(Vec::len),
        Some(1),
        "{}",
        other.text
    );
    // Those who may read secrets are told which would change.
    let call = app.request(Method::POST, &format!("{GROUP}/diff"));
    let told = call
        .bytes("application/yaml", file_with(&app, "9876").await)
        .send()
        .await;
    assert!(told.expect(200).body["changes"].as_array().unwrap().len() >= 5);
}

#[tokio::test]
async fn a_guess_without_an_id_is_not_matched_with_a_key() {
    let (app, viewer) = furnished().await;
    let file = |key: &str| {
        format!(
            "_format_version: '3.0'\nconsumers:\n- username: ada\n  keyauth_credentials:\n  - key: '{key}'\n"
        )
    };
    let right = against_file(&app, &viewer, file("1234")).await.expect(200);
    let wrong = against_file(&app, &viewer, file("9876")).await.expect(200);
    let without_ids = |heard: &Heard| {
        let changes = heard.body["changes"].as_array().unwrap();
        let one = |change: &Value| {
            (
                change["what"].clone(),
                change["kind"].clone(),
                change["before"].clone(),
            )
        };
        changes.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(without_ids(&right), without_ids(&wrong));
}

#[tokio::test]
async fn another_group_filled_with_guesses_compares_like_one_without() {
    let (app, viewer) = furnished().await;
    let mut answers = Vec::new();
    for (name, secret) in [("right", "1234"), ("wrong", "9876")] {
        app.post("/v2/runtime-groups", &json!({ "name": name }))
            .await
            .expect(201);
        let apply = app.request(Method::POST, &format!("/v2/runtime-groups/{name}/apply"));
        let file = file_with(&app, secret).await;
        apply.bytes("application/yaml", file).send().await.expect(200);
        let compared = seen(&app, &viewer, &format!("{GROUP}/diff?with={name}"))
            .await
            .expect(200);
        assert_eq!(compared.body["secrets_compared"], false);
        answers.push(compared.body["changes"].clone());
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], json!([]));
    let told = app.get(&format!("{GROUP}/diff?with=wrong")).await.expect(200);
    assert!(
        told.body["changes"].as_array().unwrap().len() >= 4,
        "{}",
        told.text
    );
}

#[tokio::test]
async fn digests_are_for_those_who_may_read_secrets() {
    let (app, viewer) = furnished().await;
    let newest = app.get(&format!("{GROUP}/versions/latest")).await.expect(200);
    let digest = newest.body["digest"].as_str().unwrap().to_owned();
    for place in [
        "versions/latest",
        "versions/latest/config?format=json",
        "dump?format=json",
    ] {
        let heard = seen(&app, &viewer, &format!("{GROUP}/{place}")).await.expect(200);
        assert!(!heard.text.contains(&digest), "{place}");
        assert_eq!(
            heard.body.get("digest"),
            Some(&Value::Null),
            "{place}: {}",
            heard.text
        );
    }
}

#[tokio::test]
async fn what_a_viewer_is_shown_has_no_secret_in_it() {
    let (app, viewer) = furnished().await;
    for place in [
        "core-entities/plugins",
        "core-entities/upstreams",
        "core-entities/key-auths",
        "core-entities/jwts",
        "dump",
        "dump?format=kong",
        "dump?format=json",
        "diff?from=0",
        "versions/1",
        "versions/3",
        "versions/6",
        "versions/7",
        "versions/8",
        "history/export",
        "core-entities/upstreams/orders/history",
    ] {
        let heard = seen(&app, &viewer, &format!("{GROUP}/{place}")).await.expect(200);
        assert!(!heard.text.contains("1234"), "{place}: {}", heard.text);
    }
    let upstream = seen(&app, &viewer, &format!("{GROUP}/core-entities/upstreams/orders")).await;
    let headers = json!({"Authorization": ["{redacted}"]});
    assert_eq!(
        upstream.expect(200).body["healthchecks"]["active"]["headers"],
        headers
    );
}

#[tokio::test]
async fn the_placeholder_of_a_secret_does_not_become_one() {
    let (app, viewer) = furnished().await;
    let dumped = seen(&app, &viewer, &format!("{GROUP}/dump")).await.expect(200);
    assert!(dumped.text.contains("{redacted}"), "{}", dumped.text);
    let apply = app.request(Method::POST, &format!("{GROUP}/apply"));
    let refused = apply
        .bytes("application/yaml", dumped.text)
        .send()
        .await
        .expect(400);
    assert!(
        refused.text.contains("give the secret itself"),
        "{}",
        refused.text
    );
    for (path, body) in [
        (
            format!("key-auths/{CREDENTIAL}"),
            json!({"key": "{redacted}", "consumer": {"username": "ada"}}),
        ),
        (
            "consumers/ada/basic-auth/b".to_owned(),
            json!({"password": "{redacted}"}),
        ),
        (
            "plugins/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a52".to_owned(),
            json!({"name": "request-transformer", "config": {"add": {"headers": ["{redacted}"]}}}),
        ),
    ] {
        let refused = app
            .put(&format!("{GROUP}/core-entities/{path}"), &body)
            .await
            .expect(400);
        assert!(
            refused.text.contains("give the secret itself"),
            "{}",
            refused.text
        );
    }
    // Those who may read secrets get a file that changes nothing.
    let dumped = app.get(&format!("{GROUP}/dump")).await.expect(200);
    let apply = app.request(Method::POST, &format!("{GROUP}/apply?prune=true"));
    let applied = apply
        .bytes("application/yaml", dumped.text)
        .send()
        .await
        .expect(200);
    assert_eq!(applied.body["changed"], false, "{}", applied.text);
}

#[tokio::test]
async fn what_needed_a_token_is_kept_by_no_cache() {
    let (app, viewer) = furnished().await;
    let credential = format!("{GROUP}/core-entities/key-auths/{CREDENTIAL}");
    for path in [
        credential.as_str(),
        "/v2/tokens",
        "/groups/default/admin/certificates",
    ] {
        let answer = app.get(path).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
    let issued = json!({"name": "short", "role": "viewer"});
    let issued = app.post("/v2/tokens", &issued).await.expect(201);
    assert_eq!(issued.header("cache-control"), "no-store");
    let refused = seen(&app, &viewer, &format!("{GROUP}/core-entities/key-auths/1234")).await;
    assert_eq!(refused.expect(403).header("cache-control"), "no-store");
    assert_eq!(app.get("/healthz").await.expect(200).header("cache-control"), "");
}
