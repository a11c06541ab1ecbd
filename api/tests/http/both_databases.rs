//! SQLite and PostgreSQL give the same answers for the same log, byte for byte and in the same order.

use std::collections::BTreeMap;

use axum::http::Method;
use domain::Secret;
use projections::Location;
use serde_json::{Value, json};

use crate::app::{App, Heard};
use crate::eventually::eventually;
use crate::postgres_server::PostgresServer;

const FIXTURES: [&str; 5] = [
    include_str!("../../../tests/fixtures/storefront.yaml"),
    include_str!("../../../tests/fixtures/balancing.yaml"),
    include_str!("../../../tests/fixtures/certificates.yaml"),
    include_str!("../../../tests/fixtures/consumers.yaml"),
    include_str!("../../../tests/fixtures/explicit-ids.yaml"),
];

/// Names whose order differs between languages and bytes.
const NAMES: [&str; 7] = [
    "Zebra",
    "apple",
    "\u{c4}pfel",
    "\u{e9}lan",
    "_below",
    "zebra",
    "b-side",
];

/// What an answer has of its own: the request's id and the time.
const OWN_HEADERS: [&str; 2] = ["x-request-id", "date"];

#[tokio::test]
async fn both_databases_answer_every_question_in_the_same_bytes() {
    let sqlite = App::start().await;
    let deleted = live(&sqlite).await;
    let url = PostgresServer::shared().fresh_database().await;
    let postgres = sqlite.reading_from(Location::Postgres(Secret::new(url))).await;
    eventually("the credential has expired", async || {
        let listed = sqlite.get("/groups/Zebra/admin/key-auths").await;
        let gone = listed.body["data"].as_array().is_some_and(Vec::is_empty);
        gone.then_some(()).ok_or(listed.text)
    })
    .await;
    eventually("PostgreSQL has caught up", async || {
        let heard = postgres.get("/v2/runtime-groups").await;
        heard.status.is_success().then_some(()).ok_or(heard.text)
    })
    .await;
    let (mut asked, mut answered, mut continued) = (0, 0, 0);
    for path in questions(&sqlite, deleted).await {
        let mut next = Some(path);
        while let Some(path) = next {
            let (one, other) = (sqlite.get(&path).await, postgres.get(&path).await);
            assert_eq!(said(&one), said(&other), "{path}");
            next = following(&path, &one);
            asked += 1;
            answered += usize::from(one.status.is_success());
            continued += usize::from(next.is_some());
        }
    }
    let counted = format!("{answered} of {asked} questions answered, {continued} followed by a next page");
    assert!(
        asked > 2_000 && answered > asked / 2 && continued > 150,
        "{counted}"
    );
}

