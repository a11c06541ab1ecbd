//! Plugins that somebody has written: their schemas are uploaded, versioned, and rule what may be configured.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::App;

const BASE: &str = "/v2/control-planes/default/core-entities";

const SCHEMA: &str = r#"
return {
  name = "greeter",
  fields = {
    { config = { type = "record", fields = {
        { word = { type = "string", required = true, custom_validator = function(word)
            return word ~= "bye", "that is no greeting"
          end } },
        { times = { type = "integer", default = 1 } },
    } } },
  },
}
"#;

fn path(rest: &str) -> String {
    format!("{BASE}{rest}")
}

fn upload(schema: &str) -> Value {
    json!({ "lua_schema": schema })
}

fn plugin(config: Value) -> Value {
    json!({ "name": "greeter", "config": config })
}

#[tokio::test]
async fn an_uploaded_schema_makes_its_plugin_known_to_its_group_only() {
    let app = App::start().await;
    app.post(&path("/plugins"), &plugin(json!({"word": "hi"})))
        .await
        .expect(400);
    let created = app
        .post(&path("/plugin-schemas"), &upload(SCHEMA))
        .await
        .expect(201);
    assert_eq!(created.body["item"]["name"], "greeter");
    assert_eq!(created.body["item"]["lua_schema"], SCHEMA);
    app.post(&path("/plugin-schemas"), &upload(SCHEMA))
        .await
        .expect(409);
    let made = app
        .post(&path("/plugins"), &plugin(json!({"word": "hi"})))
        .await
        .expect(201);
    assert_eq!(made.body["config"], json!({"word": "hi", "times": 1}));
    let refused = app
        .post(&path("/plugins"), &plugin(json!({"word": "bye"})))
        .await
        .expect(400);
    assert_eq!(
        refused.body["message"],
        "schema violation (config.word: that is no greeting)"
    );
    let schema = app.get(&path("/schemas/plugins/greeter")).await.expect(200);
    assert_eq!(schema.body["fields"][0]["config"]["type"], "record");
    app.post(&path("/schemas/plugins/validate"), &plugin(json!({"word": "hi"})))
        .await
        .expect(200);
    app.post("/v2/runtime-groups", &json!({"name": "other"}))
        .await
        .expect(201);
    let elsewhere = "/groups/other/admin";
    app.post(&format!("{elsewhere}/plugins"), &plugin(json!({"word": "hi"})))
        .await
        .expect(400);
    app.get(&format!("{elsewhere}/schemas/plugins/greeter"))
        .await
        .expect(404);
}

#[tokio::test]
async fn what_a_schema_is_used_for_fits_it_at_any_time() {
    let app = App::start().await;
    app.post(&path("/plugin-schemas"), &upload(SCHEMA))
        .await
        .expect(201);
    app.post(&path("/plugins"), &plugin(json!({"word": "hi"})))
        .await
        .expect(201);
    let one = path("/plugin-schemas/greeter");
    let put = |schema: &str| app.request(Method::PUT, &one).json(&upload(schema)).send();
    let refused = put(&SCHEMA.replace("\"bye\"", "\"hi\"")).await.expect(400);
    let message = refused.body["message"].as_str().unwrap().to_owned();
    assert!(message.contains("that is no greeting"), "{message}");
    put(&SCHEMA.replace("default = 1", "default = 2"))
        .await
        .expect(200);
    put(&SCHEMA.replace("greeter", "other")).await.expect(400);
    put("return {}").await.expect(400);
    put("while true do end").await.expect(400);
    app.request(Method::DELETE, &one).send().await.expect(400);
    let listed = app.get(&path("/plugin-schemas")).await.expect(200);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1);
    let first = app.get(&format!("{one}?at=1")).await.expect(200);
    assert_eq!(first.body["item"]["lua_schema"], SCHEMA);
}
