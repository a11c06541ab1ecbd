//! The only room that appends: what it owns is the way from a command to a durable commit (DESIGN §3, §5).
//!
//! Where to start reading:
//! - [`log`]: the event log's adapters: memory for tests, SQLite for one machine, NATS JetStream for many.
//! - [`keyring`]: data keys in sealed pages, wrapped by the master key.
//! - [`jetstream`]: what both share in NATS JetStream.
//! - [`tasks`]: named background tasks; [`entropy`]: where randomness enters.

pub mod entropy;
pub mod jetstream;
pub mod keyring;
pub mod log;
pub mod tasks;
