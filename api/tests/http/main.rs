//! The HTTP API through its whole router, on a log in memory and read models in a temporary directory.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod admin_api;
mod app;
mod authorization;
mod both_databases;
mod conditions;
mod configurations;
mod consumer_groups;
mod differences;
mod entities;
mod erasure;
mod following;
mod groups;
mod harmless_reads;
mod history;
mod hostile_requests;
mod kong_rules;
mod konnect;
mod log_head;
mod node_certificates;
mod organization_history;
mod plugin_schemas;
mod provisioning;
mod replaying;
mod secrets;
mod surroundings;
mod tokens;
mod undo;

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
