//! A group as a Kong Admin API: what the node says of itself, schemas, tags, health, and what is switched off.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::App;

const ADMIN: &str = "/groups/default/admin";
const PREFIXES: [&str; 4] = [
    "/v2/runtime-groups/default/core-entities",
    "/v2/control-planes/default/core-entities",
    "/konnect-api/api/runtime_groups/default",
    ADMIN,
];

fn admin(path: &str) -> String {
    format!("{ADMIN}{path}")
}

#[tokio::test]
async fn the_root_says_that_it_is_kong_3_9_1_with_a_database() {
    let app = App::start().await;
    let plugin = json!({"name": "prometheus"});
    app.post(&admin("/plugins"), &plugin).await.expect(201);
    for path in [ADMIN, "/groups/default/admin/", "//groups/default//admin//"] {
        let root = app.get(path).await.expect(200).body;
        assert_eq!(root["version"], "3.9.1");
        assert_eq!(root["edition"], "community");
        assert_eq!(root["configuration"]["database"], "postgres");
        assert_eq!(root["configuration"]["router_flavor"], "traditional_compatible");
        assert_eq!(root["configuration"]["proxy_listeners"][0]["ssl"], false);
        assert_eq!(root["plugins"]["enabled_in_cluster"], json!(["prometheus"]));
        assert_eq!(
            root["plugins"]["available_on_server"]["key-auth"],
            json!({"version": "3.9.1", "priority": 1250})
        );
    }
    let wrong = app.post(ADMIN, &json!({})).await.expect(405);
    assert_eq!(wrong.body, json!({"message": "Method not allowed"}));
    let status = app.get(&admin("/status")).await.expect(200).body;
    assert_eq!(status["database"]["reachable"], true);
    let enabled = app.get(&admin("/plugins/enabled")).await.expect(200).body;
    let enabled = enabled["enabled_plugins"].as_array().unwrap();
    assert!(enabled.contains(&json!("key-auth")) && enabled.is_sorted_by_key(|name| name.to_string()));
}

#[tokio::test]
async fn the_endpoints_are_listed_as_kong_writes_them() {
    let app = App::start().await;
    let listed = app.get(&admin("/endpoints")).await.expect(200).body;
    let listed = listed["data"].as_array().unwrap();
    for path in [
        "/",
        "/services",
        "/services/{services}",
        "/services/{services}/routes/{routes}",
        "/routes/{routes}/service",
        "/schemas/plugins/{plugins}",
    ] {
        assert!(listed.contains(&json!(path)), "{path}");
    }
    for path in ["/targets", "/snis/{snis}/certificate"] {
        assert!(!listed.contains(&json!(path)), "{path}");
    }
}

#[tokio::test]
async fn schemas_are_those_of_the_files_under_every_prefix() {
    let app = App::start().await;
    for prefix in PREFIXES {
        for (place, folder) in [("schemas", "entities"), ("schemas/plugins", "plugins")] {
            for (name, file) in schema_files(folder) {
                let heard = app.get(&format!("{prefix}/{place}/{name}")).await.expect(200);
                assert_eq!(heard.text, shown(&file).to_string(), "{prefix} {name}");
            }
        }
        for (path, message) in [
            ("/schemas/nope", "No entity named 'nope'"),
            ("/schemas/plugins/nope", "No plugin named 'nope'"),
            ("/schemas/vaults/nope", "No vault named 'nope'"),
        ] {
            let heard = app.get(&format!("{prefix}{path}")).await.expect(404);
            assert_eq!(heard.body, json!({"message": message}));
        }
    }
    let older = app.get(&admin("/plugins/schema/cors")).await.expect(200);
    let newer = app.get(&admin("/schemas/plugins/cors")).await.expect(200);
    assert_eq!(older.text, newer.text);
    let shorthands = app.get(&admin("/schemas/plugins/rate-limiting")).await.body;
    let config = shorthands["fields"].as_array().unwrap().iter();
    let config = config.filter_map(|field| field.get("config")).next().unwrap();
    let moved = &config["shorthand_fields"][0]["redis_host"]["deprecation"]["replaced_with"];
    assert_eq!(moved, &json!([{"path": ["redis", "host"]}]));
}