/// Groups that come, change and go; entities of every kind, changed, renamed, tagged, expired and deleted; tokens. The id of the
/// group that is gone.
async fn live(app: &App) -> String {
    for (number, name) in NAMES.iter().enumerate() {
        let labels =
            json!({"env": if number % 2 == 0 { "prod" } else { "test" }, "number": number.to_string()});
        let body = json!({"name": name, "description": name, "labels": labels});
        app.post("/v2/runtime-groups", &body).await.expect(201);
        for name in NAMES {
            let body = json!({"name": format!("{name}-service"), "host": "s.test", "tags": [name, "all", "x".repeat(3_000)]});
            let path = format!(
                "/v2/runtime-groups/{}/core-entities/services",
                escaped(NAMES[number])
            );
            app.post(&path, &body).await.expect(201);
        }
    }
    for file in FIXTURES {
        let call = app.request(Method::POST, "/v2/runtime-groups/default/apply");
        call.header("x-change-message", "\u{fc}ber alles")
            .bytes("application/yaml", file.to_owned())
            .send()
            .await
            .expect(200);
    }
    let services = "/v2/runtime-groups/default/core-entities/services";
    for number in 0..12 {
        let body = json!({"name": format!("renamed-{number}"), "tags": [NAMES[number % 7], "moved"]});
        let id = app.get(services).await.expect(200).body["data"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        app.patch(&format!("{services}/{id}"), &body).await.expect(200);
    }
    let id = app.get(services).await.expect(200).body["data"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for route in app.get(&format!("{services}/{id}/routes")).await.expect(200).body["data"]
        .as_array()
        .unwrap()
    {
        let route = route["id"].as_str().unwrap();
        app.delete(&format!(
            "/v2/runtime-groups/default/core-entities/routes/{route}"
        ))
        .await
        .expect(204);
    }
    app.post("/v2/runtime-groups/default/rollback", &json!({"to": 3}))
        .await
        .expect(200);
    app.post("/groups/Zebra/admin/consumers", &json!({"username": "ada"}))
        .await
        .expect(201);
    let credential = json!({"key": "short-lived", "ttl": 1});
    app.post("/groups/Zebra/admin/consumers/ada/key-auth", &credential)
        .await
        .expect(201);
    app.delete("/groups/Zebra/admin/consumers/ada").await.expect(204);
    app.patch("/v2/runtime-groups/apple", &json!({"name": "\u{c5}pple"}))
        .await
        .expect(200);
    let gone = app.get("/v2/runtime-groups/zebra").await.expect(200).body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    app.delete("/v2/runtime-groups/zebra").await.expect(204);
    let token = app
        .post("/v2/tokens", &json!({"name": "\u{e4}", "role": "viewer"}))
        .await
        .expect(201);
    app.post(
        "/v2/tokens",
        &json!({"name": "z", "role": "instance", "group": "Zebra"}),
    )
    .await
    .expect(201);
    let token = token.body["id"].as_str().unwrap().to_owned();
    app.delete(&format!("/v2/tokens/{token}")).await.expect(204);
    gone
}

/// Every GET of the API with everything that its path may name.
async fn questions(app: &App, deleted: String) -> Vec<String> {
    let description = app.get("/openapi.json").await.expect(200).body;
    let groups = app
        .get("/v2/runtime-groups?page[size]=1000")
        .await
        .expect(200)
        .body;
    let groups: Vec<_> = groups["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["name"].as_str().unwrap())
        .collect();
    let tokens = app.get("/v2/tokens").await.expect(200).body;
    let mut choices: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let groups = groups.iter().map(|name| escaped(name)).chain([deleted]);
    choices.insert("group", groups.collect());
    choices.insert("token", ids(&tokens));
    choices.insert(
        "version",
        (0..24)
            .map(|version| version.to_string())
            .chain(["latest".to_owned()])
            .collect(),
    );
    let mut paths = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        // Health is about the process, and a challenge and an export say when they were made.
        let never_alike = ["/healthz", "/readyz", "/metrics", "/openapi.json"].contains(&path.as_str())
            || path.ends_with("/challenge")
            || path.ends_with("/history/export")
            || path.ends_with("/events");
        if methods.get("get").is_some() && !never_alike {
            paths.extend(filled(app, path, &choices).await);
        }
    }
    for page in [
        "page[size]=1",
        "page[size]=3&page[number]=2",
        "sort=name",
        "sort=name+desc",
        "sort=created_at+desc",
    ] {
        paths.push(format!("/v2/runtime-groups?{page}"));
    }
    for filter in [
        "labels=env:prod",
        "filter[name][contains]=PP",
        "filter[name][neq]=Zebra",
        "filter[deleted]=true",
    ] {
        paths.push(format!("/v2/runtime-groups?{filter}"));
    }
    paths
}

/// A path with each of its parameters' values, and its lists in pages of several sizes, filtered and in the past.
async fn filled(app: &App, template: &str, choices: &BTreeMap<&str, Vec<String>>) -> Vec<String> {
    let mut paths = vec![String::new()];
    for segment in template.split('/').skip(1) {
        let mut longer = Vec::new();
        for path in paths {
            let values = match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                None => vec![segment.to_owned()],
                Some(name) => match choices.get(name) {
                    Some(values) => values.clone(),
                    // The entities of the list that the path names so far.
                    None => ids(&app.get(&format!("{path}?size=4")).await.body),
                },
            };
            longer.extend(values.into_iter().map(|value| format!("{path}/{value}")));
        }
        paths = longer;
    }
    let variants = [
        "",
        "?size=1",
        "?size=3",
        "?size=1000",
        "?at=2",
        "?at=7&size=2",
        "?tags=all",
        "?tags=moved/all",
        "?tags=all,Zebra&at=5",
    ];
    let vary = |path: String| variants.map(|variant| format!("{path}{variant}"));
    let entities = template.contains("core-entities") || template.contains("/admin/");
    if entities && !template.starts_with("/v2/control-planes") {
        paths.into_iter().flat_map(vary).collect()
    } else {
        paths
    }
}

fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().into_iter().flatten();
    data.filter_map(|item| item["id"].as_str().map(str::to_owned))
        .collect()
}

/// What was answered, without what every answer has of its own.
fn said(heard: &Heard) -> (u16, Vec<(String, String)>, String) {
    let request = heard.header("x-request-id").to_owned();
    let headers = heard
        .headers
        .iter()
        .filter(|(name, _)| !OWN_HEADERS.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| {
        (
            name.to_string(),
            String::from_utf8_lossy(value.as_bytes()).into_owned(),
        )
    });
    let text = if request.is_empty() {
        heard.text.clone()
    } else {
        heard.text.replace(&request, "")
    };
    (heard.status.as_u16(), headers.collect(), text)
}

/// The next page's path.
fn following(path: &str, heard: &Heard) -> Option<String> {
    let offset = heard.body["offset"].as_str()?;
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    let kept = query
        .split('&')
        .filter(|piece| !piece.is_empty() && !piece.starts_with("offset="));
    let mut query: Vec<_> = kept.map(str::to_owned).collect();
    query.push(format!("offset={}", escaped(offset)));
    Some(format!("{bare}?{}", query.join("&")))
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
