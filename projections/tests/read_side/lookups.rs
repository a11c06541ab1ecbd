//! Entities by id, by name, by tag, by parent, in pages.

use domain::group::Selector;
use domain::{Boundary, EntityId, KeyId, Keyring, Timestamp};
use projections::{EntityQuery, TagFilter};
use serde_json::json;

use crate::world::{World, delete, entities, group, kind, patch};

fn ids(entities: &[std::sync::Arc<domain::group::Entity>]) -> Vec<EntityId> {
    entities.iter().map(|entity| entity.id).collect()
}

#[tokio::test]
async fn an_entity_is_found_by_id_and_by_name_as_the_fold_has_it() {
    let mut world = World::new();
    let id = world
        .post(
            group(1),
            "services",
            json!({"name": "billing", "host": "billing.test"}),
        )
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    let expected = world.newest(group(1)).entity(kind("services"), id).cloned();
    for selector in [Selector::Id(id), Selector::Key("billing".to_owned())] {
        let found = views
            .entity(group(1), kind("services"), &selector, None, None)
            .await
            .expect("a query");
        assert_eq!(found, expected, "{selector}");
    }
    let elsewhere = views
        .entity(group(2), kind("services"), &Selector::Id(id), None, None)
        .await;
    assert_eq!(elsewhere, Ok(None));
}

#[tokio::test]
async fn a_key_that_is_unique_within_a_parent_is_found_there_only() {
    let mut world = World::new();
    let one = world.post(group(1), "upstreams", json!({"name": "one"})).await;
    let two = world.post(group(1), "upstreams", json!({"name": "two"})).await;
    let target = world
        .post(
            group(1),
            "targets",
            json!({"target": "10.0.0.1:80", "upstream": {"id": one}}),
        )
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    let key = Selector::Key("10.0.0.1:80".to_owned());
    let within = async |parent| {
        let parent = Some((kind("upstreams"), parent));
        let found = views
            .entity(group(1), kind("targets"), &key, parent, None)
            .await
            .expect("a query");
        found.map(|entity| entity.id)
    };
    assert_eq!(within(one).await, Some(target));
    assert_eq!(within(two).await, None);
}

#[tokio::test]
async fn in_the_past_a_name_means_its_holder_of_today_or_else_its_holder_then() {
    let mut world = World::new();
    let old = world
        .post(
            group(1),
            "services",
            json!({"name": "billing", "host": "old.test"}),
        )
        .await;
    world
        .operate(group(1), vec![patch("services", old, json!({"name": "legacy"}))])
        .await;
    let gone = world
        .post(group(1), "services", json!({"name": "gone", "host": "gone.test"}))
        .await;
    world.operate(group(1), vec![delete("services", gone)]).await;
    let running = world.opened().await;
    let views = running.projections.views();
    let named = async |name: &str, at| {
        let key = Selector::Key(name.to_owned());
        let found = views
            .entity(group(1), kind("services"), &key, None, at)
            .await
            .expect("a query");
        found.map(|entity| (entity.id, entity.touched))
    };
    assert_eq!(named("legacy", Some(1)).await, Some((old, 1)));
    assert_eq!(named("billing", Some(1)).await, Some((old, 1)));
    assert_eq!(named("billing", None).await, None);
    assert_eq!(named("gone", Some(3)).await, Some((gone, 3)));
    assert_eq!(named("gone", None).await, None);
}

#[tokio::test]
async fn pages_go_through_everything_once_and_say_whether_more_follow() {
    let mut world = World::new();
    for number in 0..25 {
        world
            .post(
                group(1),
                "services",
                json!({"name": format!("s{number}"), "host": "s.test"}),
            )
            .await;
    }
    let running = world.opened().await;
    let views = running.projections.views();
    for at in [None, Some(25), Some(13)] {
        let expected = world.group_at(group(1), at.unwrap_or(25));
        let (mut seen, mut query) = (
            Vec::new(),
            EntityQuery {
                size: 4,
                at,
                ..EntityQuery::default()
            },
        );
        loop {
            let page = views
                .entities(group(1), kind("services"), &query)
                .await
                .expect("a query");
            assert!(page.entities.len() <= 4);
            query.after = page.entities.last().map(|entity| entity.id);
            seen.extend(page.entities);
            if !page.has_more {
                break;
            }
        }
        assert_eq!(seen, entities(&expected), "at {at:?}");
    }
}

