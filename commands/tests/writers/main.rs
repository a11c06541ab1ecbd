//! The command bus and its writers, on logs with faults and in files.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod acceptance;
mod bootstrap;
mod certificates;
mod clock;
mod conflicts;
mod deletion;
mod durability;
mod erasure;
mod expiry;
mod faults;
mod idempotency;
mod lifecycle;
mod parts;
mod site;
mod stored_states;
mod unknown;
