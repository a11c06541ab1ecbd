//! The history over HTTP: filters, cursors, a change in pages.

use serde_json::{Value, json};

use crate::app::App;

const GROUP: &str = "/v2/runtime-groups/default";

/// Changes with different authors, kinds, tags and messages; the newest is version 6.
async fn busy() -> (App, String) {
    let app = App::start().await;
    let other = app.token("admin", None).await;
    let put = |path: &'static str, body: Value, message: &'static str| {
        let call = app.request(axum::http::Method::PUT, &format!("{GROUP}/core-entities/{path}"));
        call.json(&body).header("x-change-message", message)
    };
    let orders = |port: u16| json!({"host": "h", "port": port, "tags": ["eu"]});
    put("services/orders", orders(1), "Ship orders")
        .send()
        .await
        .expect(200);
    put("services/billing", json!({"host": "h"}), "ship billing")
        .with_token(&other)
        .send()
        .await
        .expect(200);
    put("services/orders", orders(2), "").send().await.expect(200);
    put("consumers/ada", json!({}), "welcome Ada")
        .send()
        .await
        .expect(200);
    let renamed = json!({"name": "shipments", "tags": ["us"]});
    let patched = app.request(
        axum::http::Method::PATCH,
        &format!("{GROUP}/core-entities/services/orders"),
    );
    patched.json(&renamed).with_token(&other).send().await.expect(200);
    app.delete(&format!("{GROUP}/core-entities/services/shipments"))
        .await
        .expect(204);
    (app, other)
}

