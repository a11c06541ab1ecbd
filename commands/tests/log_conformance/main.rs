//! One suite that every adapter of the event log passes (DESIGN §5), and what only one of them can show.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod memory;
mod nats;
mod nats_cluster_of_three;
mod parts;
mod sqlite;
mod suite;

// The harness's own fixtures: this room can't depend on the crate that depends on it.
#[path = "../../../tests/src/eventually.rs"]
#[expect(unreachable_pub, reason = "a file of the harness")]
mod eventually;
#[path = "../../../tests/src/nats_cluster.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; this suite uses part of it"
)]
mod nats_cluster;
#[path = "../../../tests/src/nats_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; this suite uses part of it"
)]
mod nats_server;
#[path = "../../../tests/src/port.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; this suite uses part of it"
)]
mod port;
#[path = "../../../tests/src/process.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; this suite uses part of it"
)]
mod process;
#[path = "../../../tests/src/tcp_proxy.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; this suite uses part of it"
)]
mod tcp_proxy;
