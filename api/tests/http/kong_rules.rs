//! Entities by the finer rules of Kong's Admin API: what names one, what is nested where, forms, lifetimes.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{App, Heard};

const FORM: &str = "application/x-www-form-urlencoded";

fn admin(path: &str) -> String {
    format!("/groups/default/admin{path}")
}

async fn form(app: &App, method: Method, path: &str, fields: &'static str) -> Heard {
    app.request(method, &admin(path)).bytes(FORM, fields).send().await
}

fn certificate(name: &str) -> Value {
    let pair = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    json!({"cert": pair.cert.pem(), "key": pair.signing_key.serialize_pem()})
}

#[tokio::test]
async fn a_certificate_is_called_by_any_of_its_snis() {
    let app = App::start().await;
    let body = certificate("a.example");
    let path = admin("/certificates/a.example");
    app.get(&path).await.expect(404);
    let made = app.put(&path, &body).await.expect(200).body;
    assert_eq!(made["snis"], json!(["a.example"]));
    let sni = app.get(&admin("/snis/a.example")).await.expect(200).body;
    assert_eq!(sni["certificate"]["id"], made["id"]);
    let mut more = body.clone();
    more["snis"] = json!(["b.example"]);
    let replaced = app.put(&path, &more).await.expect(200).body;
    assert_eq!(replaced["id"], made["id"], "the same certificate");
    assert_eq!(replaced["snis"], json!(["a.example", "b.example"]));
    let by_other = admin("/certificates/b.example");
    let patched = app
        .patch(&by_other, &json!({"tags": ["t"]}))
        .await
        .expect(200)
        .body;
    assert_eq!((&patched["id"], &patched["tags"]), (&made["id"], &json!(["t"])));
    let nested = app
        .get(&admin("/certificates/b.example/snis"))
        .await
        .expect(200)
        .body;
    assert_eq!(nested["data"].as_array().unwrap().len(), 2);
    app.delete(&by_other).await.expect(204);
    app.get(&path).await.expect(404);
    app.get(&admin("/snis/a.example")).await.expect(404);
}

#[tokio::test]
async fn each_kind_is_called_by_its_own_key() {
    let app = App::start().await;
    app.post(
        &admin("/consumers"),
        &json!({"username": "älice b", "custom_id": "c 1"}),
    )
    .await
    .expect(201);
    let consumer = app
        .get(&admin("/consumers/%C3%A4lice%20b"))
        .await
        .expect(200)
        .body;
    let credential = json!({"key": "k/1"});
    let credential = app
        .post(&admin("/consumers/%C3%A4lice%20b/key-auth"), &credential)
        .await;
    let credential = credential.expect(201).body;
    for path in ["/key-auths/k%2F1", "/consumers/%C3%A4lice%20b/key-auth/k%2F1"] {
        assert_eq!(app.get(&admin(path)).await.expect(200).body, credential, "{path}");
    }
    let plugin = json!({"name": "key-auth", "instance_name": "door"});
    app.post(&admin("/plugins"), &plugin).await.expect(201);
    app.patch(&admin("/plugins/door"), &json!({"enabled": false}))
        .await
        .expect(200);
    app.delete(&admin("/plugins/door")).await.expect(204);
    app.get(&admin("/plugins/door")).await.expect(404);
    for (query, found) in [
        ("custom_id=c%201", json!([consumer])),
        ("custom_id=nope", json!([])),
    ] {
        let listed = app
            .get(&admin(&format!("/consumers?{query}")))
            .await
            .expect(200)
            .body;
        assert_eq!(listed, json!({"data": found, "next": null}));
    }
}