fn versions(body: &Value) -> Vec<u64> {
    let data = body["data"].as_array().unwrap().iter();
    data.map(|change| change["version"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_history_is_filtered_by_everything_at_once() {
    let (app, _) = busy().await;
    let found = async |filter: &str| {
        let heard = app.get(&format!("{GROUP}/versions?{filter}")).await.expect(200);
        versions(&heard.body)
    };
    assert_eq!(found("").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(found("actor=token:a%20admin").await, [5, 2]);
    assert_eq!(found("actor=a%20admin").await, [5, 2]);
    assert_eq!(found("kind=consumers").await, [4]);
    assert_eq!(found("message=SHIP").await, [2, 1]);
    assert_eq!(found("message=orders,ship").await, [1]);
    assert_eq!(found("tag=eu").await, [5, 3, 1]);
    assert_eq!(found("tag=us").await, [6, 5]);
    assert_eq!(found("tag=eu,us").await, [5]);
    // A name means its last holder, and the entity's whole history under all its names.
    assert_eq!(found("entity=services/shipments").await, [6, 5, 3, 1]);
    assert_eq!(found("entity=services/orders&actor=a%20admin").await, [5]);
    assert_eq!(found("entity=services/nobody").await, [0_u64; 0]);
    assert_eq!(found("since=2&until=4").await, [4, 3, 2]);
    assert_eq!(found("since=99999999999999999999").await, [0_u64; 0]);
    assert_eq!(found("until=99999999999999999999&since=6").await, [6]);
    assert_eq!(found("since=2000-01-01T00:00:00Z&until=3").await, [3, 2, 1]);
    assert_eq!(found("until=2000-01-01T00:00:00Z").await, [0_u64; 0]);
    assert_eq!(found("since=2999-01-01T00:00:00Z").await, [0_u64; 0]);
}

#[tokio::test]
async fn a_filtered_history_goes_on_after_its_cursor() {
    let (app, _) = busy().await;
    for filter in [
        "",
        "kind=services&",
        "entity=services/orders&",
        "message=ship&",
        "since=2&",
    ] {
        let whole = app.get(&format!("{GROUP}/versions?{filter}")).await.expect(200);
        let whole = versions(&whole.body);
        let (mut read, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("{GROUP}/versions?{filter}page[size]=2{after}");
            let heard = app.get(&path).await.expect(200);
            read.extend(versions(&heard.body));
            match heard.body["meta"]["page"]["next"].as_str() {
                Some(next) => after = format!("&page[after]={next}"),
                None => break,
            }
        }
        assert_eq!(read, whole, "{filter}");
    }
}

#[tokio::test]
async fn filters_that_mean_nothing_are_refused_with_what_they_are() {
    let (app, _) = busy().await;
    for (filter, field) in [
        ("kind=servises", "kind"),
        ("entity=orders", "entity"),
        ("entity=servises/orders", "entity"),
        ("since=yesterday", "since"),
        ("until=", "until"),
        ("page[after]=1", "page[after]"),
        ("tag=eu&page[number]=2", "page[number]"),
        ("who=ada", "who"),
    ] {
        let refused = app.get(&format!("{GROUP}/versions?{filter}")).await.expect(400);
        assert_eq!(refused.body["invalid_parameters"][0]["field"], field, "{filter}");
    }
}

#[tokio::test]
async fn a_change_of_many_entities_is_read_in_pages() {
    let app = App::start().await;
    let services: Vec<_> = (0..25)
        .map(|number| json!({"name": format!("s{number}"), "host": "h"}))
        .collect();
    let file = json!({"_format_version": "3.0", "services": services});
    app.post(&format!("{GROUP}/apply"), &file).await.expect(200);
    let whole = app.get(&format!("{GROUP}/versions/1")).await.expect(200);
    assert_eq!(whole.body["changes"].as_array().unwrap().len(), 25);
    assert_eq!(whole.body["events"].as_array().unwrap().len(), 25);
    assert_eq!(whole.body["meta"]["page"]["next"], Value::Null);
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{GROUP}/versions/1?page[size]=10{after}");
        let part = app.get(&path).await.expect(200);
        assert_eq!(part.body["event_count"], 25);
        assert_eq!(part.body["digest"], whole.body["digest"]);
        let changes = part.body["changes"].as_array().unwrap().iter();
        names.extend(changes.map(|change| change["after"]["name"].as_str().unwrap().to_owned()));
        match part.body["meta"]["page"]["next"].as_str() {
            Some(next) => after = format!("&page[after]={next}"),
            None => break,
        }
    }
    names.sort();
    let mut expected: Vec<_> = (0..25).map(|number| format!("s{number}")).collect();
    expected.sort();
    assert_eq!(names, expected);
    app.get(&format!("{GROUP}/versions/1?page[size]=0"))
        .await
        .expect(400);
}

/// What happened to an entity: versions, what each did, and its names after or before.
fn told(body: &Value) -> Vec<(u64, String, String)> {
    let one = |item: &Value| {
        let change = &item["changes"][0];
        let named = if change["after"].is_null() {
            &change["before"]
        } else {
            &change["after"]
        };
        (
            item["version"].as_u64().unwrap(),
            change["what"].as_str().unwrap().to_owned(),
            named["name"].as_str().unwrap().to_owned(),
        )
    };
    body["data"].as_array().unwrap().iter().map(one).collect()
}

#[tokio::test]
async fn an_entitys_history_goes_through_its_names_and_its_deletion() {
    let (app, _) = busy().await;
    let of = |name: &str| format!("{GROUP}/core-entities/services/{name}/history");
    let expected = [
        (6, "deleted", "shipments"),
        (5, "updated", "shipments"),
        (3, "updated", "orders"),
        (1, "created", "orders"),
    ]
    .map(|(version, what, name)| (version, what.to_owned(), name.to_owned()));
    let by_name = app.get(&of("shipments")).await.expect(200);
    assert_eq!(told(&by_name.body), expected);
    let newest = &by_name.body["data"][0];
    assert_eq!(newest["actor"]["type"], "token");
    let updated = &by_name.body["data"][2];
    assert_eq!(updated["changes"][0]["before"]["port"], 1);
    assert_eq!(updated["changes"][0]["after"]["port"], 2);
    assert_eq!(by_name.body["data"][3]["message"], "Ship orders");
    let id = newest["changes"][0]["id"].as_str().unwrap();
    assert_eq!(told(&app.get(&of(id)).await.expect(200).body), expected);
    // The name it had first is nobody else's: it still means this one.
    assert_eq!(told(&app.get(&of("orders")).await.expect(200).body), expected);
    app.get(&of("nobody")).await.expect(404);
    app.get(&of("11111111-1111-4111-8111-111111111111"))
        .await
        .expect(404);
    let (mut read, mut after) = (Vec::new(), String::new());
    loop {
        let heard = app
            .get(&format!("{}?page[size]=1{after}", of(id)))
            .await
            .expect(200);
        read.extend(told(&heard.body));
        match heard.body["meta"]["page"]["next"].as_str() {
            Some(next) => after = format!("&page[after]={next}"),
            None => break,
        }
    }
    assert_eq!(read, expected);
    // Somebody else gets the name: it means that one from now on.
    app.put(
        &format!("{GROUP}/core-entities/services/orders"),
        &json!({"host": "h"}),
    )
    .await
    .expect(200);
    let second = app.get(&of("orders")).await.expect(200);
    assert_eq!(
        told(&second.body),
        [(7, "created".to_owned(), "orders".to_owned())]
    );
}

#[tokio::test]
async fn the_history_of_an_entity_of_a_deleted_group_is_read_by_the_groups_id_and_keeps_its_secrets() {
    let app = App::start().await;
    let made = app
        .post("/v2/runtime-groups", &json!({"name": "gone"}))
        .await
        .expect(201);
    let group = made.body["id"].as_str().unwrap().to_owned();
    let entities = format!("/v2/runtime-groups/{group}/core-entities");
    app.put(&format!("{entities}/consumers/ada"), &json!({}))
        .await
        .expect(200);
    let key = app
        .post(
            &format!("{entities}/consumers/ada/key-auth"),
            &json!({"key": "open-sesame"}),
        )
        .await
        .expect(201);
    let key = key.body["id"].as_str().unwrap().to_owned();
    app.delete(&format!("/v2/runtime-groups/{group}"))
        .await
        .expect(204);
    let path = format!("{entities}/key-auths/{key}/history");
    let viewer = app.token("viewer", None).await;
    let read = app
        .request(axum::http::Method::GET, &path)
        .with_token(&viewer)
        .send()
        .await;
    let read = read.expect(200);
    let created = read.body["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(created["changes"][0]["after"]["key"], "{redacted}");
    assert!(!read.text.contains("open-sesame"), "{}", read.text);
    app.get(&format!(
        "/v2/runtime-groups/gone/core-entities/key-auths/{key}/history"
    ))
    .await
    .expect(404);
}
