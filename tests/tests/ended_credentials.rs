//! An answer that takes a while ends with the credential it was asked for with: revoked, expired, or its group deleted.

use std::future::IntoFuture as _;

use api::clock::SystemClock;
use domain::{Clock as _, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::agent_process::AgentProcess;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio_util::task::TaskTracker;

const GROUP: &str = "followed";

/// Events that somebody follows.
struct Followed {
    path: String,
    events: reqwest::Response,
}

impl Followed {
    async fn begin(api: &ApiClient, server: &ServerProcess, path: &str) -> Self {
        let events = reqwest::Client::new()
            .get(format!("{}{path}", server.url()))
            .bearer_auth(api.token())
            .send()
            .await
            .expect("events are answered");
        assert_eq!(events.status(), StatusCode::OK, "{path}");
        Self {
            path: path.to_owned(),
            events,
        }
    }

    /// Reads until the server ends it.
    async fn ends(mut self) {
        while let Some(event) = self.events.chunk().await.expect("events end without an error") {
            assert!(!event.is_empty(), "{}", self.path);
        }
    }
}

struct Token {
    id: String,
    api: ApiClient,
}

async fn token(server: &ServerProcess, body: Value) -> Token {
    let made = server
        .api()
        .post("/v2/tokens", &body)
        .await
        .expect_status(201)
        .json();
    let text = |field: &str| made[field].as_str().expect("a new token has it").to_owned();
    Token {
        id: text("id"),
        api: server.api_as(&text("token")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_with_a_token_ends_when_it_is_revoked() {
    let server = ServerProcess::start(Log::Sqlite).await;
    server.api().create_group(GROUP).await;
    let viewer = token(&server, json!({ "name": "viewer", "role": "viewer" })).await;
    let other = token(&server, json!({ "name": "other", "role": "viewer" })).await;
    let events = format!("/v2/runtime-groups/{GROUP}/events");
    let group = Followed::begin(&viewer.api, &server, &events).await;
    let organization = Followed::begin(&viewer.api, &server, "/v2/organizations/me/events").await;
    let mut others = Followed::begin(&other.api, &server, &events).await;

    server
        .api()
        .delete(&format!("/v2/tokens/{}", viewer.id))
        .await
        .expect_status(204);
    group.ends().await;
    organization.ends().await;
    let refused = viewer.api.get(&events).await.expect_status(401);
    assert!(refused.text().contains("revoked"), "{}", refused.text());

    let service = json!({ "name": "orders", "host": "orders.test" });
    server
        .api()
        .group(GROUP)
        .post("services", &service)
        .await
        .expect_status(201);
    let heard = others.events.chunk().await.expect("the others' events go on");
    assert!(heard.is_some(), "the others' events go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_followed_ends_when_its_token_expires_or_its_group_is_deleted() {
    let server = ServerProcess::start(Log::Sqlite).await;
    server.api().create_group(GROUP).await;
    let soon = Timestamp(SystemClock.now().0 + 8_000);
    let brief = json!({ "name": "brief", "role": "viewer", "expires_at": soon.to_string() });
    let brief = token(&server, brief).await;
    let events = format!("/v2/runtime-groups/{GROUP}/events");
    let expiring = Followed::begin(&brief.api, &server, &events).await;
    let deleted = Followed::begin(&server.api(), &server, &events).await;
    expiring.ends().await;

    server
        .api()
        .delete(&format!("/v2/runtime-groups/{GROUP}"))
        .await
        .expect_status(204);
    deleted.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_rollout_ends_when_the_token_is_revoked() {
    let server = ServerProcess::start(Log::Sqlite).await;
    server.api().create_group(GROUP).await;
    let group = server.api().group(GROUP);
    let instance = AgentProcess::start(&server, GROUP, &server.api().instance_token(GROUP).await);
    eventually("the instance is connected", async || {
        let nodes = group.nodes().await;
        if nodes.is_empty() { Err("nobody") } else { Ok(()) }
    })
    .await;
    // It stays behind.
    instance.pause();
    let service = json!({ "name": "orders", "host": "orders.test" });
    group.post("services", &service).await.expect_status(201);
    let viewer = token(&server, json!({ "name": "viewer", "role": "viewer" })).await;
    let path = format!("/v2/runtime-groups/{GROUP}/rollout?wait=300s");
    let waiting = TaskTracker::new().spawn(viewer.api.get(&path).into_future());

    server
        .api()
        .delete(&format!("/v2/tokens/{}", viewer.id))
        .await
        .expect_status(204);
    let answer = waiting.await.expect("the wait is answered");
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    instance.proceed();
}
