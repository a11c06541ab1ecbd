//! One suite that every adapter of the event log passes (DESIGN §5), and what only one of them can show.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod memory;
mod sqlite;
mod suite;
