//! Everything that `read_side` tests on SQLite, on PostgreSQL; and what only PostgreSQL can show.

mod processes;
mod versions;
mod views_database;

#[path = "../read_side/certificates.rs"]
mod certificates;
#[path = "../read_side/change_search.rs"]
mod change_search;
#[path = "../read_side/damage.rs"]
mod damage;
#[path = "../read_side/history.rs"]
mod history;
#[path = "../read_side/live_groups.rs"]
mod live_groups;
#[path = "../read_side/log_double.rs"]
mod log_double;
#[path = "../read_side/lookups.rs"]
mod lookups;
#[path = "../read_side/parts.rs"]
mod parts;
#[path = "../read_side/past.rs"]
mod past;
#[path = "../read_side/registry.rs"]
mod registry;
#[path = "../read_side/set_back.rs"]
mod set_back;
#[path = "../read_side/surroundings.rs"]
mod surroundings;
#[path = "../read_side/survival.rs"]
mod survival;
#[path = "../read_side/world.rs"]
mod world;

// The harness's own fixtures: this room can't depend on the crate that depends on it.
#[path = "../../../tests/src/eventually.rs"]
#[expect(unreachable_pub, reason = "a file of the harness")]
mod eventually;
#[path = "../../../tests/src/postgres_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; these tests use part of it"
)]
mod postgres_server;
#[path = "../../../tests/src/process.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; these tests use part of it"
)]
mod process;
