//! Killed anywhere, rebuilt at any time: the views say the same.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::Boundary;
use domain::group::GroupCommand;
use projections::{ChangeFilter, Projections};
use serde_json::json;

use crate::views_database::ViewsDatabase;
use crate::world::{World, create, delete, group, patch};

/// A history over two groups with creations, updates, moves of names and deletions.
async fn busy_world(changes: usize) -> World {
    let mut world = World::new();
    for number in 0..changes {
        continue_history(&mut world, number).await;
    }
    world
}

async fn continue_history(world: &mut World, number: usize) {
    let group = group(1 + number as u128 % 2);
    let body =
        json!({"name": format!("s{number}"), "host": "s.test", "tags": ["all", format!("t{}", number % 3)]});
    let id = world.post(group, "services", body).await;
    match number % 4 {
        0 => drop(
            world
                .operate(
                    group,
                    vec![patch("services", id, json!({"name": format!("renamed{number}")}))],
                )
                .await,
        ),
        1 => drop(world.operate(group, vec![delete("services", id)]).await),
        _ => {}
    }
}

/// What the history is asked for.
fn filters() -> [ChangeFilter; 4] {
    let all = ChangeFilter::default;
    [
        ChangeFilter {
            tags: vec!["t1".to_owned(), "all".to_owned()],
            ..all()
        },
        ChangeFilter {
            message: Some("change 7".to_owned()),
            ..all()
        },
        ChangeFilter {
            kind: Some("routes".to_owned()),
            ..all()
        },
        ChangeFilter {
            actor: Some("system:test".to_owned()),
            kind: Some("services".to_owned()),
            ..all()
        },
    ]
}

/// Everything that the views say, as text.
async fn everything(projections: &Projections, world: &World) -> String {
    let views = projections.views();
    let mut said = String::new();
    for group in [group(1), group(2)] {
        let boundary = Boundary::Group(group);
        let newest = world.newest(group).version;
        for at in [None, Some(newest / 2), Some(newest)] {
            for entity in views.configuration(group, at).await.expect("a query") {
                said += &format!("{entity:?} {} {:?}\n", entity.body, entity.expires_at);
            }
        }
        said += &format!(
            "{:?}\n",
            views.changes(boundary, None, usize::MAX).await.expect("a query")
        );
        said += &format!(
            "{:?}\n",
            views
                .tags(group, None, None, usize::MAX, None)
                .await
                .expect("a query")
        );
        for filter in filters() {
            let found = views.history(boundary, &filter, None, 1_000).await;
            said += &format!("{:?}\n", found.expect("a query"));
        }
        said += &format!("{:?}\n", views.group_version(group).await);
    }
    said
}

#[tokio::test]
async fn a_rebuild_says_what_incremental_projection_said() {
    let mut world = busy_world(30).await;
    let running = world.opened().await;
    continue_history(&mut world, 30).await;
    running.caught_up(&world).await;
    let incremental = everything(&running.projections, &world).await;
    let heard = Mutex::new(Vec::new());
    let progress = |done, target| heard.lock().unwrap().push((done, target));
    running.projections.rebuild(progress).await.expect("a rebuild");
    assert_eq!(everything(&running.projections, &world).await, incremental);
    assert_eq!(
        heard.into_inner().unwrap().first(),
        Some(&(domain::Position(0), world.log.last()))
    );
    continue_history(&mut world, 31).await;
    running.caught_up(&world).await;
    let rebuilt = everything(&running.projections, &world).await;
    running.kill().await;
    let afresh = ViewsDatabase::fresh().await;
    let running = world
        .open_at(afresh.location(), world.log.clone())
        .await
        .expect("it opens");
    running.caught_up(&world).await;
    assert_eq!(everything(&running.projections, &world).await, rebuilt);
}

#[tokio::test]
async fn a_rebuild_that_is_stopped_goes_on_where_it_was() {
    let world = busy_world(40).await;
    let running = world.opened().await;
    let before = everything(&running.projections, &world).await;
    // Each attempt is dropped at a later point of its way.
    for patience in 1..40 {
        let polls = AtomicUsize::new(0);
        let rebuild = running.projections.rebuild(|_, _| {});
        let mut rebuild = Box::pin(rebuild);
        let given_up = std::future::poll_fn(|context| match rebuild.as_mut().poll(context) {
            std::task::Poll::Ready(done) => std::task::Poll::Ready(Some(done)),
            std::task::Poll::Pending if polls.fetch_add(1, Ordering::SeqCst) == patience => {
                std::task::Poll::Ready(None)
            }
            std::task::Poll::Pending => std::task::Poll::Pending,
        });
        drop(given_up.await);
        drop(rebuild);
        assert_eq!(everything(&running.projections, &world).await, before);
    }
    running.projections.rebuild(|_, _| {}).await.expect("a rebuild");
    assert_eq!(everything(&running.projections, &world).await, before);
}

#[tokio::test]
async fn killed_anywhere_it_neither_skips_nor_repeats() {
    let mut world = busy_world(10).await;
    for round in 0..40 {
        let running = world.open().await.expect("it opens");
        continue_history(&mut world, 10 + round).await;
        // Some rounds die before, some within and some after the transaction.
        for _ in 0..round * 3 {
            tokio::task::yield_now().await;
        }
        running.kill().await;
    }
    let survivor = world.opened().await;
    let empty = ViewsDatabase::fresh().await;
    let fresh = world
        .open_at(empty.location(), world.log.clone())
        .await
        .expect("it opens");
    fresh.caught_up(&world).await;
    let survived = everything(&survivor.projections, &world).await;
    assert_eq!(survived, everything(&fresh.projections, &world).await);
}

#[tokio::test]
async fn a_commit_of_many_changes_is_projected_whole() {
    let mut world = World::new();
    let mut changes = Vec::new();
    for number in 0..300 {
        let operations = vec![create(
            "services",
            json!({"name": format!("s{number}"), "host": "s.test"}),
        )];
        let command = GroupCommand::Operate {
            operations,
            expected_version: None,
        };
        changes.push(world.decide(group(1), &command).expect("a change"));
    }
    world
        .commit(Boundary::Group(group(1)), &changes, crate::world::RECORD_LIMIT)
        .await;
    let running = world.opened().await;
    let views = running.projections.views();
    assert_eq!(views.group_version(group(1)).await, Ok(300));
    assert_eq!(
        views
            .configuration(group(1), Some(123))
            .await
            .expect("a query")
            .len(),
        123
    );
}
