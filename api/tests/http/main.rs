//! The HTTP API through its whole router, on a log in memory and read models in a temporary directory.

mod app;
mod authorization;
mod conditions;
mod entities;
mod groups;
mod hostile_requests;
mod surroundings;
mod tokens;
mod undo;
