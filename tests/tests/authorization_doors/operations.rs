//! The listener for operations: three questions, answered without a token, and nothing else for anybody.

use domain::token::{self, Role};
use reqwest::Method;
use serde_json::Value;
use tests::api_client::ApiClient;

use crate::world::World;

/// Every path of the document, each parameter with some value.
pub(crate) fn paths() -> Vec<(String, Value)> {
    let document = api::http::openapi_document();
    let paths = document["paths"].as_object().expect("a document has paths");
    let filled = |path: &String| {
        let segments = path.split('/').map(|segment| match segment {
            "{group}" => "default",
            "{version}" => "0",
            parameter if parameter.starts_with('{') => "11111111-1111-4111-8111-111111111111",
            segment => segment,
        });
        segments.collect::<Vec<_>>().join("/")
    };
    paths
        .iter()
        .map(|(path, operations)| (filled(path), operations.clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_for_operations_answers_three_questions_whoever_asks() {
    let world = World::bare().await;
    let before = world.log_end().await;
    let asking = |token: &str| ApiClient::new(&world.server.operations_url(), token);
    let admin = asking(&world.server.admin_token());
    let unknown = asking(token::write(Role::Admin, [9; 32]).expose());
    let mut cases = 0;
    for path in ["/healthz", "/readyz", "/metrics"] {
        for caller in [&admin, &unknown, &asking("")] {
            caller.get(path).await.expect_status(200);
            let head = caller.call(Method::HEAD, path).await.expect_status(200);
            assert!(head.body.is_empty());
            for method in [Method::POST, Method::DELETE] {
                caller.call(method, path).await.expect_status(405);
            }
            cases += 4;
        }
    }
    for (path, _) in paths() {
        if matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics") {
            continue;
        }
        for method in [Method::GET, Method::POST, Method::DELETE] {
            admin.call(method, &path).await.expect_status(404);
            cases += 1;
        }
    }
    assert_eq!(world.log_end().await, before);
    println!("{cases} cases at the listener for operations, 0 violations");
}