#[tokio::test]
async fn credentials_vaults_keys_and_targets_are_called_by_their_own_keys_too() {
    let app = App::start().await;
    for (collection, body) in [
        ("/consumers", json!({"username": "u"})),
        ("/consumers", json!({"username": "v"})),
        ("/upstreams", json!({"name": "up"})),
        ("/key-sets", json!({"name": "ring"})),
        ("/services", json!({"name": "s", "host": "h"})),
        (
            "/plugins",
            json!({"name": "oauth2", "service": {"name": "s"}, "config": {"enable_password_grant": true}}),
        ),
    ] {
        app.post(&admin(collection), &body).await.expect(201);
    }
    let oauth2 = json!({"name": "app", "client_id": "c", "redirect_uris": ["http://h/"]});
    for (path, key, body) in [
        ("/consumers/u/oauth2/c", "client_id", oauth2),
        (
            "/consumers/u/basic-auth/name",
            "username",
            json!({"password": "p"}),
        ),
        ("/consumers/u/hmac-auth/name", "username", json!({})),
        ("/consumers/u/jwt/issuer", "key", json!({})),
        ("/consumers/u/acls/readers", "group", json!({})),
        (
            "/vaults/env-one",
            "prefix",
            json!({"name": "env", "config": {"prefix": "a"}}),
        ),
        (
            "/upstreams/up/targets/10.0.0.1:80",
            "target",
            json!({"weight": 7}),
        ),
        ("/key-sets/ring", "name", json!({"tags": ["t"]})),
    ] {
        let put = app.put(&admin(path), &body).await.expect(200).body;
        let named = path.rsplit('/').next().unwrap();
        assert_eq!(put[key], named, "{path}: a PUT makes what it names");
        let read = app.get(&admin(path)).await.expect(200).body;
        assert_eq!(read, put, "{path}");
        let patched = app
            .patch(&admin(path), &json!({"tags": ["x"]}))
            .await
            .expect(200)
            .body;
        assert_eq!(
            (&patched["id"], &patched["tags"]),
            (&put["id"], &json!(["x"])),
            "{path}"
        );
        let again = app.put(&admin(path), &body).await.expect(200).body;
        assert_eq!(again["id"], put["id"], "{path}");
        if path.starts_with("/consumers/u/") {
            let elsewhere = path.replace("/u/", "/v/");
            app.get(&admin(&elsewhere)).await.expect(404);
            app.delete(&admin(&elsewhere)).await.expect(204);
            app.get(&admin(path)).await.expect(200);
        }
        app.delete(&admin(path)).await.expect(204);
        app.get(&admin(path)).await.expect(404);
    }
    let acl = app
        .post(&admin("/consumers/u/acls"), &json!({"group": "g"}))
        .await
        .expect(201)
        .body;
    app.get(&admin(&format!("/acls/{}", acl["id"].as_str().unwrap())))
        .await
        .expect(200);
    app.get(&admin("/acls/g")).await.expect(404);
}

#[tokio::test]
async fn refusals_have_kongs_numbers_names_and_words() {
    let app = App::start().await;
    let service = json!({"name": "s", "host": "h"});
    let service = app.post(&admin("/services"), &service).await.expect(201).body;
    let id = service["id"].as_str().unwrap();
    let nobody = "11111111-1111-4111-8111-111111111111";
    app.post(&admin("/plugins"), &json!({"name": "key-auth"}))
        .await
        .expect(201);
    let route = |service: Value| json!({"paths": ["/"], "service": service});
    for (path, body, status, expected) in [
        (
            "/services",
            json!({"id": id, "host": "h"}),
            400,
            json!({
                "code": 3, "name": "primary key violation", "fields": {"id": id},
                "message": format!("primary key violation on key '{{id=\"{id}\"}}'"),
            }),
        ),
        (
            "/services",
            json!({"name": "s", "host": "h"}),
            409,
            json!({
                "code": 5, "name": "unique constraint violation", "fields": {"name": "s"},
                "message": "UNIQUE violation detected on '{name=\"s\"}'",
            }),
        ),
        (
            "/plugins",
            json!({"name": "key-auth"}),
            409,
            json!({
                "code": 5, "name": "unique constraint violation",
                "fields": {"consumer": null, "name": "key-auth", "route": null, "service": null},
                "message": "UNIQUE violation detected on '{consumer=null,name=\"key-auth\",route=null,service=null}'",
            }),
        ),
        (
            "/routes",
            route(json!({"id": nobody})),
            400,
            json!({
                "code": 4, "name": "foreign key violation", "fields": {"service": {"id": nobody}},
                "message": format!(
                    "the foreign key '{{id=\"{nobody}\"}}' does not reference an existing 'services' entity."
                ),
            }),
        ),
        (
            "/routes",
            route(json!({"name": "x"})),
            400,
            json!({
                "code": 13, "name": "foreign keys unresolved", "fields": {"service": {"name": "x"}},
                "message": "foreign key unresolved (service.name: the foreign key cannot be resolved with \
                    '{name=\"x\"}' for an existing 'services' entity)",
            }),
        ),
        (
            "/routes",
            route(json!({"id": "s"})),
            400,
            json!({
                "code": 2, "name": "schema violation", "fields": {"service": {"id": "expected a valid UUID"}},
                "message": "schema violation (service.id: expected a valid UUID)",
            }),
        ),
        (
            "/plugins",
            json!({"name": "nope"}),
            400,
            json!({
                "code": 2, "name": "schema violation",
                "fields": {"name": "plugin 'nope' not enabled; add it to the 'plugins' configuration property"},
                "message": "schema violation (name: plugin 'nope' not enabled; add it to the 'plugins' \
                    configuration property)",
            }),
        ),
    ] {
        let heard = app.post(&admin(path), &body).await.expect(status).body;
        assert_eq!(heard, expected, "{path} {body}");
    }
    let absent = app
        .patch(&admin(&format!("/services/{nobody}")), &json!({"port": 1}))
        .await;
    assert_eq!(
        absent.expect(404).body,
        json!({
            "code": 6, "name": "not found", "fields": {"id": nobody},
            "message": format!("could not find the entity with primary key '{{id=\"{nobody}\"}}'"),
        })
    );
    let certificate = admin(&format!("/certificates/{nobody}"));
    assert_eq!(app.get(&certificate).await.expect(404).body["code"], 6);
    app.post(&admin("/services/s/routes"), &json!({"paths": ["/"]}))
        .await
        .expect(201);
    let held = app.delete(&admin("/services/s")).await.expect(400).body;
    assert_eq!(
        held,
        json!({
            "code": 4, "name": "foreign key violation", "fields": {"@referenced_by": "routes"},
            "message": "an existing 'routes' entity references this 'services' entity",
        })
    );
}

