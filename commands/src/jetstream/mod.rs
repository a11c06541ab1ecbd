//! What the log and the keyring share when they are kept in NATS JetStream (DESIGN §5).
//!
//! - [`Connection`]: connected to a server that is new enough.
//! - [`stream`]: the two streams, made as they must be or refused for a named difference.
//! - [`publish`]: a guarded publish, and what its answer means.
//! - [`durability`]: whether the server syncs before it acknowledges.

mod connection;
pub(crate) mod publish;
pub(crate) mod stream;

pub mod durability;

pub use connection::{ConnectError, Connection, Options};
