//! The event log's adapters (DESIGN §5), each an implementation of [`domain::EventLog`] that passes one conformance
//! suite (`commands/tests/log_conformance`):
//!
//! - [`MemoryLog`]: for tests, with faults on demand.
//! - [`SqliteLog`]: for one machine, the file `log.db`.
//! - [`NatsLog`]: for many machines, a stream in NATS JetStream.
//!
//! [`archive`] carries a log from one to another. [`witness`] keeps the log's signed [`head`] beside it; [`verify`] checks all
//! that can be checked.
//!
//! A stream of records that has answered an error has ended: after `Unavailable`, read again from the last position.

pub mod archive;
pub mod head;
mod invariants;
pub mod log_size;
mod memory;
mod nats;
mod sqlite;
pub mod verify;
pub mod witness;

pub use memory::{Fault, MemoryLog};
pub use nats::NatsLog;
pub use sqlite::{OpenError, SqliteLog};
