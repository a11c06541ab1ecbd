//! What the log and the keyring share when they are kept in NATS JetStream (DESIGN §5).
//!
//! - [`Connection`]: connected to a server that is new enough.
//! - [`stream`]: the two streams, made as they must be or refused for a named difference.
//! - [`publish`]: a guarded publish, and what its answer means.
//! - [`reader`]: messages in order, as they come.
//! - [`durability`]: whether the server syncs before it acknowledges.
//! - [`patience`]: asking again until the caller's deadline; [`standing`]: what is away, and for how long; [`diagnosis`]: what is wrong.
//! - [`leader`]: whether a stream's leader has a majority.

mod connection;
mod diagnosis;
pub(crate) mod leader;
pub(crate) mod patience;
pub(crate) mod publish;
pub(crate) mod reader;
mod standing;
pub(crate) mod stream;

pub mod durability;

pub use connection::{ConnectError, Connection, Options};
