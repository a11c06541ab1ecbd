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
