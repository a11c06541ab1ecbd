//! Consumer groups, from both sides.

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::App;

const BASES: [&str; 2] = [
    "/groups/default/admin",
    "/v2/control-planes/default/core-entities",
];

fn names(list: &Value, field: &str) -> Vec<String> {
    let mut names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one[field].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn members_come_and_go_from_either_side() {
    for base in BASES {
        let app = App::start().await;
        let path = |rest: &str| format!("{base}{rest}");
        for name in ["alice", "bob", "carol"] {
            app.post(&path("/consumers"), &json!({ "username": name }))
                .await
                .expect(201);
        }
        for name in ["gold", "silver"] {
            app.post(&path("/consumer_groups"), &json!({ "name": name }))
                .await
                .expect(201);
        }
        let members = path("/consumer_groups/gold/consumers");
        let added = app
            .post(&members, &json!({"consumer": "alice"}))
            .await
            .expect(201);
        assert_eq!(added.body["consumer_group"]["name"], "gold");
        assert_eq!(names(&added.body["consumers"], "username"), ["alice"]);
        app.post(&members, &json!({"consumer": ["bob", "carol"]}))
            .await
            .expect(201);
        let group = app.get(&path("/consumer_groups/gold")).await.expect(200);
        assert_eq!(
            names(&group.body["consumers"], "username"),
            ["alice", "bob", "carol"]
        );
        let alone = app
            .get(&path("/consumer_groups/gold?list_consumers=false"))
            .await
            .expect(200);
        assert!(alone.body.get("consumers").is_none());
        let first = app.get(&format!("{members}?size=2")).await.expect(200);
        assert_eq!(first.body["data"].as_array().unwrap().len(), 2);
        let offset = first.body["offset"].as_str().unwrap().replace('=', "%3D");
        let rest = app.get(&format!("{members}?offset={offset}")).await.expect(200);
        assert_eq!(rest.body["data"].as_array().unwrap().len(), 1);

        let of_alice = path("/consumers/alice/consumer_groups");
        app.post(&of_alice, &json!({"group": "silver"})).await.expect(201);
        let groups = app.get(&of_alice).await.expect(200);
        assert_eq!(names(&groups.body["data"], "name"), ["gold", "silver"]);
        let delete = |rest: &str| app.request(Method::DELETE, &path(rest)).send();
        for _ in 0..2 {
            delete("/consumers/alice/consumer_groups/gold").await.expect(204);
        }
        delete("/consumer_groups/gold/consumers/bob").await.expect(204);
        let left = app.get(&members).await.expect(200);
        assert_eq!(names(&left.body["data"], "username"), ["carol"]);
        delete("/consumer_groups/gold/consumers").await.expect(204);
        let none = app.get(&members).await.expect(200);
        assert_eq!(none.body["data"], json!([]));
        delete("/consumer_groups/silver").await.expect(204);
        assert_eq!(app.get(&of_alice).await.expect(200).body["data"], json!([]));
    }
}

#[tokio::test]
async fn what_cannot_be_added_is_refused_and_changes_nothing() {
    let app = App::start().await;
    let path = |rest: &str| format!("{}{rest}", BASES[0]);
    app.post(&path("/consumers"), &json!({"username": "alice"}))
        .await
        .expect(201);
    app.post(&path("/consumer_groups"), &json!({"name": "gold"}))
        .await
        .expect(201);
    let members = path("/consumer_groups/gold/consumers");
    app.post(&members, &json!({"consumer": ["alice", "nobody"]}))
        .await
        .expect(404);
    app.post(&members, &json!({})).await.expect(400);
    app.post(
        &path("/consumer_groups/none/consumers"),
        &json!({"consumer": "alice"}),
    )
    .await
    .expect(404);
    assert_eq!(app.get(&members).await.expect(200).body["data"], json!([]));
    let add = json!({"consumer": "alice"});
    app.post(&members, &add).await.expect(201);
    let again = app.post(&members, &add).await.expect(409);
    assert_eq!(again.body["code"], 5);
}

#[tokio::test]
async fn a_group_has_plugins_of_its_own() {
    let app = App::start().await;
    let path = |rest: &str| format!("{}{rest}", BASES[0]);
    app.post(&path("/consumer_groups"), &json!({"name": "gold"}))
        .await
        .expect(201);
    let plugins = path("/consumer_groups/gold/plugins");
    let plugin = json!({"name": "rate-limiting", "config": {"minute": 5, "policy": "local"}});
    app.post(&plugins, &plugin).await.expect(201);
    app.post(&path("/plugins"), &plugin).await.expect(201);
    let of_gold = app.get(&plugins).await.expect(200);
    assert_eq!(names(&of_gold.body["data"], "name"), ["rate-limiting"]);
    let all = app.get(&path("/plugins")).await.expect(200);
    assert_eq!(all.body["data"].as_array().unwrap().len(), 2);
}
