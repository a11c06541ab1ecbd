//! The organization's history: its groups, tokens and certificates, each before and after; admissions and refusals.

use axum::http::Method;
use domain::organization::OrganizationCommand;
use domain::{Digest, GroupId, NodeId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;
use crate::following::Events;

const HISTORY: &str = "/v2/organizations/me/versions";
const NODE: NodeId = NodeId(Uuid::from_u128(0x4000_8000_0000_0000_0001));

async fn newest(app: &App) -> Value {
    app.get(&format!("{HISTORY}/latest")).await.expect(200).body
}

async fn default_group(app: &App) -> GroupId {
    let group = app.get("/v2/runtime-groups/default").await.expect(200);
    GroupId(group.body["id"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn records_are_shown_before_and_after() {
    let app = App::start().await;
    let body = json!({"name": "eu", "labels": {"env": "test"}});
    let made = app.request(Method::POST, "/v2/runtime-groups").json(&body);
    let made = made
        .header("x-change-message", "for the new region")
        .send()
        .await
        .expect(201);
    let created = newest(&app).await;
    assert_eq!(created["message"], "for the new region");
    assert_eq!(created["changes"][0]["what"], "group.created");
    assert_eq!(created["changes"][0]["before"], Value::Null);
    assert_eq!(created["changes"][0]["after"]["name"], "eu");
    let group = format!("/v2/runtime-groups/{}", made.body["id"].as_str().unwrap());
    app.patch(&group, &json!({"name": "eu-west", "labels": {"env": "prod"}}))
        .await
        .expect(200);
    let updated = &newest(&app).await["changes"][0];
    let changed: Vec<_> = updated["changed"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        changed.contains(&"name") && changed.contains(&"labels") && !changed.contains(&"config"),
        "{changed:?}"
    );
    assert_eq!(
        (&updated["before"]["name"], &updated["after"]["name"]),
        (&json!("eu"), &json!("eu-west"))
    );
    app.delete(&group).await.expect(204);
    let deleted = &newest(&app).await["changes"][0];
    assert_eq!(deleted["what"], "group.deleted");
    assert_eq!(deleted["before"]["deleted_at"], Value::Null);
    assert!(deleted["after"]["deleted_at"].is_string());
}

#[tokio::test]
async fn a_token_is_told_of_without_what_opens_doors() {
    let app = App::start().await;
    let issued = app
        .post("/v2/tokens", &json!({"name": "ci", "role": "viewer"}))
        .await
        .expect(201);
    app.delete(&format!("/v2/tokens/{}", issued.body["id"].as_str().unwrap()))
        .await
        .expect(204);
    let read = app.get(&format!("{HISTORY}/latest")).await.expect(200);
    let revoked = &read.body["changes"][0];
    assert_eq!(revoked["what"], "token.revoked");
    assert_eq!(revoked["before"]["revoked_at"], Value::Null);
    assert!(revoked["after"]["revoked_at"].is_string());
    assert_eq!(revoked["after"]["name"], "ci");
    let list = app.get(HISTORY).await.expect(200);
    for text in [&read.text, &list.text] {
        assert!(!text.contains("hash") && !text.contains("recorded"), "{text}");
    }
}

#[tokio::test]
async fn an_instance_that_refused_is_named_with_its_reason() {
    let app = App::start().await;
    let group = default_group(&app).await;
    app.organization(OrganizationCommand::AdmitNode {
        group,
        node: NODE,
        hostname: "gateway-7".to_owned(),
        credential: "token:x".to_owned(),
    })
    .await;
    for version in [1, 2] {
        app.organization(OrganizationCommand::RefuseNode {
            group,
            node: NODE,
            version,
            digest: Digest([version as u8; 32]),
            reason: "unknown plugin 'x'".to_owned(),
        })
        .await;
    }
    let list = app.get(&format!("{HISTORY}?kind=nodes")).await.expect(200);
    let data = list.body["data"].as_array().unwrap();
    assert_eq!(data.len(), 3);
    for refused in &data[..2] {
        assert_eq!(refused["events"][0]["what"], "node.refused");
        assert_eq!(refused["events"][0]["name"], "gateway-7");
        assert_eq!(refused["events"][0]["reason"], "unknown plugin 'x'");
    }
    let refused = &newest(&app).await["changes"][0];
    assert_eq!(refused["name"], "gateway-7");
    assert_eq!(refused["after"]["version"], 2);
    assert_eq!(refused["after"]["reason"], "unknown plugin 'x'");
}

#[tokio::test]
async fn the_organizations_history_is_filtered_like_a_groups() {
    let app = App::start().await;
    let admin = app.token("admin", None).await;
    let body = json!({"name": "eu"});
    let made = app
        .request(Method::POST, "/v2/runtime-groups")
        .json(&body)
        .with_token(&admin);
    let made = made
        .header("x-change-message", "Expand to Europe")
        .send()
        .await
        .expect(201);
    let id = made.body["id"].as_str().unwrap().to_owned();
    app.patch(&format!("/v2/runtime-groups/{id}"), &json!({"name": "europe"}))
        .await
        .expect(200);
    let found = async |filter: &str| {
        let heard = app.get(&format!("{HISTORY}?{filter}")).await.expect(200);
        let data = heard.body["data"].as_array().unwrap().iter();
        data.map(|change| change["version"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let all = found("").await;
    let (renamed, created, issued) = (all[0], all[1], all[2]);
    assert_eq!(found("actor=a%20admin").await, [created]);
    assert_eq!(found("message=europe").await, [created]);
    assert_eq!(found("kind=tokens").await.first(), Some(&issued));
    for entity in [&id, "europe", "eu"] {
        assert_eq!(
            found(&format!("entity=runtime-groups/{entity}")).await,
            [renamed, created],
            "{entity}"
        );
    }
    assert_eq!(found("entity=runtime-groups/nobody").await, [0_u64; 0]);
    assert_eq!(
        found(&format!("since={created}&until={created}")).await,
        [created]
    );
    app.get(&format!("{HISTORY}?kind=services")).await.expect(400);
    app.get(&format!("{HISTORY}/{}", renamed + 1)).await.expect(404);
    app.get(&format!("{HISTORY}/0")).await.expect(404);
    // Of another organization nothing is told.
    let stranger = app.another_organization().await;
    let theirs = app
        .request(Method::GET, HISTORY)
        .with_token(&stranger)
        .send()
        .await
        .expect(200);
    assert!(!theirs.text.contains("europe"), "{}", theirs.text);
    let viewer = app.token("viewer", Some("default")).await;
    app.request(Method::GET, HISTORY)
        .with_token(&viewer)
        .send()
        .await
        .expect(403);
}

#[tokio::test]
async fn the_organization_is_followed_and_gone_on_with_exactly_once() {
    let app = App::start().await;
    let before = newest(&app).await["version"].as_u64().unwrap();
    let path = "/v2/organizations/me/events";
    let mut new = Events::of(app.request(Method::GET, path).open().await);
    for number in 0..120 {
        app.post("/v2/runtime-groups", &json!({"name": format!("g{number}")}))
            .await
            .expect(201);
        // What happens elsewhere isn't told here.
        app.put(
            "/v2/runtime-groups/default/core-entities/services/s",
            &json!({"host": "h", "port": number + 1}),
        )
        .await
        .expect(200);
    }
    for number in 0..120_u64 {
        let (id, event) = new.next().await;
        assert_eq!(id, before + 1 + number);
        assert_eq!(event["events"][0]["name"], format!("g{number}"));
    }
    let back = app
        .request(Method::GET, path)
        .header("last-event-id", &(before + 118).to_string());
    let mut back = Events::of(back.open().await);
    assert_eq!(
        (back.next().await.0, back.next().await.0),
        (before + 119, before + 120)
    );
    let filtered = format!("{path}?after=0&entity=runtime-groups/g7");
    let mut filtered = Events::of(app.request(Method::GET, &filtered).open().await);
    assert_eq!(filtered.next().await.0, before + 8);
    app.end();
    new.ended().await;
    filtered.ended().await;
}
