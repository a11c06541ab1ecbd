//! Bad input gets a clear 4xx, changes nothing and never panics.

use api::clock::SystemClock;
use domain::{Clock as _, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

/// A mebibyte: what a body may weigh.
const BODY_LIMIT: usize = 1 << 20;

#[tokio::test]
async fn bodies_that_are_no_json_are_refused() {
    let scene = Scene::set().await;
    for body in [
        "",
        "{",
        "nonsense",
        "[1, 2",
        "{\"name\": }",
        "\u{0}",
        "{\"name\": \"a\"} trailing",
    ] {
        scene
            .post_bytes("services", body.as_bytes())
            .await
            .refused(&[400]);
    }
    scene
        .post_bytes("services", b"{\"name\": \"\xff\xfe\"}")
        .await
        .refused(&[400]);
    scene.untouched().await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused() {
    let scene = Scene::set().await;
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(BODY_LIMIT));
    scene
        .post_bytes("services", large.as_bytes())
        .await
        .refused(&[413]);
    let tags: Vec<String> = (0..20_000).map(|number| format!("tag-number-{number}")).collect();
    let heavy = json!({ "name": "heavy", "host": "a.test", "tags": tags });
    scene.post("services", &heavy).await.refused(&[413]);
    scene.untouched().await;
}

#[tokio::test]
async fn bodies_that_are_nested_too_deep_are_refused() {
    let scene = Scene::set().await;
    for depth in [200, 10_000] {
        let arrays = format!("{{\"tags\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
        scene
            .post_bytes("services", arrays.as_bytes())
            .await
            .refused(&[400]);
        let objects = format!("{}1{}", "{\"config\":".repeat(depth), "}".repeat(depth));
        scene
            .post_bytes("plugins", objects.as_bytes())
            .await
            .refused(&[400]);
        let file = format!(
            "_format_version: '3.0'\nservices: {}{}\n",
            "[".repeat(depth),
            "]".repeat(depth)
        );
        scene.group().apply(&file, "").await.refused(&[400]);
    }
    scene.untouched().await;
}

#[tokio::test]
async fn expressions_that_are_too_large_are_refused_with_what_to_simplify() {
    let scene = Scene::set().await;
    let many: Vec<String> = (0..300).map(|number| format!("~/{number}\\w{{99}}")).collect();
    for body in [
        json!({ "paths": ["~/((\\w{10}){10}){10}"] }),
        json!({ "paths": ["/"], "headers": { "x": ["~*(\\w{100}){1000}"] } }),
        json!({ "paths": many }),
    ] {
        let answer = scene.post("routes", &body).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("use lower counts"), "{}", answer.text());
    }
    let long = format!("~/{}", "a".repeat(9_000));
    let answer = scene.post("routes", &json!({ "paths": [long] })).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("at most 8192 bytes"), "{}", answer.text());
    scene.untouched().await;
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_named() {
    let scene = Scene::set().await;
    for (collection, body, field) in [
        ("services", json!({ "host": 5 }), "host"),
        ("services", json!({ "host": "a.test", "port": "eighty" }), "port"),
        ("services", json!({ "host": "a.test", "port": 1.5 }), "port"),
        ("services", json!({ "host": "a.test", "port": 65_536 }), "port"),
        ("services", json!({ "host": "a.test", "retries": -1 }), "retries"),
        (
            "services",
            json!({ "host": "a.test", "protocol": "gopher" }),
            "protocol",
        ),
        ("services", json!({ "host": "a.test", "tags": "shop" }), "tags"),
        (
            "services",
            json!({ "host": "a.test", "enabled": "yes" }),
            "enabled",
        ),
        ("routes", json!({ "paths": { "a": 1 } }), "paths"),
        ("routes", json!({ "paths": ["no-slash"] }), "paths"),
        ("upstreams", json!({ "name": "a b c" }), "name"),
        (
            "upstreams",
            json!({ "name": "u", "algorithm": "fair" }),
            "algorithm",
        ),
        (
            "plugins",
            json!({ "name": "rate-limiting", "config": { "minute": "many" } }),
            "minute",
        ),
        ("plugins", json!({ "name": "no-such-plugin" }), "name"),
        (
            "certificates",
            json!({ "cert": "not a certificate", "key": "not a key" }),
            "cert",
        ),
    ] {
        let answer = scene.post(collection, &body).await;
        assert!(
            answer.text().contains(field),
            "{collection} {body}: the refusal names {field}: {}",
            answer.text()
        );
        answer.refused(&[400]);
    }
    scene.post("services", &json!([])).await.refused(&[400]);
    scene.post("services", &json!("text")).await.refused(&[400]);
    scene.post("services", &json!(null)).await.refused(&[400]);
    scene.untouched().await;
}

#[tokio::test]
async fn unknown_fields_are_named() {
    let scene = Scene::set().await;
    let answer = scene
        .post("services", &json!({ "host": "a.test", "colour": "red" }))
        .await;
    assert!(answer.text().contains("colour"), "{}", answer.text());
    answer.refused(&[400]);
    let plugin = json!({ "name": "key-auth", "config": { "colour": "red" } });
    let answer = scene.post("plugins", &plugin).await;
    assert!(answer.text().contains("colour"), "{}", answer.text());
    answer.refused(&[400]);
    scene.untouched().await;
}

#[tokio::test]
async fn identifiers_that_are_none_are_refused() {
    let scene = Scene::set().await;
    scene
        .post("services", &json!({ "id": "not-a-uuid", "host": "a.test" }))
        .await
        .refused(&[400]);
    scene
        .post("services", &json!({ "id": 7, "host": "a.test" }))
        .await
        .refused(&[400]);
    let by_id = json!({ "paths": ["/a"], "service": { "id": "not-a-uuid" } });
    scene.post("routes", &by_id).await.refused(&[400]);
    for path in [
        "services/11111111-1111-1111-1111-111111111111",
        "services/nobody",
        "services/%00",
        "services/%FF",
    ] {
        scene.group().get(path).await.refused(&[400, 404]);
    }
    scene.untouched().await;
}

#[tokio::test]
async fn what_is_taken_and_what_is_missing_is_said() {
    let scene = Scene::set().await;
    scene
        .post("services", &json!({ "name": "kept", "host": "other.test" }))
        .await
        .refused(&[409]);
    let dangling = json!({ "paths": ["/a"], "service": { "id": "11111111-1111-1111-1111-111111111111" } });
    scene.post("routes", &dangling).await.refused(&[400]);
    let dangling = json!({ "name": "cors", "route": { "id": "11111111-1111-1111-1111-111111111111" } });
    scene.post("plugins", &dangling).await.refused(&[400]);
    scene
        .post("upstreams/nobody/targets", &json!({ "target": "a.test:80" }))
        .await
        .refused(&[404]);
    scene
        .api
        .post("/v2/runtime-groups", &json!({ "name": "default" }))
        .await
        .refused(&[409]);
    scene
        .api
        .post("/v2/runtime-groups", &json!({ "name": "a/b" }))
        .await
        .refused(&[400]);
    scene
        .api
        .post("/v2/runtime-groups", &json!({ "name": "" }))
        .await
        .refused(&[400]);
    scene
        .api
        .post("/v2/runtime-groups", &json!({ "name": "x".repeat(129) }))
        .await
        .refused(&[400]);
    scene.untouched().await;
}

#[tokio::test]
async fn tokens_that_are_not_valid_open_nothing() {
    let scene = Scene::set().await;
    let token = scene.api.token();
    let mut garbled = token.to_owned();
    garbled.pop();
    let garbled = [
        &garbled,
        "",
        "nonsense",
        "Bearer",
        &format!("{token}x"),
        &token.to_uppercase(),
    ];
    for wrong in garbled {
        let stranger = scene.api.with_token(wrong).group("default");
        stranger.get("services").await.refused(&[401]);
        stranger
            .post("services", &json!({ "host": "a.test" }))
            .await
            .refused(&[401]);
    }
    scene.untouched().await;
}

#[tokio::test]
async fn a_token_opens_nothing_once_it_has_expired() {
    let scene = Scene::set().await;
    let soon = Timestamp(SystemClock.now().0 + 1_500);
    let body = json!({ "name": "short", "role": "admin", "expires_at": soon.to_string() });
    let made = scene
        .api
        .post("/v2/tokens", &body)
        .await
        .expect_status(201)
        .json();
    let short = scene.api.with_token(made["token"].as_str().expect("a new token"));
    let read = async || short.group("default").get("services").await;

    read().await.expect_status(200);
    eventually("the token has expired", async || match read().await {
        answer if answer.status == 401 => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;

    let refused = short
        .group("default")
        .post("services", &json!({ "host": "a.test" }));
    let refused = refused.await;
    refused.refused(&[401]);
    assert!(refused.text().contains("expired"), "{refused:?}");
    scene.untouched().await;
}

#[tokio::test]
async fn preconditions_that_do_not_hold_refuse_the_change() {
    let scene = Scene::set().await;
    let body = json!({ "name": "kept", "host": "other.test" });
    scene
        .group()
        .put("services/kept", &body)
        .header("if-match", "\"77\"")
        .await
        .refused(&[412]);
    scene
        .group()
        .put("services/kept", &body)
        .header("if-none-match", "*")
        .await
        .refused(&[412]);
    scene.untouched().await;
}

#[tokio::test]
async fn pages_and_versions_out_of_range_are_refused() {
    let scene = Scene::set().await;
    for query in [
        "size=0",
        "size=1001",
        "size=many",
        "offset=garbage",
        "at=99",
        "at=yesterday",
    ] {
        scene
            .group()
            .get(&format!("services?{query}"))
            .await
            .refused(&[400, 404]);
    }
    scene.group().read("versions/99").await.refused(&[404]);
    scene
        .group()
        .read("versions/minus-one")
        .await
        .refused(&[400, 404]);
    scene
        .group()
        .change("rollback", &json!({ "to": 99 }))
        .await
        .refused(&[400, 404]);
    scene.untouched().await;
}

#[tokio::test]
async fn declarative_files_that_make_no_sense_are_refused() {
    let scene = Scene::set().await;
    for file in [
        "",
        "services: [",
        "- a\n- b\n",
        "_format_version: '99.0'\nservices: []\n",
        "_format_version: '3.0'\nsurvices:\n- name: a\n",
        "_format_version: '3.0'\nservices:\n- name: a\n",
        "_format_version: '3.0'\nservices:\n- name: a\n  host: a.test\n- name: a\n  host: b.test\n",
        "_format_version: '3.0'\nroutes:\n- name: a\n  paths: [/a]\n  service: {name: nobody}\n",
        "_format_version: '3.0'\na: &a [*a]\n",
    ] {
        scene.group().apply(file, "").await.refused(&[400, 409, 422]);
    }
    scene.untouched().await;
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_request() {
    let scene = Scene::set().await;
    let group = scene.group();
    let first = json!({ "name": "first", "host": "first.test" });
    group
        .post("services", &first)
        .header("idempotency-key", "once")
        .await
        .expect_status(201);
    group
        .post("services", &first)
        .header("idempotency-key", "once")
        .await
        .expect_status(201);
    let second = json!({ "name": "second", "host": "second.test" });
    group
        .post("services", &second)
        .header("idempotency-key", "once")
        .await
        .refused(&[422]);
    assert_eq!(
        group.version().await,
        2,
        "one change for the scene and one for the key"
    );
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_refused() {
    let scene = Scene::set().await;
    scene.api.get("/v2/nothing").await.refused(&[404]);
    scene.group().get("gizmos").await.refused(&[404]);
    let path = "/v2/runtime-groups/default/core-entities/services";
    scene.api.call(Method::TRACE, path).await.refused(&[404, 405]);
    scene.api.group("nobody").get("services").await.refused(&[404]);
    let nobody = "22222222-2222-2222-2222-222222222222";
    scene.api.group(nobody).get("services").await.refused(&[404]);
    scene.untouched().await;
}

/// A server whose default group has one service, at version 1.
struct Scene {
    api: ApiClient,
    server: ServerProcess,
}

impl Scene {
    async fn set() -> Self {
        let server = ServerProcess::start(Log::Sqlite).await;
        let api = server.api();
        let kept = json!({ "name": "kept", "host": "kept.test" });
        api.group("default")
            .post("services", &kept)
            .await
            .expect_status(201);
        Self { api, server }
    }

    fn group(&self) -> tests::api_client::GroupClient {
        self.api.group("default")
    }

    async fn post(&self, collection: &str, body: &Value) -> Answer {
        self.group().post(collection, body).await
    }

    async fn post_bytes(&self, collection: &str, body: &[u8]) -> Answer {
        let path = format!("/v2/runtime-groups/default/core-entities/{collection}");
        self.api.call(Method::POST, &path).bytes(body).await
    }

    /// Nothing was changed, and the program never panicked.
    async fn untouched(mut self) {
        assert_eq!(self.group().version().await, 1);
        let services = self.group().all("services").await;
        assert_eq!(services.len(), 1, "{services:?}");
        assert_eq!(services[0]["host"], "kept.test");
        let groups = self.api.get("/v2/runtime-groups").await.expect_status(200).json();
        assert_eq!(groups["data"].as_array().map(Vec::len), Some(1), "{groups}");
        let printed = self.server.process().printed();
        assert!(!printed.contains("panicked"), "{printed}");
    }
}

trait Refused {
    /// Checks that the status is one of these and that the body says something.
    fn refused(&self, statuses: &[u16]);
}

impl Refused for Answer {
    fn refused(&self, statuses: &[u16]) {
        let status = self.status.as_u16();
        assert!(
            statuses.contains(&status),
            "expected one of {statuses:?}, got {self:?}"
        );
        assert!(
            self.body.len() > 10,
            "a refusal says what, where and how to mend it: {self:?}"
        );
    }
}
