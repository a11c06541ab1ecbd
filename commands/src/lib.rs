//! The only room that appends: what it owns is the way from a command to a durable commit (DESIGN §3, §5).
//!
//! Where to start reading:
//! - [`bus`]: where a command arrives; `writer` is its way to a durable commit, one per boundary; `aggregate` is what
//!   a writer needs of the domain's three.
//! - [`bootstrap`]: the first start; [`reactors`]: what the program asks of itself.
//! - [`log`]: the event log's adapters: memory for tests, SQLite for one machine, NATS JetStream for many.
//! - [`keyring`]: data keys in sealed pages, wrapped by the master key.
//! - [`jetstream`]: what both share in NATS JetStream.
//! - [`compute`]: threads for what takes the processor for long, with fair shares.
//! - [`sandbox`]: the process in which the Lua of uploaded schemas runs.
//! - [`tasks`]: named background tasks; [`entropy`]: where randomness enters.

mod aggregate;
pub mod bootstrap;
pub mod bus;
pub mod compute;
pub mod entropy;
pub mod jetstream;
pub mod keyring;
pub mod log;
pub mod opened_file;
pub mod reactors;
pub mod sandbox;
pub mod tasks;
mod writer;

pub use bus::CommandBus;
