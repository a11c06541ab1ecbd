//! Agents and data-plane listeners over real TLS sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod instances;
mod many_processes;
mod shared_record;
mod strict_kong;
mod world;

#[path = "../shared/configuration.rs"]
mod configuration;
