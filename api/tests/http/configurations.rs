//! A whole configuration as a file: decK's, Kong's own, and as it is stored; and the past of tags.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const GROUP: &str = "/v2/runtime-groups/default";

async fn put(app: &App, path: &str, body: Value) -> Heard {
    app.put(&format!("{GROUP}/core-entities/{path}"), &body)
        .await
        .expect(200)
}

/// Three changes: a service, its route, and a consumer with a key.
async fn with_some() -> App {
    let app = App::start().await;
    put(
        &app,
        "services/orders",
        json!({"host": "a.test", "tags": ["blue"]}),
    )
    .await;
    put(&app, "services/orders/routes/all", json!({"paths": ["/"]})).await;
    put(&app, "consumers/ada", json!({})).await;
    let key = "consumers/ada/key-auth/0c5e4d43-4a6c-4bd6-8c8b-5d1dfa8d6a51";
    put(&app, key, json!({"key": "s3cret"})).await;
    app
}

async fn in_json(app: &App, path: &str) -> Value {
    let call = app.request(Method::GET, &format!("{GROUP}{path}"));
    call.header("accept", "application/json")
        .send()
        .await
        .expect(200)
        .body
}

#[tokio::test]
async fn kongs_own_file_stands_flat_with_ids_without_nulls() {
    let app = with_some().await;
    let file = in_json(&app, "/versions/latest/config?format=kong").await;
    assert_eq!(
        (&file["_format_version"], &file["_transform"]),
        (&json!("3.0"), &json!(false))
    );
    let (service, route) = (&file["services"][0], &file["routes"][0]);
    assert_eq!(route["service"], service["id"]);
    assert_eq!(
        file["keyauth_credentials"][0]["consumer"],
        file["consumers"][0]["id"]
    );
    assert_eq!(file["keyauth_credentials"][0]["key"], "s3cret");
    assert_eq!(service.get("path"), None, "nothing is null: {service}");
    let earlier = in_json(&app, "/dump?format=kong&at=1").await;
    assert_eq!((&earlier["services"][0], earlier.get("routes")), (service, None));
    let yaml = app.get(&format!("{GROUP}/dump?format=kong")).await.expect(200);
    assert!(yaml.text.starts_with("_format_version:"), "{}", yaml.text);
    app.get(&format!("{GROUP}/dump?format=kong&tags=blue"))
        .await
        .expect(400);
    app.get(&format!("{GROUP}/dump?format=xml")).await.expect(400);
}

#[tokio::test]
async fn bodies_as_they_are_stored_come_with_version_time_and_digest() {
    let app = with_some().await;
    for version in [1, 4] {
        let stored = in_json(&app, &format!("/versions/{version}/config?format=json")).await;
        let change = in_json(&app, &format!("/versions/{version}")).await;
        for said in ["version", "at", "digest"] {
            assert_eq!(stored[said], change[said], "{said}");
        }
        assert_eq!(stored["entities"]["services"][0]["name"], "orders");
        assert_eq!(stored["entities"]["services"][0]["path"], json!(null));
    }
    let empty = in_json(&app, "/versions/0/config?format=json").await;
    assert_eq!((&empty["at"], &empty["entities"]), (&json!(null), &json!({})));
    let blue = in_json(&app, "/dump?format=json&tags=blue").await;
    assert_eq!(
        blue["entities"].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["services"]
    );
    let viewer = app.token("viewer", None).await;
    for format in ["deck", "kong", "json"] {
        let path = format!("{GROUP}/dump?format={format}");
        let seen = app
            .request(Method::GET, &path)
            .with_token(&viewer)
            .send()
            .await
            .expect(200);
        assert!(
            !seen.text.contains("s3cret") && seen.text.contains("{redacted}"),
            "{format}"
        );
    }
}

fn tagged(page: &Value) -> Vec<(String, String)> {
    let items = page["data"].as_array().expect("a page");
    let text = |item: &Value, field: &str| item[field].as_str().unwrap_or_default().to_owned();
    items
        .iter()
        .map(|item| (text(item, "tag"), text(item, "entity_name")))
        .collect()
}

#[tokio::test]
async fn tags_have_a_past_and_its_pages_stay_in_it() {
    let app = App::start().await;
    put(
        &app,
        "services/a",
        json!({"host": "a.test", "tags": ["blue", "green"]}),
    )
    .await;
    put(&app, "consumers/ada", json!({"tags": ["blue"]})).await;
    put(&app, "services/a", json!({"host": "a.test", "tags": ["red"]})).await;
    app.delete(&format!("{GROUP}/core-entities/consumers/ada"))
        .await
        .expect(204);
    let pair = |tag: &str, kind: &str| (tag.to_owned(), kind.to_owned());
    for prefix in [
        "/groups/default/admin",
        "/v2/runtime-groups/default/core-entities",
    ] {
        let read = async |query: &str| app.get(&format!("{prefix}/tags{query}")).await.expect(200).body;
        assert_eq!(tagged(&read("").await), [pair("red", "services")]);
        assert_eq!(
            tagged(&read("?at=1").await),
            [pair("blue", "services"), pair("green", "services")]
        );
        let all = [
            pair("blue", "consumers"),
            pair("blue", "services"),
            pair("green", "services"),
        ];
        assert_eq!(tagged(&read("?at=2").await), all);
        assert_eq!(tagged(&read("/blue?at=2").await), all[..2]);
        assert_eq!(tagged(&read("/blue?at=0").await), []);
        let mut seen = Vec::new();
        let mut query = "?at=2&size=1".to_owned();
        loop {
            let page = read(&query).await;
            seen.extend(tagged(&page));
            match page["next"].as_str() {
                Some(next) => query = next.split_once("/tags").expect("a path").1.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }
}

#[tokio::test]
async fn members_of_a_consumer_group_have_a_past_and_its_pages_stay_in_it() {
    let app = App::start().await;
    put(&app, "consumer_groups/gold", json!({})).await;
    for name in ["ada", "bob"] {
        put(&app, &format!("consumers/{name}"), json!({})).await;
        let path = format!("{GROUP}/core-entities/consumer_groups/gold/consumers");
        app.post(&path, &json!({ "consumer": name })).await.expect(201);
    }
    app.delete(&format!("{GROUP}/core-entities/consumers/bob"))
        .await
        .expect(204);
    let prefix = format!("{GROUP}/core-entities");
    let mut path = format!("{prefix}/consumer_groups/gold/consumers?at=5&size=1");
    let mut seen = Vec::new();
    loop {
        let page = app.get(&path).await.expect(200).body;
        let names = page["data"].as_array().expect("a page").iter();
        seen.extend(names.map(|consumer| consumer["username"].as_str().unwrap_or_default().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("{prefix}{next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["ada", "bob"]);
}
