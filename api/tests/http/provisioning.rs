//! What a new instance is started with holds a credential that opens its group.

use axum::http::Method;
use domain::organization::CertificateContent;
use serde_json::json;

use crate::app::App;

const NEW: &str = "/v2/runtime-groups/default/nodes/new";
const CERTIFICATES: &str = "/v2/runtime-groups/default/dp-client-certificates";

#[tokio::test]
async fn each_text_has_a_certificate_of_its_own_that_opens_the_group() {
    let app = App::start().await;
    for platform in ["docker", "linux", "kubernetes", "kong-conf"] {
        let request = app
            .request(Method::POST, NEW)
            .json(&json!({ "platform": platform, "name": platform }));
        let heard = request
            .header("accept", "application/json")
            .send()
            .await
            .expect(201);
        assert_eq!(heard.header("cache-control"), "no-store");
        assert_eq!(heard.body["platform"], platform);
        let text = heard.body["text"].as_str().unwrap();
        assert!(text.contains("127.0.0.1:8005"), "{text}");
        let credential = heard.body["credential"].clone();
        assert_eq!(credential["type"], "certificate");
        let one = format!("{CERTIFICATES}/{}", credential["id"].as_str().unwrap());
        let item = app.get(&one).await.expect(200).body["item"].clone();
        assert_eq!(item["subject"], format!("CN={platform}"));
        if platform == "docker" {
            let certificate = "-----BEGIN CERTIFICATE-----";
            let start = text.find(certificate).unwrap();
            let end = text[start..].find("\nEND\n").unwrap();
            let content = CertificateContent::of_pem(&text[start..start + end]).unwrap();
            assert_eq!(
                content.fingerprint.to_string(),
                item["fingerprint"].as_str().unwrap()
            );
        }
    }
    assert_eq!(app.get(CERTIFICATES).await.body["page"]["total"], 4);
}

#[tokio::test]
async fn the_agents_text_has_an_instance_token_of_the_group() {
    let app = App::start().await;
    let heard = app.post(NEW, &json!({ "platform": "agent" })).await.expect(201);
    let token = heard
        .text
        .lines()
        .find_map(|line| line.strip_prefix("RUNTIME_MANAGER_TOKEN="));
    let tokens = app.get("/v2/tokens").await.expect(200);
    let issued = &tokens.body["data"].as_array().unwrap().clone();
    let issued = issued.iter().find(|token| token["role"] == "instance").unwrap();
    assert!(issued["group"].is_string() && issued["name"] == "agent of default");
    // An instance token is known, and opens nothing here.
    let read = app.request(Method::GET, "/v2/tokens").with_token(token.unwrap());
    read.send().await.expect(403);
}

#[tokio::test]
async fn a_group_whose_instances_are_of_the_other_type_is_refused_before_anything_is_made() {
    let app = App::start().await;
    for (name, runtime_type, platform) in [("ours", "native", "docker"), ("kongs", "kong-gateway", "agent")] {
        let group = json!({ "name": name, "runtime_type": runtime_type });
        app.post("/v2/runtime-groups", &group).await.expect(201);
        let path = format!("/v2/runtime-groups/{name}");
        app.post(&format!("{path}/nodes/new"), &json!({ "platform": platform }))
            .await
            .expect(409);
        let certificates = app
            .get(&format!("{path}/dp-client-certificates"))
            .await
            .expect(200);
        assert_eq!(certificates.body["page"]["total"], 0);
    }
    assert_eq!(app.get("/v2/tokens").await.body["meta"]["page"]["total"], 1);
}

#[tokio::test]
async fn an_unknown_platform_or_version_is_refused_by_field_before_anything_is_made() {
    let app = App::start().await;
    for (wanted, field) in [
        (json!({ "platform": "windows" }), "platform"),
        (json!({ "version": "2.7" }), "version"),
        (json!({ "platform": "kong-conf", "version": "2.8" }), "version"),
    ] {
        let refused = app.post(NEW, &wanted).await.expect(400);
        assert_eq!(
            refused.body["invalid_parameters"][0]["field"], field,
            "{}",
            refused.text
        );
    }
    assert_eq!(app.get(CERTIFICATES).await.body["page"]["total"], 0);
}

#[tokio::test]
async fn a_viewer_gets_no_credentials() {
    let app = App::start().await;
    let viewer = app.token("viewer", None).await;
    app.request(Method::POST, NEW)
        .json(&json!({}))
        .with_token(&viewer)
        .send()
        .await
        .expect(403);
}

#[tokio::test]
async fn the_template_says_what_is_to_come_and_nothing_is_made_for_it() {
    let app = App::start().await;
    let viewer = app.token("viewer", None).await;
    for platform in ["docker", "linux", "kubernetes", "kong-conf", "agent"] {
        for method in [Method::GET, Method::HEAD] {
            let request = app.request(method.clone(), &format!("{NEW}?platform={platform}"));
            let heard = request.with_token(&viewer).send().await.expect(200);
            if method == Method::GET {
                assert!(heard.text.contains("127.0.0.1:8005"), "{}", heard.text);
                assert!(!heard.text.contains("PRIVATE KEY"), "{}", heard.text);
            }
        }
    }
    assert_eq!(app.get(CERTIFICATES).await.body["page"]["total"], 0);
    let tokens = app.get("/v2/tokens").await.expect(200);
    let tokens = tokens.body["data"].as_array().unwrap().clone();
    assert!(tokens.iter().all(|token| token["role"] != "instance"));
}