fn schema_files(folder: &str) -> Vec<(String, Value)> {
    let folder = format!("{}/../domain/schemas/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

/// A schema file's public part: without our own marks, and without the fields that open-source Kong doesn't have.
fn shown(file: &Value) -> Value {
    fn unmarked(value: &Value) -> Value {
        match value {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| !name.starts_with("x_"))
                .map(|(name, member)| (name.clone(), unmarked(member)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            Value::Array(items) => items
                .iter()
                .filter(|item| !item.to_string().contains("\"x_omitted_when_unset\":true"))
                .map(unmarked)
                .collect(),
            plain => plain.clone(),
        }
    }
    let member = |name: &str| file.get(name).map_or_else(|| json!([]), unmarked);
    json!({"fields": member("fields"), "entity_checks": member("entity_checks")})
}

#[tokio::test]
async fn a_body_is_validated_without_looking_up_what_it_refers_to() {
    let app = App::start().await;
    let nobody = "11111111-1111-4111-8111-111111111111";
    for prefix in PREFIXES {
        let validate = async |entity: &str, body: Value| {
            app.post(&format!("{prefix}/schemas/{entity}/validate"), &body)
                .await
        };
        let plugin = json!({"name": "key-auth", "service": {"id": nobody}});
        let valid = validate("plugins", plugin).await.expect(200);
        assert_eq!(valid.body, json!({"message": "schema validation successful"}));
        let garbage = json!({"name": "key-auth", "config": {"garbage": true}});
        let refused = validate("plugins", garbage).await.expect(400);
        assert_eq!(
            refused.body["message"],
            "schema violation (config.garbage: unknown field)"
        );
        let paths = json!({"paths": ["/a", "~/b["]});
        let refused = validate("routes", paths).await.expect(400);
        let message = refused.body["message"].as_str().unwrap();
        assert!(
            message.starts_with("schema violation (paths.2: invalid regex:"),
            "{message}"
        );
        validate("nope", json!({})).await.expect(404);
    }
    assert_eq!(app.get(&admin("/plugins")).await.body["data"], json!([]));
}

#[tokio::test]
async fn tags_are_listed_in_pages_with_those_who_have_them() {
    let app = App::start().await;
    let service = json!({"name": "s", "host": "h", "tags": ["a", "b c"]});
    let service = app.post(&admin("/services"), &service).await.expect(201).body;
    let consumer = json!({"username": "u", "tags": ["a"]});
    app.post(&admin("/consumers"), &consumer).await.expect(201);
    for prefix in PREFIXES {
        let mut seen = Vec::new();
        let mut path = "/tags?size=1".to_owned();
        loop {
            let page = app.get(&format!("{prefix}{path}")).await.expect(200).body;
            seen.extend(page["data"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(next) => path = next.to_owned(),
                None => break,
            }
        }
        let seen: Vec<_> = seen
            .iter()
            .map(|item| {
                (
                    item["tag"].as_str().unwrap(),
                    item["entity_name"].as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(seen, [("a", "consumers"), ("a", "services"), ("b c", "services")]);
        let one = app.get(&format!("{prefix}/tags/b%20c")).await.expect(200).body;
        let item = json!({"entity_id": service["id"], "entity_name": "services", "tag": "b c"});
        assert_eq!(one, json!({"data": [item], "next": null}));
        let none = app.get(&format!("{prefix}/tags/nope")).await.expect(200).body;
        assert_eq!(none["data"], json!([]));
        app.get(&format!("{prefix}/tags/a%2Cb")).await.expect(400);
    }
}

#[tokio::test]
async fn targets_have_no_health_here_and_every_weight_is_listed() {
    let app = App::start().await;
    let upstream = app.post(&admin("/upstreams"), &json!({"name": "u"})).await;
    let upstream = upstream.expect(201).body;
    for (target, weight) in [("10.0.0.1:80", 0), ("10.0.0.2:80", 5)] {
        let body = json!({"target": target, "weight": weight});
        app.post(&admin("/upstreams/u/targets"), &body).await.expect(201);
    }
    let health = app
        .get(&admin("/upstreams/u/health?size=1"))
        .await
        .expect(200)
        .body;
    assert_eq!(health["data"][0]["health"], "HEALTHCHECKS_OFF");
    assert!(health["data"][0]["target"].is_string() && health["node_id"].is_string());
    let next = health["next"].as_str().unwrap();
    assert!(next.starts_with("/upstreams/u/health?offset="), "{next}");
    let whole = app
        .get(&admin("/upstreams/u/health?balancer_health=1"))
        .await
        .body;
    assert_eq!(
        whole["data"],
        json!({"id": upstream["id"], "name": "u", "health": "HEALTHCHECKS_OFF"})
    );
    for path in ["/upstreams/u/targets", "/upstreams/u/targets/all"] {
        let listed = app.get(&admin(path)).await.expect(200).body;
        assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{path}");
    }
    for method in [Method::PUT, Method::POST] {
        for path in [
            "10.0.0.1:80/healthy",
            "10.0.0.1:80/unhealthy",
            "10.0.0.1:80/10.0.0.1:80/healthy",
        ] {
            let path = admin(&format!("/upstreams/u/targets/{path}"));
            app.request(method.clone(), &path).send().await.expect(204);
        }
    }
    for path in [
        "/upstreams/u/targets/nope/healthy",
        "/upstreams/nope/targets/x/healthy",
    ] {
        app.request(Method::PUT, &admin(path)).send().await.expect(404);
    }
    app.get(&admin("/upstreams/nope/health")).await.expect(404);
}

#[tokio::test]
async fn what_is_switched_off_says_so() {
    let app = App::start().await;
    for path in [
        "/targets",
        "/targets/x",
        "/snis/x/certificate",
        "/workspaces",
        "/default/kong",
    ] {
        let heard = app.get(&admin(path)).await.expect(404);
        assert_eq!(heard.body, json!({"message": "Not found"}), "{path}");
    }
    for prefix in &PREFIXES[..3] {
        app.get(&format!("{prefix}/targets")).await.expect(200);
    }
    let config = app.get(&admin("/config")).await.expect(400).body;
    let off = "this endpoint is only available when Kong is configured to not use a database";
    assert_eq!(config, json!({"message": off}));
    app.post(&admin("/config"), &json!({"config": "x"}))
        .await
        .expect(400);
    for path in [
        "/filter-chains",
        "/services/s/filter-chains",
        "/routes/r/filter-chains",
    ] {
        let heard = app.get(&admin(path)).await.expect(400).body;
        let off = "this endpoint is only available when wasm is enabled";
        assert_eq!(heard, json!({"message": off}), "{path}");
    }
}

#[tokio::test]
async fn options_say_which_methods_there_are_and_let_browsers_ask() {
    let app = App::start().await;
    for (path, methods) in [
        ("/services", "GET, HEAD, OPTIONS, POST"),
        ("/services/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
        ("/routes/x/service", "GET, HEAD, OPTIONS, PATCH, PUT"),
    ] {
        let call = app
            .request(Method::OPTIONS, &admin(path))
            .without("authorization");
        let heard = call.send().await.expect(204);
        assert_eq!(heard.header("allow"), methods);
        assert_eq!(heard.header("access-control-allow-methods"), methods);
        assert_eq!(heard.header("access-control-allow-headers"), "Content-Type");
        assert_eq!(heard.header("access-control-allow-origin"), "*");
        assert_eq!(heard.text, "");
    }
    let ours = app
        .request(Method::OPTIONS, "/v2/runtime-groups")
        .send()
        .await
        .expect(204);
    assert_eq!(ours.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let app = App::start().await;
    app.post(&admin("/services"), &json!({"name": "s", "host": "h"}))
        .await
        .expect(201);
    for (path, status) in [
        ("", 200),
        ("/services", 200),
        ("/services/s", 200),
        ("/services/x", 404),
    ] {
        let heard = app
            .request(Method::HEAD, &admin(path))
            .send()
            .await
            .expect(status);
        assert_eq!(heard.text, "", "{path}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_as_kong_does() {
    let app = App::start().await;
    let post =
        |media: &str, body: &'static str| app.request(Method::POST, &admin("/services")).bytes(media, body);
    let broken = post("application/json", "{").send().await.expect(400).body;
    assert_eq!(broken["message"], "Cannot parse JSON body");
    assert!(broken["details"].as_str().unwrap().contains("EOF"), "{broken}");
    let foreign = post("text/plain", "host=h").send().await.expect(415).body;
    assert_eq!(foreign["message"], "Unsupported media type");
    let untyped = post("application/json", "{\"host\":\"h\"}").without("content-type");
    untyped.send().await.expect(415);
    let empty = app
        .request(Method::POST, &admin("/services"))
        .send()
        .await
        .expect(400);
    assert_eq!(empty.body["fields"], json!({"host": "required field missing"}));
    post("application/json", "null").send().await.expect(400);
}

#[tokio::test]
async fn the_token_may_come_in_kongs_header_or_as_one_of_several() {
    let app = App::start().await;
    let token = app.token("viewer", None).await;
    let ask = || {
        app.request(Method::GET, &admin("/services"))
            .without("authorization")
    };
    ask().header("kong-admin-token", &token).send().await.expect(200);
    let both = ask().header("authorization", "Basic YTpi");
    let both = both.header("authorization", &format!("Bearer {token}"));
    both.send().await.expect(200);
    ask()
        .header("authorization", "Basic YTpi")
        .send()
        .await
        .expect(401);
}