#[tokio::test]
async fn tags_filter_lists_by_all_and_by_any_of_them() {
    let mut world = World::new();
    let mut tagged = async |name: &str, tags: &[&str]| {
        world
            .post(
                group(1),
                "services",
                json!({"name": name, "host": "s.test", "tags": tags}),
            )
            .await
    };
    let both = tagged("both", &["blue", "green"]).await;
    let blue = tagged("blue", &["blue"]).await;
    let green = tagged("green", &["green"]).await;
    tagged("none", &[]).await;
    world
        .operate(group(1), vec![patch("services", green, json!({"tags": ["red"]}))])
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    let listed = async |tags: TagFilter, at| {
        let query = EntityQuery {
            size: 10,
            tags,
            at,
            ..EntityQuery::default()
        };
        ids(&views
            .entities(group(1), kind("services"), &query)
            .await
            .expect("a query")
            .entities)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let sorted = |mut ids: Vec<EntityId>| {
        ids.sort();
        ids
    };
    assert_eq!(
        listed(TagFilter::All(names(&["blue", "green"])), None).await,
        [both]
    );
    assert_eq!(
        listed(TagFilter::All(names(&["blue"])), None).await,
        sorted(vec![both, blue])
    );
    assert_eq!(
        listed(TagFilter::Any(names(&["red", "green"])), None).await,
        sorted(vec![both, green])
    );
    assert_eq!(
        listed(TagFilter::Any(names(&["green"])), Some(4)).await,
        sorted(vec![both, green])
    );
    assert!(listed(TagFilter::All(names(&["red"])), Some(4)).await.is_empty());
    let page = views
        .tags(group(1), Some("blue"), None, 10, None)
        .await
        .expect("a query");
    assert_eq!(
        sorted(page.tagged.iter().map(|tagged| tagged.id).collect()),
        sorted(vec![both, blue])
    );
    let first = views.tags(group(1), None, None, 2, None).await.expect("a query");
    let rest = views
        .tags(group(1), None, first.tagged.last(), 10, None)
        .await
        .expect("a query");
    let all: Vec<_> = first
        .tagged
        .iter()
        .chain(&rest.tagged)
        .map(|tagged| tagged.tag.as_str())
        .collect();
    assert_eq!(
        (all, first.has_more, rest.has_more),
        (vec!["blue", "blue", "green", "red"], true, false)
    );
}

#[tokio::test]
async fn children_are_listed_by_their_parent() {
    let mut world = World::new();
    let one = world
        .post(group(1), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    let two = world
        .post(group(1), "services", json!({"name": "two", "host": "s.test"}))
        .await;
    let route = world
        .post(
            group(1),
            "routes",
            json!({"name": "r", "paths": ["/r"], "service": {"id": one}}),
        )
        .await;
    world
        .operate(
            group(1),
            vec![patch("routes", route, json!({"service": {"id": two}}))],
        )
        .await;
    let running = world.opened().await;
    let of = async |parent, at| {
        let parent = Some((kind("services"), parent));
        let query = EntityQuery {
            size: 10,
            parent,
            at,
            ..EntityQuery::default()
        };
        ids(&running
            .projections
            .views()
            .entities(group(1), kind("routes"), &query)
            .await
            .expect("a query")
            .entities)
    };
    assert_eq!((of(one, None).await, of(two, None).await), (vec![], vec![route]));
    assert_eq!(
        (of(one, Some(3)).await, of(two, Some(3)).await),
        (vec![route], vec![])
    );
}

#[tokio::test]
async fn personal_names_and_secrets_dont_stand_in_the_file() {
    let mut world = World::new();
    let consumer = world
        .post(
            group(1),
            "consumers",
            json!({"username": "ada-lovelace-1815", "tags": ["people"]}),
        )
        .await;
    let body = json!({"key": "a-very-secret-key-0001", "consumer": {"id": consumer}});
    world.post(group(1), "key-auths", body).await;
    let running = world.opened().await;
    let key = Selector::Key("ada-lovelace-1815".to_owned());
    let found = running
        .projections
        .views()
        .entity(group(1), kind("consumers"), &key, None, None)
        .await;
    assert_eq!(found.expect("a query").map(|entity| entity.id), Some(consumer));
    running.kill().await;
    let bytes = world.database().await.bytes_at_rest();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains(&consumer.to_string()), "its body lies there");
    for secret in ["ada-lovelace-1815", "a-very-secret-key-0001"] {
        assert!(!text.contains(secret), "{secret} lies on the disk");
    }
}

#[tokio::test]
async fn every_kind_of_credential_is_found_by_its_name_and_keeps_its_secret_off_the_disk() {
    let mut world = World::new();
    let consumer = world
        .post(group(1), "consumers", json!({"username": "ada"}))
        .await;
    let consumer = json!({ "id": consumer });
    let credentials = [
        (
            "basic-auths",
            "first-holder",
            json!({"username": "first-holder", "password": "unhashed-password"}),
        ),
        (
            "hmac-auths",
            "second-holder",
            json!({"username": "second-holder", "secret": "secret-of-hmac-auth"}),
        ),
        (
            "jwts",
            "issuer-of-jwt",
            json!({"key": "issuer-of-jwt", "secret": "secret-of-jwt"}),
        ),
        (
            "oauth2",
            "client",
            json!({"name": "app", "client_id": "client", "client_secret": "secret-of-client"}),
        ),
    ];
    let mut made = Vec::new();
    for (collection, name, mut body) in credentials {
        body["consumer"] = consumer.clone();
        made.push((collection, name, world.post(group(1), collection, body).await));
    }
    let pem = json!({"kid": "1", "name": "signing", "pem": {"private_key": "{vault://env/secret-of-key}"}});
    made.push(("keys", "signing", world.post(group(1), "keys", pem).await));
    let running = world.opened().await;
    for (collection, name, id) in &made {
        let selector = Selector::Key((*name).to_owned());
        let views = running.projections.views();
        let found = views
            .entity(group(1), kind(collection), &selector, None, None)
            .await;
        assert_eq!(
            found.expect("a query").map(|entity| entity.id),
            Some(*id),
            "{collection}"
        );
    }
    running.kill().await;
    let bytes = world.database().await.bytes_at_rest();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("signing"), "their bodies lie there");
    assert!(
        !text.contains("issuer-of-jwt"),
        "what a consumer is known by is sealed"
    );
    let basic = made[0].2;
    let hashed = world
        .newest(group(1))
        .entity(kind("basic-auths"), basic)
        .and_then(|entity| entity.map()["password"].as_str().map(str::to_owned));
    let hashed = hashed.expect("a password's hash");
    for secret in ["first-holder", "second-holder", "secret-of-", &hashed] {
        assert!(!text.contains(secret), "{secret} lies on the disk");
    }
}

