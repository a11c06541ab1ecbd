//! The HTTP API through its whole router, on a log in memory and read models in a temporary directory.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

mod app;
mod authorization;
mod conditions;
mod entities;
mod following;
mod groups;
mod hostile_requests;
mod surroundings;
mod tokens;
mod undo;
