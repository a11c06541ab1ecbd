//! Bad input gets a clear 4xx and changes nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Method;
use futures::{StreamExt as _, stream};
use serde_json::json;

use crate::app::App;

const SERVICES: &str = "/v2/runtime-groups/default/core-entities/services";

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_in_kongs_words() {
    let app = App::start().await;
    let deep = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    for body in ["{", "[]", "\"x\"", "{\"host\":}", "\u{0}", deep.as_str()] {
        let call = app
            .request(Method::POST, SERVICES)
            .bytes("application/json", body.to_owned());
        let heard = call.send().await.expect(400);
        let message = heard.body["message"].as_str().unwrap();
        assert!(message.starts_with("Cannot parse JSON body"), "{message}");
    }
    let form = app.request(Method::POST, SERVICES).bytes("text/plain", "host=h");
    form.send().await.expect(415);
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1024 * 1024));
    let large = app
        .request(Method::POST, SERVICES)
        .bytes("application/json", large);
    large.send().await.expect(413);
    assert_eq!(app.get(SERVICES).await.body["data"], json!([]));
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_taken_so_that_its_sender_hears_the_refusal() {
    let app = App::start().await;
    for (method, path, token, status) in [
        (Method::POST, SERVICES, "nobody's", 401),
        (Method::PATCH, SERVICES, "", 405),
        (Method::POST, "/groups/default/admin/nowhere", "", 404),
    ] {
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let pieces = stream::iter(["{\"host\":", "\"h\"", "}"].map(Ok::<_, Infallible>));
        let pieces = pieces.inspect(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let call = app
            .request(method, path)
            .bytes("application/json", Body::from_stream(pieces));
        let call = match token {
            "" => call,
            token => call.with_token(token),
        };
        call.send().await.expect(status);
        assert_eq!(taken.load(Ordering::SeqCst), 3, "{path}");
    }
}

#[tokio::test]
async fn wrong_values_are_refused_field_by_field() {
    let app = App::start().await;
    for (body, field, message) in [
        (json!({"host": 7}), "host", "expected a string"),
        (
            json!({"host": "h", "port": 99999}),
            "port",
            "value should be between 0 and 65535",
        ),
        (json!({"host": "h", "nonsense": 1}), "nonsense", "unknown field"),
        (json!({"host": "h", "id": "x"}), "id", "expected a valid UUID"),
    ] {
        let heard = app.post(SERVICES, &body).await.expect(400);
        assert_eq!(heard.body["fields"][field], message, "{body}");
        assert_eq!(heard.body["name"], "schema violation");
    }
}

#[tokio::test]
async fn an_entity_that_is_too_large_is_refused() {
    let app = App::start().await;
    let tags: Vec<_> = (0..10_000)
        .map(|number| format!("tag-number-{number:020}"))
        .collect();
    let heard = app.post(SERVICES, &json!({"host": "h", "tags": tags})).await;
    heard.expect(413);
}

#[tokio::test]
async fn paths_and_queries_of_any_kind_get_an_answer() {
    let app = App::start().await;
    for path in [
        "/",
        "/v2",
        "/v2/runtime-groups/%FF",
        "/v2/runtime-groups/%2e%2e/core-entities/services",
        "/v2/runtime-groups/default/core-entities/services/%00",
        "/v2/runtime-groups/default/core-entities/services?offset=%FF",
        "/v2/runtime-groups/default/core-entities/services?offset=W10%3D",
        "/v2/runtime-groups/default/versions/-1",
        "/v2/runtime-groups/default/versions/99999999999999999999",
        "/v2/runtime-groups/default/nodes/x",
        "/v2/runtime-groups/default/rollout?wait=forever",
        "/v2/tokens/x",
    ] {
        let heard = app.get(path).await;
        assert!(
            heard.status.is_client_error(),
            "{path}: {} {}",
            heard.status,
            heard.text
        );
        assert!(heard.body.is_object(), "{path}: {}", heard.text);
        assert!(!heard.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn methods_that_are_not_served_are_listed_with_those_that_are() {
    let app = App::start().await;
    let heard = app
        .request(Method::PUT, "/v2/tokens")
        .json(&json!({}))
        .send()
        .await
        .expect(405);
    assert_eq!(heard.header("allow"), "GET, HEAD, OPTIONS, POST");
    assert_eq!(heard.header("content-type"), "application/problem+json");
    let options = app.request(Method::OPTIONS, SERVICES).send().await.expect(204);
    assert_eq!(options.header("allow"), "GET, HEAD, OPTIONS, POST");
    app.request(Method::HEAD, SERVICES).send().await.expect(200);
}

#[tokio::test]
async fn health_readiness_metrics_and_the_api_document_are_served() {
    let app = App::start().await;
    app.get("/healthz").await.expect(200);
    let ready = app.get("/readyz").await.expect(200);
    assert_eq!(ready.body["checks"]["durability"]["verified"], false);
    assert_eq!(ready.body["checks"]["projections"]["ok"], true);
    let metrics = app.get("/metrics").await.expect(200);
    assert!(metrics.text.contains("http_requests_total"), "{}", metrics.text);
    let document = app.get("/openapi.json").await.expect(200);
    assert_eq!(document.body["openapi"], "3.1.0");
}
