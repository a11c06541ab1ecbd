//! Who may do what: every endpoint of the table is asked by everybody.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Call, Heard};

/// Anybody may ask for it, and it is refused to all.
const PASSWORD_LOGIN: &str = "/kauth/api/v1/authenticate";

/// Every endpoint: method, path with its parameters filled in, permission.
fn endpoints() -> Vec<(Method, String, String)> {
    let document = api::http::openapi_document();
    let mut endpoints = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let filled: Vec<_> = path.split('/').map(filled).collect();
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let permission = operation["description"].as_str().unwrap().to_owned();
            endpoints.push((method, filled.join("/"), permission));
        }
    }
    assert!(endpoints.len() > 300, "{}", endpoints.len());
    endpoints
}

fn filled(segment: &str) -> &str {
    match segment {
        "{group}" => "default",
        "{version}" => "0",
        segment if segment.starts_with('{') => "11111111-1111-4111-8111-111111111111",
        segment => segment,
    }
}

fn writes(permission: &str) -> bool {
    permission.contains("an admin token of")
}

fn of_the_organization(permission: &str) -> bool {
    permission.ends_with("token of the organization.")
}

fn call(app: &App, method: &Method, path: &str) -> Call {
    let call = app.request(method.clone(), path);
    match *method {
        Method::GET | Method::DELETE => call,
        _ => call.json(&json!({})),
    }
}

#[tokio::test]
async fn without_a_token_only_health_is_answered() {
    let app = App::start().await;
    for (method, path, permission) in endpoints() {
        let heard = call(&app, &method, &path).without("authorization").send().await;
        if permission.contains("no token needed") && path != PASSWORD_LOGIN {
            assert_eq!(heard.status, 200, "{method} {path}");
        } else {
            let heard = heard.expect(401);
            assert_eq!(heard.header("www-authenticate"), "Bearer");
            assert!(says_something(&heard), "{method} {path}: {}", heard.text);
        }
    }
}

#[tokio::test]
async fn an_instance_token_does_nothing_here() {
    let app = App::start().await;
    let instance = app.token("instance", Some("default")).await;
    for (method, path, permission) in endpoints() {
        let heard = call(&app, &method, &path).with_token(&instance).send().await;
        if !permission.contains("no token needed") {
            assert!(says_something(&heard.expect(403)), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing_and_may_read_everything() {
    let app = App::start().await;
    let viewer = app.token("viewer", None).await;
    // A stream of events never ends by itself.
    let all = endpoints()
        .into_iter()
        .filter(|(_, path, _)| !path.ends_with("/events") && path != PASSWORD_LOGIN);
    for (method, path, permission) in all {
        let heard = call(&app, &method, &path).with_token(&viewer).send().await;
        if writes(&permission) {
            heard.expect(403);
        } else {
            assert!(
                heard.status != 401 && heard.status != 403,
                "{method} {path}: {}",
                heard.text
            );
        }
    }
}

#[tokio::test]
async fn a_token_of_one_group_sees_that_group_only() {
    let app = App::start().await;
    app.post("/v2/runtime-groups", &json!({"name": "other"}))
        .await
        .expect(201);
    let admin = app.token("admin", Some("other")).await;
    for (method, path, permission) in endpoints() {
        let about_default = path.contains("/default") && !path.ends_with("/restore");
        if about_default || of_the_organization(&permission) {
            call(&app, &method, &path)
                .with_token(&admin)
                .send()
                .await
                .expect(403);
        }
    }
    let listed = app
        .request(Method::GET, "/v2/runtime-groups")
        .with_token(&admin)
        .send()
        .await;
    let listed = listed.expect(200);
    assert_eq!(listed.body["meta"]["page"]["total"], 1);
    assert_eq!(listed.body["data"][0]["name"], "other");
    let services = "/v2/runtime-groups/other/core-entities/services";
    let made = app
        .request(Method::POST, services)
        .with_token(&admin)
        .json(&json!({"host": "h"}));
    made.send().await.expect(201);
    let unknown = app
        .request(Method::GET, "/v2/runtime-groups/nope")
        .with_token(&admin);
    unknown.send().await.expect(403);
}

#[tokio::test]
async fn another_organizations_ids_are_not_found() {
    let app = App::start().await;
    let group = app
        .post("/v2/runtime-groups", &json!({"name": "ours"}))
        .await
        .expect(201);
    let id = group.body["id"].as_str().unwrap().to_owned();
    let tokens = app.get("/v2/tokens").await.expect(200);
    let token = tokens.body["data"][0]["id"].as_str().unwrap().to_owned();
    let stranger = app.another_organization().await;
    let services = format!("/v2/runtime-groups/{id}/core-entities/services");
    app.request(Method::GET, &services)
        .with_token(&stranger)
        .send()
        .await
        .expect(404);
    let post = app.request(Method::POST, &services).json(&json!({"host": "h"}));
    post.with_token(&stranger).send().await.expect(404);
    for path in [format!("/v2/runtime-groups/{id}"), format!("/v2/tokens/{token}")] {
        app.request(Method::GET, &path)
            .with_token(&stranger)
            .send()
            .await
            .expect(404);
        app.request(Method::DELETE, &path)
            .with_token(&stranger)
            .send()
            .await
            .expect(404);
    }
    let restore = app
        .request(Method::POST, &format!("/v2/runtime-groups/{id}/restore"))
        .json(&json!({}));
    restore.with_token(&stranger).send().await.expect(404);
    let listed = app
        .request(Method::GET, "/v2/runtime-groups")
        .with_token(&stranger)
        .send()
        .await;
    assert_eq!(listed.expect(200).body["meta"]["page"]["total"], 1);
}

fn says_something(heard: &Heard) -> bool {
    let said = |name: &str| heard.body[name].as_str().is_some_and(|text| !text.is_empty());
    heard.body != Value::Null && (said("detail") || said("message"))
}