#[tokio::test]
async fn what_has_expired_is_hidden_before_its_deletion_is_recorded() {
    let mut world = World::new();
    let consumer = world
        .post(group(1), "consumers", json!({"username": "ada"}))
        .await;
    let body = json!({"key": "k", "ttl": 10, "consumer": {"id": consumer}});
    let credential = world.post(group(1), "key-auths", body).await;
    let running = world.opened().await;
    let expiry = world
        .newest(group(1))
        .entity(kind("key-auths"), credential)
        .and_then(|entity| entity.expires_at);
    let expiry = expiry.expect("it expires");
    let found = async || {
        let (views, selector) = (running.projections.views(), Selector::Id(credential));
        let now = views
            .entity(group(1), kind("key-auths"), &selector, None, None)
            .await
            .expect("a query");
        let then = views
            .entity(group(1), kind("key-auths"), &selector, None, Some(2))
            .await
            .expect("a query");
        let all = views.configuration(group(1), None).await.expect("a query").len();
        (now.is_some(), then.is_some(), all)
    };
    world.clock.set(Timestamp(expiry.0 - 1));
    assert_eq!(found().await, (true, true, 2));
    world.clock.set(expiry);
    assert_eq!(found().await, (false, true, 1));
}

#[tokio::test]
async fn an_erased_consumer_stays_without_its_name_and_isnt_found_by_it() {
    let mut world = World::new();
    let consumer = world
        .post(group(1), "consumers", json!({"username": "ada"}))
        .await;
    let running = world.opened().await;
    let key = KeyId {
        boundary: Boundary::Group(group(1)),
        owner: Some(consumer.0),
    };
    world.keyring.destroy(&[key].into()).await.expect("the key goes");
    let views = running.projections.views();
    for _ in 0..2 {
        let named = Selector::Key("ada".to_owned());
        let found = views.entity(group(1), kind("consumers"), &named, None, None);
        assert_eq!(found.await, Ok(None));
        let by_id = Selector::Id(consumer);
        let found = views.entity(group(1), kind("consumers"), &by_id, None, None);
        let found = found.await.expect("a query").expect("a consumer");
        assert!(found.erased && !found.body.contains("ada"), "{}", found.body);
        running.projections.rebuild(|_, _| {}).await.expect("a rebuild");
    }
}
