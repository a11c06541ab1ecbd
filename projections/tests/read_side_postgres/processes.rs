//! Many processes over one database: one projects, the others hear of it; and the database may go away.

use domain::{Boundary, Digest, Position, Secret};
use projections::Location;
use serde_json::json;

use crate::eventually::eventually;
use crate::postgres_server::PostgresServer;
use crate::world::{Running, World, entities, group};

pub(crate) async fn post(world: &mut World, name: &str) {
    world
        .post(group(1), "services", json!({"name": name, "host": "s.test"}))
        .await;
}

pub(crate) async fn leads(running: &Running) {
    let mut leading = running.projections.leading();
    leading.wait_for(|leads| *leads).await.expect("it runs");
}

pub(crate) async fn assert_holds_everything(running: &Running, world: &World) {
    running.caught_up(world).await;
    let views = running.projections.views();
    let configuration = views.configuration(group(1), None).await.expect("a query");
    assert_eq!(configuration, entities(&world.newest(group(1))));
}

/// The schema in which this version's views are.
pub(crate) fn views_schema(server: &PostgresServer, database: &str) -> String {
    let name = "SELECT schema_name FROM views_of_version WHERE schema_name LIKE 'views\\_%'";
    server.sql(database, name).expect("the views have a schema")
}

#[tokio::test]
async fn one_projects_and_the_others_read_what_it_wrote() {
    let mut world = World::new();
    post(&mut world, "one").await;
    let leader = world.opened().await;
    leads(&leader).await;
    let followers = [world.opened().await, world.opened().await];
    for number in 0..20 {
        post(&mut world, &format!("s{number}")).await;
        for running in followers.iter().chain([&leader]) {
            assert_holds_everything(running, &world).await;
        }
    }
    for follower in &followers {
        assert!(!*follower.projections.leading().borrow());
        assert_eq!(follower.projections.status().halted, None);
        let live = follower
            .projections
            .live()
            .open(group(1))
            .await
            .expect("a live group");
        assert_eq!(live.current().group.version, 21);
    }
}

#[tokio::test]
async fn when_the_one_that_projects_is_killed_another_goes_on() {
    let mut world = World::new();
    let first = world.opened().await;
    leads(&first).await;
    let second = world.opened().await;
    post(&mut world, "before").await;
    assert_holds_everything(&second, &world).await;
    first.kill().await;
    post(&mut world, "after").await;
    leads(&second).await;
    assert_holds_everything(&second, &world).await;
}

#[tokio::test]
async fn processes_that_start_together_on_an_empty_database_all_come_up() {
    let mut world = World::new();
    post(&mut world, "one").await;
    let location = world.database().await.location();
    let open = || world.open_at(location.clone(), world.log.clone());
    let (one, two, three) = tokio::join!(open(), open(), open());
    for running in [one, two, three] {
        assert_holds_everything(&running.expect("it opens"), &world).await;
    }
}

#[tokio::test]
async fn a_rebuild_elsewhere_is_noticed_by_everybody() {
    let mut world = World::new();
    post(&mut world, "one").await;
    let leader = world.opened().await;
    leads(&leader).await;
    let follower = world.opened().await;
    let rebuilder = world.opened().await;
    for number in 0..3 {
        rebuilder.projections.rebuild(|_, _| {}).await.expect("a rebuild");
        post(&mut world, &format!("s{number}")).await;
        for running in [&leader, &follower, &rebuilder] {
            assert_holds_everything(running, &world).await;
        }
    }
    leader.projections.rebuild(|_, _| {}).await.expect("a rebuild");
    post(&mut world, "last").await;
    for running in [&leader, &follower, &rebuilder] {
        assert_holds_everything(running, &world).await;
        assert_eq!(running.projections.status().halted, None);
    }
}

