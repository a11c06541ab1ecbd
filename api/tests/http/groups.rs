//! Runtime groups: create, list, read, change, delete, restore.

use serde_json::json;

use crate::app::App;

const GROUPS: &str = "/v2/runtime-groups";

#[tokio::test]
async fn a_group_is_created_read_by_id_and_name_changed_and_listed() {
    let app = App::start().await;
    let body = json!({"name": "eu", "description": "Europe", "labels": {"env": "prod"}});
    let created = app.post(GROUPS, &body).await.expect(201);
    let id = created.body["id"].as_str().unwrap().to_owned();
    assert_eq!(
        created.body["config"]["cluster_type"],
        "CLUSTER_TYPE_CONTROL_PLANE"
    );
    assert_eq!(created.header("location"), format!("{GROUPS}/{id}"));
    assert_eq!(created.header("x-group-version"), "0");
    let by_name = app.get(&format!("{GROUPS}/eu")).await.expect(200);
    let by_id = app.get(&format!("/v2/control-planes/{id}/")).await.expect(200);
    assert_eq!(by_name.body, by_id.body);
    assert_eq!(by_name.header("etag"), created.header("etag"));
    let changed = app
        .patch(
            &format!("{GROUPS}/{id}"),
            &json!({"name": "europe", "description": null}),
        )
        .await
        .expect(200);
    assert_eq!(changed.body["name"], "europe");
    assert_eq!(changed.body["description"], json!(null));
    assert_eq!(changed.body["labels"], json!({"env": "prod"}));
    app.get(&format!("{GROUPS}/eu")).await.expect(404);
    let listed = app
        .get(&format!("{GROUPS}?filter[name][contains]=rop&labels=env:prod"))
        .await
        .expect(200);
    assert_eq!(
        listed.body["meta"]["page"],
        json!({"number": 1, "size": 100, "total": 1})
    );
    assert_eq!(listed.body["data"][0]["id"], json!(id));
}

#[tokio::test]
async fn names_are_unique_and_what_does_not_fit_is_said_field_by_field() {
    let app = App::start().await;
    app.post(GROUPS, &json!({"name": "eu"})).await.expect(201);
    let taken = app.post(GROUPS, &json!({"name": "eu"})).await.expect(409);
    assert_eq!(taken.header("content-type"), "application/problem+json");
    assert_eq!(taken.body["status"], 409);
    let unknown = app.post(GROUPS, &json!({"nam": "x"})).await.expect(400);
    let fields: Vec<_> = unknown.body["invalid_parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["field"].clone())
        .collect();
    assert_eq!(fields, [json!("name"), json!("nam")]);
    app.get(&format!("{GROUPS}?pagesize=1")).await.expect(400);
    app.get(&format!("{GROUPS}?filter[nope]=1")).await.expect(400);
}

#[tokio::test]
async fn the_default_group_is_protected() {
    let app = App::start().await;
    app.delete(&format!("{GROUPS}/default")).await.expect(409);
    app.patch(&format!("{GROUPS}/default"), &json!({"name": "x"}))
        .await
        .expect(409);
    app.patch(&format!("{GROUPS}/default"), &json!({"description": "ours"}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_deleted_group_is_gone_keeps_its_history_and_comes_back() {
    let app = App::start().await;
    let id = app.post(GROUPS, &json!({"name": "eu"})).await.expect(201).body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let services = format!("{GROUPS}/{id}/core-entities/services");
    app.post(&services, &json!({"name": "a", "host": "a.example"}))
        .await
        .expect(201);
    app.delete(&format!("{GROUPS}/eu")).await.expect(204);
    app.get(&format!("{GROUPS}/{id}")).await.expect(404);
    app.get(&services).await.expect(404);
    app.post(&services, &json!({"host": "b.example"}))
        .await
        .expect(404);
    let past = app.get(&format!("{services}/a?at=1")).await.expect(200);
    assert_eq!(past.body["host"], "a.example");
    let history = app.get(&format!("{GROUPS}/{id}/versions/1")).await.expect(200);
    assert_eq!(history.body["changes"][0]["after"]["name"], "a");
    // Its name is free at once, so coming back may need another.
    app.post(GROUPS, &json!({"name": "eu"})).await.expect(201);
    app.post(&format!("{GROUPS}/{id}/restore"), &json!({}))
        .await
        .expect(409);
    app.post(&format!("{GROUPS}/{id}/restore"), &json!({"name": "eu-2"}))
        .await
        .expect(200);
    let listed = app.get(&services).await.expect(200);
    assert_eq!(listed.body["data"][0]["name"], "a");
}

#[tokio::test]
async fn deck_finds_every_group_on_one_page() {
    let app = App::start().await;
    app.post(GROUPS, &json!({"name": "eu"})).await.expect(201);
    let all = app.get("//konnect-api/api/runtime_groups").await.expect(200);
    assert_eq!(
        (&all.body["page"], &all.body["pageCount"]),
        (&json!(1), &json!(1))
    );
    let names: Vec<_> = all.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].clone())
        .collect();
    assert_eq!(names, [json!("default"), json!("eu")]);
    let second = app
        .get("/konnect-api/api/runtime_groups?page=2&size=1")
        .await
        .expect(200);
    assert_eq!(second.body["pageCount"], 2);
    assert_eq!(second.body["data"][0]["name"], "eu");
    let organization = app.get("/v2/organizations/me").await.expect(200);
    assert_eq!(organization.body["name"], "first");
}
