//! Entities: by Kong's rules, flat and nested, now and in the past.

use axum::http::Method;
use serde_json::json;

use crate::app::App;

const ENTITIES: &str = "/v2/runtime-groups/default/core-entities";

fn at(path: &str) -> String {
    format!("{ENTITIES}{path}")
}

#[tokio::test]
async fn a_service_is_created_read_replaced_changed_and_deleted() {
    let app = App::start().await;
    let created = app
        .post(
            &at("/services"),
            &json!({"name": "orders", "url": "http://orders.example:81/x"}),
        )
        .await
        .expect(201);
    assert_eq!(created.body["host"], "orders.example");
    assert_eq!(created.body["retries"], 5);
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.header("x-group-version"), "1");
    let id = created.body["id"].as_str().unwrap().to_owned();
    for prefix in [
        "/v2/control-planes/default/core-entities",
        "/konnect-api/api/runtime_groups/default",
        "/groups/default/admin",
    ] {
        let read = app.get(&format!("{prefix}/services/orders")).await.expect(200);
        assert_eq!(read.body, created.body, "{prefix}");
    }
    let put = app
        .put(&at(&format!("/services/{id}")), &json!({"host": "b.example"}))
        .await
        .expect(200);
    assert_eq!(put.body["name"], json!(null), "a PUT replaces whole");
    let patched = app
        .patch(&at(&format!("/services/{id}")), &json!({"port": 81}))
        .await
        .expect(200);
    assert_eq!(patched.body["host"], "b.example");
    app.delete(&at(&format!("/services/{id}"))).await.expect(204);
    app.delete(&at(&format!("/services/{id}"))).await.expect(204);
    let gone = app.get(&at(&format!("/services/{id}"))).await.expect(404);
    assert_eq!(gone.body, json!({"message": "Not found"}));
}

#[tokio::test]
async fn kongs_errors_have_their_codes_names_and_fields() {
    let app = App::start().await;
    let missing = app
        .post(&at("/services"), &json!({"name": "x"}))
        .await
        .expect(400);
    assert_eq!(
        missing.body,
        json!({
            "code": 2, "name": "schema violation",
            "message": "schema violation (host: required field missing)",
            "fields": {"host": "required field missing"},
        })
    );
    app.post(&at("/services"), &json!({"name": "x", "host": "h"}))
        .await
        .expect(201);
    let taken = app
        .post(&at("/services"), &json!({"name": "x", "host": "h"}))
        .await
        .expect(409);
    assert_eq!(
        (&taken.body["code"], &taken.body["fields"]),
        (&json!(5), &json!({"name": "x"}))
    );
    let nobody = "11111111-1111-4111-8111-111111111111";
    let dangling = json!({"paths": ["/"], "service": {"id": nobody}});
    let dangling = app.post(&at("/routes"), &dangling).await.expect(400);
    assert_eq!(
        (&dangling.body["code"], &dangling.body["fields"]["service"]["id"]),
        (&json!(4), &json!(nobody))
    );
    app.post(&at("/services/x/routes"), &json!({"paths": ["/"]}))
        .await
        .expect(201);
    let held = app.delete(&at("/services/x")).await.expect(400);
    assert_eq!(held.body["fields"], json!({"@referenced_by": "routes"}));
    let absent = app
        .patch(&at("/services/nope"), &json!({"port": 1}))
        .await
        .expect(404);
    assert_eq!(absent.body["code"], 6);
    let unknown = app.get(&at("/nonsense")).await.expect(404);
    assert_eq!(unknown.body, json!({"message": "Not found"}));
    let wrong = app.put(&at("/services"), &json!({})).await.expect(405);
    assert_eq!(wrong.header("allow"), "GET, HEAD, OPTIONS, POST");
    assert_eq!(wrong.body, json!({"message": "Method not allowed"}));
}

#[tokio::test]
async fn nested_collections_belong_to_their_parent_and_lead_back_to_it() {
    let app = App::start().await;
    for name in ["a", "b"] {
        app.post(&at("/services"), &json!({"name": name, "host": "h"}))
            .await
            .expect(201);
    }
    let route = app
        .post(&at("/services/a/routes"), &json!({"name": "r", "paths": ["/r"]}))
        .await
        .expect(201);
    let id = route.body["id"].as_str().unwrap();
    app.get(&at(&format!("/services/a/routes/{id}")))
        .await
        .expect(200);
    app.get(&at("/services/a/routes/r")).await.expect(200);
    app.get(&at("/services/b/routes/r")).await.expect(404);
    app.get(&at("/services/c/routes")).await.expect(404);
    let back = app.get(&at("/routes/r/service")).await.expect(200);
    assert_eq!(back.body["name"], "a");
    app.patch(&at("/routes/r/service"), &json!({"port": 99}))
        .await
        .expect(200);
    assert_eq!(app.get(&at("/services/a")).await.body["port"], 99);
    app.post(&at("/upstreams"), &json!({"name": "u"}))
        .await
        .expect(201);
    app.post(&at("/upstreams/u/targets"), &json!({"target": "10.0.0.1:80"}))
        .await
        .expect(201);
    let target = app.get(&at("/upstreams/u/targets/10.0.0.1:80")).await.expect(200);
    assert_eq!(target.body["weight"], 100);
}

