//! A past worth keeping, for tests of what must survive: every kind of entity and of change.

use serde_json::json;

use crate::api_client::ApiClient;

/// Groups that come, change, go and come back; entities of every kind; history worth reading.
pub async fn write(api: &ApiClient) {
    api.create_group("us-west").await;
    let gone = api.create_group("short-lived").await;
    let group = api.group("us-west");
    for name in [
        "storefront.yaml",
        "balancing.yaml",
        "certificates.yaml",
        "consumers.yaml",
        "explicit-ids.yaml",
    ] {
        let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(path).expect("a fixture is readable");
        group
            .apply(&file, "")
            .header("x-change-message", name)
            .await
            .expect_status(200);
    }
    for number in 0..50 {
        let body = json!({ "host": format!("change-{number}.test") });
        group.patch("services/catalogue", &body).await.expect_status(200);
    }
    group
        .delete("services/orders/routes/orders-write")
        .await
        .expect_status(204);
    group.delete("consumers/batch-import").await.expect_status(204);
    let gone_id = gone["id"].as_str().expect("a group has an id");
    api.group(gone_id)
        .put("services/orphan", &json!({ "host": "orphan.test" }))
        .await;
    api.delete(&format!("/v2/runtime-groups/{gone_id}"))
        .await
        .expect_status(204);
}
