//! A `views.db` that a newer version of the program has changed, met by this one after a downgrade.

use domain::{NodeId, Timestamp};
use projections::{Location, ObservedNode};
use serde_json::json;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::world::{World, entities, group};

#[tokio::test]
async fn views_that_a_newer_program_has_changed_are_set_aside_and_made_again() {
    let mut world = World::new();
    world
        .post(group(1), "services", json!({"name": "one", "host": "s.test"}))
        .await;
    let running = world.opened().await;
    let seen = ObservedNode {
        group: group(1),
        node: NodeId(Uuid::from_u128(1)),
        last_seen: Timestamp(10),
        record: json!({"hostname": "n1"}),
    };
    let put = running.projections.observed().put(std::slice::from_ref(&seen));
    put.await.expect("a write");
    running.kill().await;
    let Location::Sqlite(path) = world.database().await.location() else {
        panic!("a database in a file");
    };
    let mut newer = sqlx::SqliteConnection::connect(&format!("sqlite://{path}"))
        .await
        .expect("the file opens");
    sqlx::raw_sql(
        "ALTER TABLE change RENAME COLUMN reason TO because;
         INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (999, 'of tomorrow', 1, x'00', 0);",
    )
    .execute(&mut newer)
    .await
    .expect("a newer program may do so");
    newer.close().await.expect("the file closes");

    let again = world.opened().await;
    let configuration = again.projections.views().configuration(group(1), None).await;
    assert_eq!(configuration.expect("a query"), entities(&world.newest(group(1))));
    assert_eq!(again.projections.observed().list(group(1)).await, Ok(vec![seen]));
    assert!(std::path::Path::new(&format!("{path}.newer")).exists());
}
