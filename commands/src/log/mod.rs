//! The event log's adapters (DESIGN §5), each an implementation of [`domain::EventLog`] that passes one conformance
//! suite (`commands/tests/log_conformance`):
//!
//! - [`MemoryLog`]: for tests, with faults on demand.

mod continuity;
mod memory;

pub use memory::{Fault, MemoryLog};