#[tokio::test]
async fn lists_come_in_pages_and_by_tags() {
    let app = App::start().await;
    for number in 0..5 {
        let body =
            json!({"name": format!("s{number}"), "host": "h", "tags": ["all", format!("n{}", number % 2)]});
        app.post(&at("/services"), &body).await.expect(201);
    }
    let mut ids = Vec::new();
    let mut path = "/services?size=2&tags=all".to_owned();
    loop {
        let page = app.get(&at(&path)).await.expect(200);
        let data = page.body["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        ids.extend(
            data.iter()
                .map(|service| service["id"].as_str().unwrap().to_owned()),
        );
        match page.body["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(ids.len(), 5);
    assert!(ids.is_sorted());
    assert_eq!(
        app.get(&at("/services?tags=all,n1")).await.body["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        app.get(&at("/services?tags=n0/n1")).await.body["data"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let bad = app.get(&at("/services?size=1001")).await.expect(400);
    assert_eq!(bad.body["message"], "size must be an integer between 1 and 1000");
    assert_eq!(
        app.get(&at("/routes")).await.body,
        json!({"data": [], "next": null})
    );
}

#[tokio::test]
async fn the_past_is_read_by_version_and_time() {
    let app = App::start().await;
    let created = app
        .post(&at("/services"), &json!({"name": "s", "host": "one"}))
        .await
        .expect(201);
    app.patch(&at("/services/s"), &json!({"host": "two"}))
        .await
        .expect(200);
    let past = app.get(&at("/services/s?at=1")).await.expect(200);
    assert_eq!(past.body, created.body);
    assert_eq!(
        (past.header("etag"), past.header("x-group-version")),
        ("\"1\"", "2")
    );
    app.get(&at("/services/s?at=0")).await.expect(404);
    app.get(&at("/services/s?at=3")).await.expect(404);
    assert_eq!(app.get(&at("/services?at=0")).await.body["data"], json!([]));
    assert_eq!(
        app.get(&at("/services?at=2001-01-01T00:00:00Z")).await.body["data"],
        json!([])
    );
    let later = app
        .get(&at("/services/s?at=2999-01-01T00:00:00%2B02:00"))
        .await
        .expect(200);
    assert_eq!(later.body["host"], "two");
    app.get(&at("/services/s?at=yesterday")).await.expect(400);
}

#[tokio::test]
async fn a_certificate_carries_its_snis_and_each_prefix_has_its_own_rule_for_leaving_them_out() {
    let app = App::start().await;
    let pair = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let body = json!({"cert": pair.cert.pem(), "key": pair.signing_key.serialize_pem()});
    let mut with_names = body.clone();
    with_names["snis"] = json!(["b.example", "a.example"]);
    let created = app.post(&at("/certificates"), &with_names).await.expect(201);
    assert_eq!(created.body["snis"], json!(["a.example", "b.example"]));
    let id = created.body["id"].as_str().unwrap().to_owned();
    let kept = app
        .put(&at(&format!("/certificates/{id}")), &body)
        .await
        .expect(200);
    assert_eq!(kept.body["snis"], json!(["a.example", "b.example"]));
    let listed = app.get(&at("/certificates")).await.expect(200);
    assert_eq!(listed.body["data"][0]["snis"], json!(["a.example", "b.example"]));
    let admin = format!("/groups/default/admin/certificates/{id}");
    let dropped = app.put(&admin, &body).await.expect(200);
    assert_eq!(dropped.body["snis"], json!([]));
}

#[tokio::test]
async fn a_viewer_reads_everything_but_secrets() {
    let app = App::start().await;
    app.post(&at("/consumers"), &json!({"username": "alice"}))
        .await
        .expect(201);
    app.post(&at("/consumers/alice/key-auth"), &json!({"key": "s3cret"}))
        .await
        .expect(201);
    let viewer = app.token("viewer", None).await;
    let seen = app
        .request(Method::GET, &at("/consumers/alice/key-auth"))
        .with_token(&viewer);
    let seen = seen.send().await.expect(200);
    assert_eq!(seen.body["data"][0]["key"], "{redacted}");
    let consumer = app
        .request(Method::GET, &at("/consumers/alice"))
        .with_token(&viewer)
        .send()
        .await;
    assert_eq!(consumer.expect(200).body["username"], "alice");
    for path in ["/versions/2", "/diff?from=0", "/dump", "/versions/2/config"] {
        let path = format!("/v2/runtime-groups/default{path}");
        let whole = app
            .request(Method::GET, &path)
            .with_token(&viewer)
            .send()
            .await
            .expect(200);
        assert!(!whole.text.contains("s3cret"), "{path}");
        assert!(whole.text.contains("{redacted}"), "{path}: {}", whole.text);
        let shown = app.get(&path).await.expect(200);
        // A difference shows secrets to nobody.
        let is_shown = !path.contains("/diff");
        assert_eq!(shown.text.contains("s3cret"), is_shown, "{path}: {}", shown.text);
    }
}
