//! What every store of the keyring must do, on each of them.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod memory;
mod sqlite;
mod suite;
