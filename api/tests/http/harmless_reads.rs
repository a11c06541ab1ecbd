//! Whoever reads changes nothing, whatever it is that is read, and however it is asked for.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::App;

/// Every path of the API that can be read, with what its parameters may be here.
async fn readable(app: &App) -> Vec<String> {
    let description = app.get("/openapi.json").await.expect(200).body;
    let first = async |path: &str, list: &str| {
        let body = app.get(path).await.expect(200).body;
        body[list][0]["id"].as_str().unwrap_or("none").to_owned()
    };
    let token = first("/v2/tokens", "data").await;
    let certificate = first("/v2/runtime-groups/default/dp-client-certificates", "items").await;
    let fill = |template: &str| {
        let parts = template.split('/').map(|part| match part {
            "{group}" => "default",
            "{token}" => &token,
            "{certificate}" => &certificate,
            "{version}" => "1",
            part if part.starts_with('{') => "orders",
            part => part,
        });
        parts.collect::<Vec<_>>().join("/")
    };
    let paths = description["paths"].as_object().unwrap();
    let read = paths.iter().filter(|(_, methods)| methods.get("get").is_some());
    // A stream of events goes on for ever.
    let ends = read.filter(|(path, _)| !path.ends_with("/events"));
    ends.map(|(path, _)| fill(path)).collect()
}

#[tokio::test]
async fn whatever_is_read_the_log_stays_as_it_is() {
    let app = App::start().await;
    let services = "/v2/runtime-groups/default/core-entities/services";
    let service: Value = json!({ "name": "orders", "host": "orders.test" });
    app.post(services, &service).await.expect(201);
    let issue = "/v2/runtime-groups/default/dp-client-certificates/issue";
    app.post(issue, &json!({})).await.expect(201);
    let (log, _) = app.log_and_keyring();
    let before = log.tail().await.unwrap();
    let paths = readable(&app).await;
    assert!(paths.len() > 300, "{} paths", paths.len());
    let mut answered = 0;
    for path in &paths {
        for method in [Method::GET, Method::HEAD] {
            for media_type in ["*/*", "application/json"] {
                let request = app.request(method.clone(), path).header("accept", media_type);
                let heard = request.send().await;
                assert!(
                    heard.status.as_u16() < 500 || heard.status.as_u16() == 503,
                    "{path}"
                );
                answered += usize::from(heard.status.is_success());
            }
        }
        assert_eq!(
            log.tail().await.unwrap(),
            before,
            "reading {path} has changed something"
        );
    }
    assert!(answered > paths.len(), "{answered} of {} answered", paths.len());
}
