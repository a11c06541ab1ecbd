//! A replay of the log alone agrees with every answer about the past.

use axum::http::Method;
use domain::Version;
use domain::group::Group;
use projections::audit::{Until, find_group, replay};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::app::App;

const GROUP: &str = "/v2/runtime-groups/default";

/// Something that somebody asks for; many of these are refused, or change nothing.
#[derive(Clone, Debug)]
enum Request {
    PutService(u8, u8),
    PutRoute(u8, u8),
    PutConsumer(u8),
    PutKey(u8, u8),
    Delete(&'static str, u8),
    Rollback(u8),
    Transaction(u8, u8),
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let few = 0..4_u8;
    let collection = prop_oneof![Just("services"), Just("routes"), Just("consumers")];
    let request = prop_oneof![
        3 => (few.clone(), any::<u8>()).prop_map(|(name, host)| Request::PutService(name, host)),
        2 => (few.clone(), few.clone()).prop_map(|(name, service)| Request::PutRoute(name, service)),
        1 => few.clone().prop_map(Request::PutConsumer),
        1 => (few.clone(), any::<u8>()).prop_map(|(consumer, key)| Request::PutKey(consumer, key)),
        3 => (collection, few.clone()).prop_map(|(collection, name)| Request::Delete(collection, name)),
        1 => any::<u8>().prop_map(Request::Rollback),
        1 => (few.clone(), few).prop_map(|(created, deleted)| Request::Transaction(created, deleted)),
    ];
    proptest::collection::vec(request, 1..25)
}

impl Request {
    async fn send(&self, app: &App) {
        let entity = |collection: &str, name: u8| format!("{GROUP}/core-entities/{collection}/n{name}");
        match self {
            Self::PutService(name, host) => {
                let body = json!({ "host": format!("h{host}.test") });
                app.put(&entity("services", *name), &body).await;
            }
            Self::PutRoute(name, service) => {
                let body = json!({ "paths": ["/"], "service": { "name": format!("n{service}") } });
                app.put(&entity("routes", *name), &body).await;
            }
            Self::PutConsumer(name) => {
                app.put(&entity("consumers", *name), &json!({ "tags": ["t"] }))
                    .await;
            }
            Self::PutKey(consumer, key) => {
                let path = format!("{}/key-auth", entity("consumers", *consumer));
                app.post(&path, &json!({ "key": format!("k{key}") })).await;
            }
            Self::Delete(collection, name) => {
                app.delete(&entity(collection, *name)).await;
            }
            Self::Rollback(of) => {
                let newest = newest(app).await;
                let to = u64::from(*of) % (newest + 1);
                app.post(&format!("{GROUP}/rollback"), &json!({ "to": to })).await;
            }
            Self::Transaction(created, deleted) => {
                let operations = json!([
                    { "method": "PUT", "path": format!("services/n{created}"), "body": { "host": "t.test" } },
                    { "method": "DELETE", "path": format!("services/n{deleted}") },
                ]);
                app.post(
                    &format!("{GROUP}/transactions"),
                    &json!({ "operations": operations }),
                )
                .await;
            }
        }
    }
}

async fn newest(app: &App) -> Version {
    let page = app
        .get(&format!("{GROUP}/versions?page[size]=1"))
        .await
        .expect(200);
    page.body["meta"]["page"]["total"].as_u64().unwrap()
}

async fn at(app: &App, collection: &str, version: Version) -> Vec<Value> {
    let path = format!("{GROUP}/core-entities/{collection}?at={version}&size=1000");
    let page = app.request(Method::GET, &path).send().await.expect(200);
    sorted(page.body["data"].as_array().unwrap().clone())
}

fn replayed(group: &Group, kind: &str) -> Vec<Value> {
    let kind = domain::Kind::named(kind).unwrap();
    let bodies = group
        .of_kind(kind)
        .map(|entity| serde_json::from_str(&entity.body).unwrap());
    sorted(bodies.collect())
}

fn sorted(mut bodies: Vec<Value>) -> Vec<Value> {
    bodies.sort_by_key(|body| body["id"].as_str().map(str::to_owned));
    bodies
}

async fn every_version_agrees(requests: Vec<Request>) {
    let app = App::start().await;
    for request in &requests {
        request.send(&app).await;
    }
    let (log, keyring) = app.log_and_keyring();
    let group = find_group(&*log, &keyring, "default").await.unwrap().record.id;
    let newest = newest(&app).await;
    for version in 0..=newest {
        let folded = replay(&*log, &keyring, group, Until::Version(version))
            .await
            .unwrap();
        assert_eq!(folded.group.version, version);
        for (collection, kind) in [
            ("services", "services"),
            ("routes", "routes"),
            ("consumers", "consumers"),
            ("key-auths", "keyauth_credentials"),
        ] {
            let expected = replayed(&folded.group, kind);
            assert_eq!(
                at(&app, collection, version).await,
                expected,
                "{collection} at {version}"
            );
        }
        if version > 0 {
            let change = app
                .get(&format!("{GROUP}/versions/{version}"))
                .await
                .expect(200)
                .body;
            assert_eq!(change["digest"], folded.digest.to_string(), "version {version}");
            let time = change["at"].as_str().unwrap().parse().unwrap();
            let then = replay(&*log, &keyring, group, Until::Time(time)).await.unwrap();
            assert!(
                then.group.version >= version,
                "the last change at or before that time"
            );
        }
    }
    let whole = replay(&*log, &keyring, group, Until::Newest).await.unwrap();
    assert_eq!(whole.group.version, newest);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_replay_is_what_every_read_of_the_past_answers(requests in requests()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(every_version_agrees(requests));
    }
}
