//! Conditional requests, idempotency keys, and versions in both directions.

use axum::http::Method;
use serde_json::json;

use crate::app::App;

const SERVICES: &str = "/v2/runtime-groups/default/core-entities/services";

#[tokio::test]
async fn if_match_protects_what_somebody_else_has_changed() {
    let app = App::start().await;
    app.post(SERVICES, &json!({"name": "s", "host": "h"}))
        .await
        .expect(201);
    let one = format!("{SERVICES}/s");
    let patch = |tag: &str| {
        app.request(Method::PATCH, &one)
            .header("if-match", tag)
            .json(&json!({"port": 1}))
    };
    patch("\"7\"").send().await.expect(412);
    patch("\"1\"").send().await.expect(200);
    patch("\"1\"").send().await.expect(412);
    patch("*").send().await.expect(200);
    let create = |path: &str| {
        let call = app.request(Method::PUT, path).header("if-none-match", "*");
        call.json(&json!({"name": "t", "host": "h"}))
    };
    create(&one).send().await.expect(412);
    create(&format!("{SERVICES}/t")).send().await.expect(200);
}

#[tokio::test]
async fn a_reader_who_has_the_newest_is_told_so() {
    let app = App::start().await;
    let created = app
        .post(SERVICES, &json!({"name": "s", "host": "h"}))
        .await
        .expect(201);
    let one = format!("{SERVICES}/s");
    for path in [one.as_str(), SERVICES, "/v2/runtime-groups/default/dump"] {
        let call = app
            .request(Method::GET, path)
            .header("if-none-match", created.header("etag"));
        call.send().await.expect(304);
        let call = app.request(Method::GET, path).header("if-none-match", "\"99\"");
        call.send().await.expect(200);
    }
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_and_done_once() {
    let app = App::start().await;
    let body = json!({"name": "s", "host": "h"});
    let post = |body| {
        app.request(Method::POST, SERVICES)
            .header("idempotency-key", "k")
            .json(&body)
    };
    let first = post(body.clone()).send().await.expect(201);
    app.patch(&format!("{SERVICES}/s"), &json!({"port": 1}))
        .await
        .expect(200);
    let again = post(body).send().await.expect(201);
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("etag"), first.header("etag"));
    let other = post(json!({"name": "t", "host": "h"})).send().await.expect(422);
    assert!(other.text.contains("another request"), "{}", other.text);
    assert_eq!(app.get(SERVICES).await.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_reason_the_request_and_the_actor_are_in_the_history() {
    let app = App::start().await;
    let request = "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";
    let call = app
        .request(Method::POST, SERVICES)
        .json(&json!({"name": "s", "host": "h"}));
    let call = call
        .header("x-change-message", "ticket 7")
        .header("x-request-id", request);
    let created = call.send().await.expect(201);
    assert_eq!(created.header("x-request-id"), request);
    let history = app.get("/v2/runtime-groups/default/versions").await.expect(200);
    let change = &history.body["data"][0];
    assert_eq!(change["message"], "ticket 7");
    assert_eq!(change["request_id"], request);
    assert_eq!(change["actor"]["name"], "first-admin");
    assert_eq!(change["events"][0]["what"], "entity.created");
    assert_eq!(history.body["meta"]["page"]["total"], 1);
}

#[tokio::test]
async fn a_version_that_does_not_exist_cannot_be_asked_for() {
    let app = App::start().await;
    app.post(SERVICES, &json!({"name": "s", "host": "h"}))
        .await
        .expect(201);
    let read = |version| {
        app.request(Method::GET, SERVICES)
            .header("x-group-version", version)
    };
    read("1").send().await.expect(200);
    read("2").send().await.expect(412);
    read("x").send().await.expect(400);
}
