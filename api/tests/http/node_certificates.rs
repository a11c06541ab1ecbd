//! Certificates of instances: one opens one group of the installation, its key is shown once, its end is warned of.

use api::certificate_issuing::{DEFAULT_DAYS, issue};
use api::cli::possession_proof;
use api::clock::SystemClock;
use api::compose::authority;
use axum::http::Method;
use domain::Clock as _;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const CERTIFICATES: &str = "/v2/runtime-groups/default/dp-client-certificates";
const KONGS: &str = include_str!("../../../domain/tests/node_certificates/kong_hybrid_gen_cert.pem");

/// A certificate of somebody else's CA, with its key.
fn foreign_pair(days: u32) -> (String, String) {
    let now = SystemClock.now();
    let issued = issue(&authority::create(now).unwrap(), "edge", now, days).unwrap();
    (issued.certificate, issued.key.expose().to_owned())
}

async fn added(app: &App, pem: &str) -> Heard {
    app.post(CERTIFICATES, &json!({ "cert": pem })).await
}

async fn listed(app: &App, path: &str) -> Vec<Value> {
    let heard = app.get(path).await.expect(200);
    let items = heard.body["items"].as_array().unwrap().clone();
    assert_eq!(heard.body["page"]["total"], items.len());
    items
}

#[tokio::test]
async fn a_certificate_is_added_read_listed_and_removed() {
    let app = App::start().await;
    let heard = added(&app, KONGS).await.expect(201);
    let item = &heard.body["item"];
    let one = format!("{CERTIFICATES}/{}", item["id"].as_str().unwrap());
    assert_eq!(heard.header("location"), one);
    assert_eq!(item["cert"], KONGS);
    assert_eq!(item["subject"], "CN=kong_clustering");
    assert_eq!(item["is_ca"], false);
    assert_eq!(item["fingerprint"].as_str().unwrap().len(), 64);
    assert!(item["created_at"].is_i64() && item["updated_at"].is_i64() && item["expires_at"].is_i64());
    assert_eq!(item["warnings"], json!([]));
    assert_eq!(app.get(&one).await.expect(200).body["item"], *item);
    assert_eq!(listed(&app, CERTIFICATES).await, std::slice::from_ref(item));
    let later = CERTIFICATES.replace("runtime-groups", "control-planes");
    assert_eq!(listed(&app, &later).await, std::slice::from_ref(item));
    app.delete(&one).await.expect(204);
    assert!(listed(&app, CERTIFICATES).await.is_empty());
    app.get(&one).await.expect(404);
    app.delete(&one).await.expect(404);
}

#[tokio::test]
async fn a_certificate_of_another_group_is_refused_and_nobody_is_told_which() {
    let app = App::start().await;
    let group = json!({ "name": "east" });
    let east = app.post("/v2/runtime-groups", &group).await.expect(201).body["id"].clone();
    let theirs = "/v2/runtime-groups/east/dp-client-certificates";
    app.post(theirs, &json!({ "cert": KONGS })).await.expect(201);
    let refused = added(&app, KONGS).await.expect(409);
    for told in [east.as_str().unwrap(), "east"] {
        assert!(!refused.text.contains(told), "{}", refused.text);
    }
}

/// What a group's admin is answered who adds a certificate, with what the key signed of a challenge, if there is one.
async fn added_by_group_admin(app: &App, pem: &str, challenge_of: Option<(&str, &str)>) -> Heard {
    let token = app.token("admin", Some("default")).await;
    let mut body = json!({ "cert": pem });
    if let Some((group, key)) = challenge_of {
        let path = format!("/v2/runtime-groups/{group}/dp-client-certificates/challenge");
        let challenge = app.get(&path).await.expect(200).body["challenge"].clone();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tls.key");
        std::fs::write(&file, key).unwrap();
        body["proof"] = possession_proof::sign(challenge.as_str().unwrap(), &file).unwrap();
    }
    let request = app.request(Method::POST, CERTIFICATES).json(&body);
    request.with_token(&token).send().await
}

#[tokio::test]
async fn a_groups_admin_shows_that_the_certificates_key_is_at_hand() {
    let app = App::start().await;
    app.post("/v2/runtime-groups", &json!({ "name": "east" }))
        .await
        .expect(201);
    let (certificate, key) = foreign_pair(DEFAULT_DAYS);
    let (_, another_key) = foreign_pair(DEFAULT_DAYS);
    for proof in [
        None,
        Some(("east", key.as_str())),
        Some(("default", another_key.as_str())),
    ] {
        let refused = added_by_group_admin(&app, &certificate, proof).await.expect(403);
        assert_eq!(
            refused.body["type"],
            "urn:runtime-manager:problem:possession-unproven"
        );
    }
    assert!(listed(&app, CERTIFICATES).await.is_empty());
    added_by_group_admin(&app, &certificate, Some(("default", &key)))
        .await
        .expect(201);
    added_by_group_admin(&app, &certificate, None).await.expect(201);
    assert_eq!(
        listed(&app, CERTIFICATES).await.len(),
        1,
        "the second time it is known"
    );
}

#[tokio::test]
async fn keys_of_every_kind_show_it() {
    let app = App::start().await;
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap()
            .pem();
        let proof = Some(("default", key.serialize_pem()));
        let proof = proof.as_ref().map(|(group, key)| (*group, key.as_str()));
        added_by_group_admin(&app, &certificate, proof).await.expect(201);
    }
}

