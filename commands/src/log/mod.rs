//! The event log's adapters (DESIGN §5), each an implementation of [`domain::EventLog`] that passes one conformance
//! suite (`commands/tests/log_conformance`):
//!
//! - [`MemoryLog`]: for tests, with faults on demand.
//! - [`SqliteLog`]: for one machine, the file `log.db`.
//!
//! A stream of records that has answered an error has ended: after `Unavailable`, read again from the last position.

mod invariants;
mod memory;
mod sqlite;

pub use memory::{Fault, MemoryLog};
pub use sqlite::{OpenError, SqliteLog};
