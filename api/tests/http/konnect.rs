//! What decK asks a Konnect control plane besides entities.

use axum::http::Method;
use serde_json::json;

use crate::app::App;

const BASES: [&str; 3] = [
    "/v2/control-planes/default/core-entities",
    "/v2/runtime-groups/default/core-entities",
    "/konnect-api/api/runtime_groups/default",
];

#[tokio::test]
async fn groups_the_organization_and_the_user_are_found_where_deck_looks() {
    let app = App::start().await;
    let groups = app.get("/konnect-api/api/runtime_groups").await.expect(200).body;
    assert_eq!(
        (&groups["page"], &groups["pageCount"], &groups["data"][0]["name"]),
        (&json!(1), &json!(1), &json!("default"))
    );
    let organization = app.get("/v2/organizations/me").await.expect(200).body;
    let user = app.get("/konnect-api/api/userinfo/").await.expect(200).body;
    assert_eq!(user["org"]["id"], organization["id"]);
    assert_eq!(user["org"]["name"], "first");
}

#[tokio::test]
async fn every_prefix_says_its_version_and_the_schemas_that_deck_reads_defaults_from() {
    let app = App::start().await;
    for base in BASES {
        let version = app.get(&format!("{base}/v1")).await.expect(200).body;
        assert!(
            version["version"].as_str().unwrap().starts_with("3."),
            "{version}"
        );
        let schema = async |name: &str| app.get(&format!("{base}/v1/schemas/json/{name}")).await;
        for (name, field, default) in [
            ("service", "retries", json!(5)),
            ("route", "strip_path", json!(true)),
            ("upstream", "slots", json!(10_000)),
            ("target", "weight", json!(100)),
        ] {
            let schema = schema(name).await.expect(200).body;
            assert_eq!(schema["properties"][field]["default"], default, "{base} {name}");
        }
        for name in [
            "sni",
            "certificate",
            "consumer",
            "ca_certificate",
            "key",
            "key-set",
            "jwt",
            "vault",
        ] {
            schema(name).await.expect(200);
        }
        schema("nothing").await.expect(404);
    }
}

#[tokio::test]
async fn a_password_is_refused_with_what_to_do_instead() {
    let app = App::start().await;
    // decK sends the body without any media type.
    let login = app
        .request(Method::POST, "/kauth/api/v1/authenticate")
        .without("authorization");
    let refused = login.send().await.expect(401);
    assert!(refused.text.contains("--konnect-token"), "{}", refused.text);
    assert_eq!(refused.header("set-cookie"), "");
}

#[tokio::test]
async fn the_bearer_is_found_behind_the_name_and_password_of_an_address() {
    let app = App::start().await;
    let token = app.token("viewer", None).await;
    let basic = || {
        app.request(Method::GET, "/v2/organizations/me")
            .without("authorization")
            .header("authorization", "Basic Z2xvYmFsLmFwaS5rb25naHE6")
    };
    let both = basic().header("authorization", &format!("Bearer {token}"));
    both.send().await.expect(200);
    basic().send().await.expect(401);
}

#[tokio::test]
async fn what_this_control_plane_does_not_have_is_not_found_in_kongs_words() {
    let app = App::start().await;
    for base in BASES {
        for path in [
            "workspaces",
            "partials",
            "degraphql_routes",
            "custom-plugins",
            "v1/consumer-groups",
        ] {
            let heard = app.get(&format!("{base}/{path}?size=1000")).await.expect(404);
            assert_eq!(heard.body["message"], "Not found", "{base}/{path}");
        }
    }
}

#[tokio::test]
async fn a_password_that_is_a_hash_already_is_stored_as_it_is_sent_where_konnects_rules_hold() {
    let app = App::start().await;
    let consumers = "/v2/control-planes/default/core-entities/consumers";
    app.put(&format!("{consumers}/chef"), &json!({}))
        .await
        .expect(200);
    let hash = "0f11400317efd37ea782bc2e989ebccef3e15771";
    let stored = async |base: &str, user: &str, query: &str| {
        let path = format!("{base}/chef/basic-auth{query}");
        let body = json!({ "username": user, "password": hash });
        app.post(&path, &body).await.expect(201).body["password"].clone()
    };

    assert_eq!(stored(consumers, "a", "?skip_hash=true").await, hash);
    assert_ne!(stored(consumers, "b", "").await, hash);
    let admin = "/groups/default/admin/consumers";
    assert_ne!(stored(admin, "c", "?skip_hash=true").await, hash);
}