#[tokio::test]
async fn what_a_groups_admin_has_issued_needs_no_proof() {
    let app = App::start().await;
    let token = app.token("admin", Some("default")).await;
    let path = format!("{CERTIFICATES}/issue");
    let request = app.request(Method::POST, &path).json(&json!({}));
    request.with_token(&token).send().await.expect(201);
}

#[tokio::test]
async fn another_organizations_group_is_not_named() {
    let app = App::start().await;
    let stranger = app.another_organization().await;
    added(&app, KONGS).await.expect(201);
    let post = app
        .request(Method::POST, CERTIFICATES)
        .json(&json!({ "cert": KONGS }));
    // Nor is it told that anybody has it: the other organization's admin shows no key of it.
    let refused = post.with_token(&stranger).send().await.expect(403);
    let ours = app.get("/v2/runtime-groups/default").await.expect(200).body["id"].clone();
    assert!(!refused.text.contains(ours.as_str().unwrap()), "{}", refused.text);
    let read = app.request(Method::GET, CERTIFICATES).with_token(&stranger);
    assert_eq!(read.send().await.expect(200).body["items"], json!([]));
}

#[tokio::test]
async fn what_is_no_certificate_is_refused_by_field() {
    let app = App::start().await;
    let (certificate, key) = foreign_pair(DEFAULT_DAYS);
    for wrong in [
        json!({}),
        json!({ "cert": "x" }),
        json!({ "cert": format!("{certificate}{key}") }),
        json!({ "cert": format!("{certificate}{KONGS}") }),
        json!({ "cert": 7 }),
    ] {
        let refused = app.post(CERTIFICATES, &wrong).await.expect(400);
        assert_eq!(
            refused.body["invalid_parameters"][0]["field"], "cert",
            "{}",
            refused.text
        );
        assert!(!refused.text.contains("PRIVATE KEY"), "a key is never repeated");
    }
    assert!(listed(&app, CERTIFICATES).await.is_empty());
}

#[tokio::test]
async fn the_end_of_a_certificate_is_warned_of() {
    let app = App::start().await;
    let item = added(&app, &foreign_pair(10).0).await.expect(201).body["item"].clone();
    let warning = item["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("expires in "), "{warning}");
}

#[tokio::test]
async fn an_issued_certificate_comes_with_its_key_once_and_belongs_to_the_group() {
    let app = App::start().await;
    let path = format!("{CERTIFICATES}/issue");
    let issued = app.post(&path, &json!({})).await.expect(201);
    let item = &issued.body["item"];
    assert_eq!(item["subject"], "CN=default");
    assert_eq!(item["cert"], issued.body["cert"]);
    assert!(issued.body["key"].as_str().unwrap().contains("PRIVATE KEY"));
    assert!(issued.body["ca"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(
        issued.header("location"),
        format!("{CERTIFICATES}/{}", item["id"].as_str().unwrap())
    );
    let items = listed(&app, CERTIFICATES).await;
    assert_eq!(items, std::slice::from_ref(item));
    assert!(!json!(items).to_string().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_repeated_request_to_issue_is_told_of_the_certificate_without_a_key() {
    let app = App::start().await;
    let path = format!("{CERTIFICATES}/issue");
    let body = json!({ "name": "edge", "days": 30 });
    let ask = async || {
        let request = app.request(Method::POST, &path).header("idempotency-key", "k");
        request.json(&body).send().await.expect(201).body
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!(again["item"], first["item"]);
    assert_eq!(again["cert"], first["cert"]);
    assert!(first["key"].is_string() && again["key"].is_null());
    assert_eq!(listed(&app, CERTIFICATES).await.len(), 1);
}

#[tokio::test]
async fn the_built_in_authority_opens_no_group() {
    let app = App::start().await;
    let issued = app
        .post(&format!("{CERTIFICATES}/issue"), &json!({}))
        .await
        .expect(201);
    let refused = added(&app, issued.body["ca"].as_str().unwrap()).await.expect(409);
    assert!(refused.text.contains("built-in CA"), "{}", refused.text);
}

#[tokio::test]
async fn a_validity_beyond_what_the_authority_can_give_is_refused() {
    let app = App::start().await;
    for days in [0, 3651] {
        let refused = app
            .post(&format!("{CERTIFICATES}/issue"), &json!({ "days": days }))
            .await;
        let refused = refused.expect(400);
        assert_eq!(refused.body["invalid_parameters"][0]["field"], "days");
    }
}

#[tokio::test]
async fn a_restored_group_names_the_certificates_that_belong_elsewhere_by_then() {
    let app = App::start().await;
    let group = app
        .post("/v2/runtime-groups", &json!({ "name": "east" }))
        .await
        .expect(201);
    let east = format!("/v2/runtime-groups/{}", group.body["id"].as_str().unwrap());
    let theirs = format!("{east}/dp-client-certificates");
    app.post(&theirs, &json!({ "cert": KONGS })).await.expect(201);
    app.post(&format!("{theirs}/issue"), &json!({})).await.expect(201);
    app.delete(&east).await.expect(204);
    added(&app, KONGS).await.expect(201);
    let restored = app.post(&format!("{east}/restore"), &json!({})).await.expect(200);
    let left_out = restored.body["left_out_certificates"].as_array().unwrap();
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0]["subject"], "CN=kong_clustering");
    assert_eq!(listed(&app, &theirs).await.len(), 1);
}
