//! Processes of different versions of the program over one database: each has views of its own, and what was observed of
//! instances is everybody's.

use domain::{NodeId, Secret};
use projections::Location;
use uuid::Uuid;

use crate::eventually::eventually;
use crate::postgres_server::PostgresServer;
use crate::processes::{assert_holds_everything, leads, post};
use crate::world::{World, group};

/// What the first programs made in the schema `public`.
const FIRST_VIEWS: &str = include_str!("first_views.sql");

/// A database in which a process of the first program works.
struct OlderProgram {
    server: &'static PostgresServer,
    database: String,
    location: Location,
}

impl OlderProgram {
    /// Whose lease lasts until then.
    async fn with_lease_until(end: &str) -> Self {
        let server = PostgresServer::shared();
        let url = server.fresh_database().await;
        let older = Self {
            server,
            database: url.rsplit('/').next().expect("a name").to_owned(),
            location: Location::Postgres(Secret::new(url)),
        };
        older.sql(FIRST_VIEWS);
        let node = group(1).0.simple();
        older.sql(&format!(
            "INSERT INTO generation (generation, views_version, position, digest, retired, epoch)
                 VALUES (1, 999999, 3, repeat('00', 32)::BYTEA, 0, 7);
             INSERT INTO projection (one, live) VALUES (1, 1);
             UPDATE projector_lease SET holder = 'an older process', epoch = 7, expires_at = {end};
             INSERT INTO boundary VALUES (1, 'rt.system', 3, ''::BYTEA, 3, 0);
             INSERT INTO observed_node VALUES ('\\x{node}', '\\x{node}', 1, '{{}}')"
        ));
        older
    }

    fn sql(&self, statement: &str) -> String {
        self.server.sql(&self.database, statement).expect("an answer")
    }

    /// Everything that the older program derived, and its lease.
    fn derived(&self) -> String {
        self.sql(
            "SELECT (SELECT jsonb_agg(r) FROM generation r), (SELECT jsonb_agg(r) FROM projection r),
                    (SELECT jsonb_agg(r) FROM boundary r), (SELECT jsonb_agg(r) FROM projector_lease r),
                    (SELECT count(*) FROM entity), (SELECT count(*) FROM change)",
        )
    }
}

#[tokio::test]
async fn views_of_another_version_stay_what_they_are_while_this_one_reads_its_own() {
    let older = OlderProgram::with_lease_until("clock_timestamp() + INTERVAL '4 minutes'").await;
    let before = older.derived();
    let mut world = World::new();
    post(&mut world, "one").await;
    let open = || world.open_at(older.location.clone(), world.log.clone());
    let newer = [open().await.expect("it opens"), open().await.expect("it opens")];
    leads(&newer[0]).await;
    post(&mut world, "two").await;
    for running in &newer {
        assert_holds_everything(running, &world).await;
    }
    newer[0].projections.rebuild(|_, _| {}).await.expect("a rebuild");
    post(&mut world, "three").await;
    for running in &newer {
        assert_holds_everything(running, &world).await;
        assert_eq!(running.projections.status().halted, None);
        let node = NodeId(Uuid::from_bytes(*group(1).0.as_bytes()));
        let observed = running.projections.observed().get(group(1), node).await;
        assert!(
            observed.expect("an answer").is_some(),
            "what was observed is shared"
        );
    }
    assert_eq!(older.derived(), before);
}

/// Asking the database waits for the transaction that removes them, which must go on meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn views_that_no_process_has_used_for_a_day_are_removed_and_what_was_observed_stays() {
    let older = OlderProgram::with_lease_until("'-infinity'").await;
    let mut world = World::new();
    post(&mut world, "one").await;
    let open = || world.open_at(older.location.clone(), world.log.clone());
    let first = open().await.expect("it opens");
    let unused =
        "SELECT count(*) FROM views_of_version WHERE schema_name = 'public' AND unused_since IS NOT NULL";
    eventually("the older views are seen to be unused", async || {
        (older.sql(unused) == "1").then_some(()).ok_or("not yet")
    })
    .await;
    let derived = older.derived();
    assert!(derived.contains("999999"), "a day has not gone by: {derived}");
    first.kill().await;
    older.sql(
        "CREATE SCHEMA views_1_aaaaaaaa; INSERT INTO views_of_version (schema_name) VALUES ('views_1_aaaaaaaa');
         UPDATE views_of_version SET unused_since = clock_timestamp() - INTERVAL '25 hours'",
    );
    let second = open().await.expect("it opens");
    eventually("what nobody has used is removed", async || {
        let left = older.sql(
            "SELECT (SELECT count(*) FROM generation), (SELECT count(*) FROM pg_namespace WHERE nspname = 'views_1_aaaaaaaa')",
        );
        (left == "0|0").then_some(()).ok_or(left)
    })
    .await;
    assert_holds_everything(&second, &world).await;
    assert_eq!(older.sql("SELECT count(*) FROM observed_node"), "1");
}
