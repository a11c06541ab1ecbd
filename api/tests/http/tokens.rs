//! Tokens: shown once, scoped, expiring, revoked at once.

use axum::http::Method;
use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_token_is_shown_once_works_and_stops_when_revoked() {
    let app = App::start().await;
    let issued = app
        .post("/v2/tokens", &json!({"name": "ci", "role": "viewer"}))
        .await
        .expect(201);
    let (id, secret) = (
        issued.body["id"].as_str().unwrap(),
        issued.body["token"].as_str().unwrap(),
    );
    let read = || app.request(Method::GET, "/v2/runtime-groups").with_token(secret);
    read().send().await.expect(200);
    let listed = app.get("/v2/tokens").await.expect(200);
    assert!(!listed.text.contains(secret));
    assert_eq!(listed.body["meta"]["page"]["total"], 2);
    app.delete(&format!("/v2/tokens/{id}")).await.expect(204);
    let refused = read().send().await.expect(401);
    assert!(refused.body["detail"].as_str().unwrap().contains("revoked"));
}

#[tokio::test]
async fn unusable_tokens_are_refused_in_words() {
    let app = App::start().await;
    let past = json!({"name": "x", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"});
    app.post("/v2/tokens", &past).await.expect(400);
    app.post("/v2/tokens", &json!({"name": "x", "role": "king"}))
        .await
        .expect(400);
    app.post("/v2/tokens", &json!({"name": "x", "role": "instance"}))
        .await
        .expect(400);
    app.post(
        "/v2/tokens",
        &json!({"name": "x", "role": "viewer", "group": "nope"}),
    )
    .await
    .expect(400);
    for token in ["", "x", "rma_x_y"] {
        app.request(Method::GET, "/v2/tokens")
            .with_token(token)
            .send()
            .await
            .expect(401);
    }
}

#[tokio::test]
async fn a_client_may_send_two_kinds_of_credentials_at_once() {
    let app = App::start().await;
    let token = app.token("viewer", None).await;
    let bearer = format!("Bearer {token}");
    let both = app
        .request(Method::GET, "/v2/organizations/me")
        .without("authorization");
    both.header("authorization", "Basic eDp5")
        .header("authorization", &bearer)
        .send()
        .await
        .expect(200);
    let kong = app
        .request(Method::GET, "/groups/default/admin/services")
        .without("authorization");
    kong.header("kong-admin-token", &token).send().await.expect(200);
}

#[tokio::test]
async fn a_restored_group_has_its_tokens_again() {
    let app = App::start().await;
    let group = app
        .post("/v2/runtime-groups", &json!({ "name": "edge" }))
        .await
        .expect(201);
    let token = app.token("viewer", Some("edge")).await;
    let id = group.body["id"].as_str().unwrap();
    let read = || {
        app.request(Method::GET, &format!("/v2/runtime-groups/{id}"))
            .with_token(&token)
    };
    read().send().await.expect(200);
    app.delete(&format!("/v2/runtime-groups/{id}")).await.expect(204);
    read().send().await.expect(401);
    let restored = app
        .post(&format!("/v2/runtime-groups/{id}/restore"), &json!({}))
        .await
        .expect(200);
    assert_eq!(restored.body["left_out_tokens"], json!([]));
    read().send().await.expect(200);
    let history = app.get("/v2/organizations/me/versions").await.expect(200);
    assert!(history.text.contains("token.restored"), "{}", history.text);
}