#[tokio::test]
async fn a_holder_that_slept_through_its_lease_can_write_nothing() {
    let server = PostgresServer::shared();
    let mut world = World::new();
    let url = server.fresh_database().await;
    let database = url.rsplit('/').next().expect("a name").to_owned();
    let location = Location::Postgres(Secret::new(url));
    let sleeper = world
        .open_at(location.clone(), world.log.clone())
        .await
        .expect("it opens");
    leads(&sleeper).await;
    post(&mut world, "one").await;
    sleeper.caught_up(&world).await;
    // As if it had slept: its lease has passed to a process that wrote under a later epoch.
    let views = views_schema(server, &database);
    let taken = format!(
        "UPDATE {views}.projector_lease SET holder = 'another', epoch = epoch + 1, expires_at = clock_timestamp() + INTERVAL '4 minutes'"
    );
    server.sql(&database, &taken).expect("the lease is taken");
    server
        .sql(
            &database,
            &format!("UPDATE {views}.generation SET epoch = epoch + 1"),
        )
        .expect("the checkpoint is claimed");
    let before = server
        .sql(&database, &format!("SELECT position FROM {views}.generation"))
        .expect("an answer");
    post(&mut world, "two").await;
    let mut leading = sleeper.projections.leading();
    leading.wait_for(|leads| !leads).await.expect("it steps down");
    assert_eq!(
        server
            .sql(&database, &format!("SELECT position FROM {views}.generation"))
            .expect("an answer"),
        before
    );
    assert_eq!(
        server
            .sql(&database, &format!("SELECT count(*) FROM {views}.entity"))
            .expect("an answer"),
        "1"
    );
    // The other one ends: this one goes on where that left off.
    server
        .sql(
            &database,
            &format!("UPDATE {views}.projector_lease SET expires_at = '-infinity'"),
        )
        .expect("the lease ends");
    sleeper.caught_up(&world).await;
}

#[tokio::test]
async fn a_database_that_was_killed_costs_moments() {
    let mut server = PostgresServer::start();
    let mut world = World::new();
    let location = Location::Postgres(Secret::new(server.fresh_database().await));
    let leader = world
        .open_at(location.clone(), world.log.clone())
        .await
        .expect("it opens");
    leads(&leader).await;
    let follower = world
        .open_at(location.clone(), world.log.clone())
        .await
        .expect("it opens");
    post(&mut world, "before").await;
    assert_holds_everything(&follower, &world).await;
    server.kill9();
    post(&mut world, "while-it-is-dead").await;
    eventually("the trouble is told", async || {
        let status = leader.projections.status();
        status.halted.ok_or("nothing is told")
    })
    .await;
    server.start_again().await;
    for running in [&leader, &follower] {
        eventually("it catches up", async || {
            running.projections.caught_up_to(world.log.last()).await
        })
        .await;
        let views = running.projections.views();
        let configuration = views.configuration(group(1), None).await.expect("a query");
        assert_eq!(configuration, entities(&world.newest(group(1))));
        eventually("the trouble is over", async || {
            running.projections.status().halted.map_or(Ok(()), Err)
        })
        .await;
    }
}

#[tokio::test]
async fn an_older_state_never_takes_the_place_of_a_newer_one() {
    let world = World::new();
    let running = world.opened().await;
    let (states, boundary) = (running.projections.states(), Boundary::Group(group(1)));
    let state = |position| domain::state_store::StoredState {
        position: Position(position),
        digest: Digest::ZERO,
        state_version: 1,
        bytes: position.to_string().into_bytes().into(),
    };
    for position in [5, 3, 7, 6] {
        states.save(boundary, state(position)).await.expect("it is kept");
    }
    assert_eq!(states.load(boundary, 1).await.expect("an answer"), Some(state(7)));
}

#[tokio::test]
async fn a_lease_that_the_servers_clock_gave_while_it_was_ahead_does_not_keep_the_views_from_being_projected()
{
    let server = PostgresServer::shared();
    let mut world = World::new();
    let url = server.fresh_database().await;
    let database = url.rsplit('/').next().expect("a name").to_owned();
    let location = Location::Postgres(Secret::new(url));
    let first = world
        .open_at(location.clone(), world.log.clone())
        .await
        .expect("it opens");
    leads(&first).await;
    first.kill().await;
    let views = views_schema(server, &database);
    let ahead =
        format!("UPDATE {views}.projector_lease SET expires_at = clock_timestamp() + INTERVAL '1 year'");
    server.sql(&database, &ahead).expect("the clock was ahead");
    post(&mut world, "after").await;
    let second = world
        .open_at(location, world.log.clone())
        .await
        .expect("it opens");
    leads(&second).await;
    assert_holds_everything(&second, &world).await;
}