#[tokio::test]
async fn a_certificate_authority_that_is_trusted_stays() {
    let app = App::start().await;
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = json!({"cert": parameters.self_signed(&key).unwrap().pem()});
    let authority = app
        .post(&admin("/ca_certificates"), &authority)
        .await
        .expect(201)
        .body;
    let id = authority["id"].as_str().unwrap();
    let service = json!({"name": "s", "protocol": "https", "host": "h", "ca_certificates": [id]});
    let service = app.post(&admin("/services"), &service).await.expect(201).body;
    let path = admin(&format!("/ca_certificates/{id}"));
    let held = app.delete(&path).await.expect(400).body;
    assert_eq!(
        (&held["code"], &held["name"]),
        (&json!(19), &json!("referenced by others"))
    );
    let by = service["id"].as_str().unwrap();
    assert_eq!(
        held["message"],
        format!("ca certificate {id} is still referenced by services (id = {by})")
    );
    app.delete(&admin("/services/s")).await.expect(204);
    app.delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_is_nested_is_changed_and_deleted_only_below_its_own_parent() {
    let app = App::start().await;
    for name in ["a", "b"] {
        app.post(&admin("/services"), &json!({"name": name, "host": "h"}))
            .await
            .expect(201);
    }
    let route = json!({"name": "r", "paths": ["/r"]});
    app.post(&admin("/services/a/routes"), &route).await.expect(201);
    let change = json!({"paths": ["/s"]});
    app.patch(&admin("/services/b/routes/r"), &change)
        .await
        .expect(404);
    app.patch(&admin("/services/a/routes/r"), &change)
        .await
        .expect(200);
    app.delete(&admin("/services/b/routes/r")).await.expect(204);
    app.get(&admin("/routes/r")).await.expect(200);
    app.delete(&admin("/services/a/routes/nope")).await.expect(204);
    for heard in [
        app.delete(&admin("/services/nope/routes/r")).await,
        app.post(&admin("/services/nope/routes"), &route).await,
        app.put(&admin("/services/nope/routes/r"), &route).await,
    ] {
        assert_eq!(heard.expect(404).body, json!({"message": "Not found"}));
    }
    app.delete(&admin("/services/a/routes/r")).await.expect(204);
    app.get(&admin("/routes/r")).await.expect(404);
}

#[tokio::test]
async fn what_an_entity_does_not_refer_to_yet_is_made_by_a_put() {
    let app = App::start().await;
    app.post(&admin("/routes"), &json!({"name": "r", "paths": ["/r"]}))
        .await
        .expect(201);
    app.get(&admin("/routes/r/service")).await.expect(404);
    app.patch(&admin("/routes/r/service"), &json!({"port": 1}))
        .await
        .expect(404);
    let made = app
        .put(&admin("/routes/r/service"), &json!({"name": "s", "host": "h"}))
        .await;
    let made = made.expect(200);
    assert_eq!(made.header("x-group-version"), "2", "one change");
    let route = app.get(&admin("/routes/r")).await.expect(200).body;
    assert_eq!(route["service"], json!({"id": made.body["id"]}));
    let again = app
        .put(&admin("/routes/r/service"), &json!({"name": "t", "host": "h"}))
        .await;
    assert_eq!(again.expect(200).body["id"], made.body["id"]);
    app.post(&admin("/routes"), &json!({"name": "q", "paths": ["/q"]}))
        .await
        .expect(201);
    let wrong = app
        .put(&admin("/routes/q/service"), &json!({"name": "u"}))
        .await
        .expect(400)
        .body;
    assert_eq!(
        wrong["message"],
        "schema violation (host: required field missing)"
    );
    app.delete(&admin("/routes/r/service")).await.expect(405);
}

#[tokio::test]
async fn a_form_is_a_body_too() {
    let app = App::start().await;
    let fields = "name=s&url=http%3A%2F%2Fh%3A81%2Fx&retries=7&tags[]=a&tags[]=b";
    let service = form(&app, Method::POST, "/services", fields)
        .await
        .expect(201)
        .body;
    assert_eq!(
        (&service["port"], &service["retries"], &service["tags"]),
        (&json!(81), &json!(7), &json!(["a", "b"]))
    );
    let cleared = form(&app, Method::PATCH, "/services/s", "path=&enabled=false").await;
    let cleared = cleared.expect(200).body;
    assert_eq!(
        (&cleared["path"], &cleared["enabled"]),
        (&Value::Null, &json!(false))
    );
    let route = "name=r&paths[1]=/a&paths[2]=/b&service.name=s&headers.x-a[]=1";
    let route = form(&app, Method::POST, "/routes", route).await.expect(201).body;
    assert_eq!(route["paths"], json!(["/a", "/b"]));
    assert_eq!(route["service"]["id"], service["id"]);
    let plugin = "name=rate-limiting&instance_name=limit&config.minute=5&config.policy=local";
    form(&app, Method::PUT, "/plugins/limit", plugin)
        .await
        .expect(200);
    let patched = form(&app, Method::PATCH, "/plugins/limit", "config.minute=9").await;
    assert_eq!(patched.expect(200).body["config"]["minute"], 9);
    let wrong = form(&app, Method::POST, "/services", "host=h&port=many")
        .await
        .expect(400);
    assert_eq!(wrong.body["fields"], json!({"port": "expected an integer"}));
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\nm\r\n--b--\r\n";
    let call = app.request(Method::POST, &admin("/consumers"));
    let call = call.bytes("multipart/form-data; boundary=b", multipart);
    assert_eq!(call.send().await.expect(201).body["username"], "m");
    for (media, body) in [(FORM, "a=%ff"), (FORM, "a=1&a.b=2"), ("multipart/form-data", "x")] {
        let call = app.request(Method::POST, &admin("/services")).bytes(media, body);
        let heard = call.send().await.expect(400);
        assert!(!heard.body["message"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_lifetime_is_shown_as_what_is_left_of_it() {
    let app = App::start().await;
    app.post(&admin("/consumers"), &json!({"username": "u"}))
        .await
        .expect(201);
    let mortal = json!({"key": "k", "ttl": 100});
    let made = app
        .post(&admin("/consumers/u/key-auth"), &mortal)
        .await
        .expect(201)
        .body;
    let read = app.get(&admin("/key-auths/k")).await.expect(200).body;
    let listed = app.get(&admin("/key-auths")).await.expect(200).body["data"][0].clone();
    for shown in [made, read, listed] {
        let left = shown["ttl"].as_i64().unwrap();
        assert!((1..100).contains(&left), "{left}");
    }
    let past = app.get(&admin("/key-auths/k?at=2")).await.expect(200).body;
    assert!(past["ttl"].as_i64().unwrap() < 100, "the newest version is now");
    app.patch(&admin("/key-auths/k"), &json!({"tags": ["t"]}))
        .await
        .expect(200);
    let past = app.get(&admin("/key-auths/k?at=2")).await.expect(200).body;
    assert_eq!(past["ttl"], 100, "the past is as it was set");
}

#[tokio::test]
async fn pages_of_one_lead_through_a_whole_nested_list() {
    let app = App::start().await;
    app.post(&admin("/services"), &json!({"name": "ä", "host": "h"}))
        .await
        .expect(201);
    for number in 0..3 {
        let route = json!({"paths": [format!("/{number}")], "tags": ["t"]});
        app.post(&admin("/services/%C3%A4/routes"), &route)
            .await
            .expect(201);
    }
    let first = app
        .get(&admin("/services/%C3%A4/routes?size=1&tags=ignored"))
        .await
        .expect(200);
    assert_eq!(first.body["data"].as_array().unwrap().len(), 1);
    let next = first.body["next"].as_str().unwrap();
    assert!(next.starts_with("/services/%C3%A4/routes?offset="), "{next}");
    assert!(!next.contains("size="), "{next}");
    let rest = app.get(&admin(next)).await.expect(200).body;
    assert_eq!(rest["data"].as_array().unwrap().len(), 2);
    assert_eq!(rest.get("offset"), None);
    assert_eq!(rest["next"], Value::Null);
    let bad = app.get(&admin("/services?offset=%21")).await.expect(400).body;
    assert_eq!(
        (&bad["code"], &bad["name"]),
        (&json!(7), &json!("invalid offset"))
    );
    let bad = app.get(&admin("/services?size=x")).await.expect(400).body;
    assert_eq!((&bad["code"], &bad["name"]), (&json!(9), &json!("invalid size")));
    let bad = app.get(&admin("/services?tags=a,b/c")).await.expect(400).body;
    assert_eq!(
        bad,
        json!({
            "code": 11, "name": "invalid options",
            "message": "invalid option (tags: invalid filter syntax)",
            "options": {"tags": "invalid filter syntax"},
        })
    );
}
