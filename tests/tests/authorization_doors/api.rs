//! The API as it is served: nobody and the admin of another group get nowhere, and instances that are connected stay so.

use futures::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::json;
use tests::data_plane::{DataPlane, KongVersion};

use crate::operations::paths;
use crate::world::{GROUPS, World};

/// What is answered without a token, and a login that nobody has.
const PUBLIC: [&str; 4] = [
    "/healthz",
    "/readyz",
    "/v2/log/jwks.json",
    "/kauth/api/v1/authenticate",
];
/// How many ask at once.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_nowhere_over_the_network() {
    let world = World::bare().await;
    world.group("other", json!({})).await;
    let nobody = world.server.api_as("");
    let admin = world.holder("admin", Some("other")).await;
    let instance = world.holder("instance", Some("default")).await;
    let before = world.log_end().await;
    let mut calls = Vec::new();
    for (path, operations) in paths() {
        if PUBLIC.contains(&path.as_str()) {
            continue;
        }
        for method in operations.as_object().expect("methods").keys() {
            let method: Method = method.to_uppercase().parse().expect("a method");
            calls.push((&nobody, method.clone(), path.clone(), 401));
            calls.push((&instance, method.clone(), path.clone(), 403));
            if path.contains("/default") {
                calls.push((&admin, method, path.clone(), 403));
            }
        }
    }
    let cases = calls.len();
    let asked = stream::iter(calls).map(async |(caller, method, path, status)| {
        let call = caller.call(method.clone(), &path);
        let call = match method {
            Method::GET | Method::DELETE => call,
            _ => call.json(&json!({})),
        };
        call.await.expect_status(status);
    });
    asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    assert_eq!(world.log_end().await, before);
    println!("{cases} authorization cases over the network, 0 violations");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_of_another_group_looks_as_if_it_never_was() {
    let world = World::begin().await;
    let listed = world
        .shown
        .iter()
        .find(|shown| shown.opens == Some("pinned"))
        .expect("one");
    let node = DataPlane::start(world.settings(KongVersion::new(3, 9, 1), &listed.pair));
    node.runs_with("services", "pinned").await;
    let id = node.settings().node_id.to_string();
    let never = "11111111-1111-4111-8111-111111111111";
    let own = world
        .server
        .api()
        .get(&format!("{GROUPS}/pinned/nodes/{id}"))
        .await;
    own.expect_status(200);
    for role in ["admin", "viewer"] {
        let caller = world.holder(role, Some("pki")).await;
        for (group, due) in [("pki", 404), ("pinned", 403)] {
            let forgotten = if role == "viewer" { 403 } else { due };
            for (method, path, status) in [
                (Method::GET, format!("{GROUPS}/{group}/nodes/{{node}}"), due),
                (
                    Method::DELETE,
                    format!("{GROUPS}/{group}/nodes/{{node}}"),
                    forgotten,
                ),
                (Method::GET, format!("{GROUPS}/{group}/diff?node={{node}}"), due),
            ] {
                let mut heard = Vec::new();
                for node in [id.as_str(), never] {
                    let request = caller.call(method.clone(), &path.replace("{node}", node));
                    let request = request.header("x-request-id", "22222222-2222-4222-8222-222222222222");
                    let refused = request.await.expect_status(status);
                    heard.push(refused.text().replace(node, "(node)"));
                }
                assert_eq!(heard[0], heard[1], "{role}: {method} {path}");
            }
        }
        let lists = ["nodes", "nodes/eol", "rollout"].map(|list| format!("{GROUPS}/pki/{list}"));
        for list in lists
            .into_iter()
            .chain(["/groups/pki/admin/clustering/data-planes".to_owned()])
        {
            let listed = caller.get(&list).await.expect_status(200);
            assert!(!listed.text().contains(&id), "{list}");
        }
    }
    let still = world
        .server
        .api()
        .get(&format!("{GROUPS}/pinned/nodes/{id}"))
        .await;
    still.expect_status(200);
}
