//! The native protocol `/native/v1` (DESIGN §7): MessagePack over WebSocket over TLS; snapshot, then deltas.
//!
//! - [`frames`]: what travels, and its total decoders; [`parts`]: a message too large for one piece.
//! - [`session`]: what is sent when, as a pure state machine; [`connection`]: the thin task that drives it.

pub mod connection;
pub mod frames;
pub mod parts;
pub mod session;

/// The path instances connect to.
pub const PATH: &str = "/native/v1";
/// The protocol's version, in every hello.
pub const PROTOCOL: u32 = 1;
/// How often an instance says that it is alive, in seconds.
pub const HEARTBEAT_SECONDS: i64 = 15;
/// An instance not heard of for so long counts as silent, in seconds (DESIGN §7).
pub const SILENT_SECONDS: i64 = 45;
/// An instance not heard of for so long is disconnected, in seconds (DESIGN §7).
pub const DISCONNECT_SECONDS: i64 = 90;
