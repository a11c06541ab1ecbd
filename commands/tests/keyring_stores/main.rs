//! What every store of the keyring must do, on each of them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod memory;
mod nats;
mod sqlite;
mod suite;

// The harness's own fixtures: this room can't depend on the crate that depends on it.
#[path = "../../../tests/src/eventually.rs"]
#[expect(unreachable_pub, reason = "a file of the harness")]
mod eventually;
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
