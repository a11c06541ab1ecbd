//! JSON-RPC over `/v2/outlet` (DESIGN §7): how Kong 3.10 and later gets what changed instead of everything, "sync v2".
//!
//! - [`snappy`]: how messages are compressed; [`json_rpc`]: calls and answers; [`hello`]: the first ones.
//! - [`version`]: what instances call the configuration they have; [`deltas`]: what leads from one to the next, encoded
//!   once for all; [`delta_encodings`]: which of them are kept.
//! - [`session`]: what is sent when, as a pure state machine; [`connection`]: the thin task that drives it.

pub(crate) mod connection;
pub mod delta_encodings;
pub mod deltas;
pub mod hello;
pub mod json_rpc;
pub mod session;
pub mod snappy;
pub mod version;

/// The path instances connect to.
pub const PATH: &str = "/v2/outlet";
/// The WebSocket subprotocol that both sides name.
pub const SUBPROTOCOL: &str = "kong.meta.v1";
/// What both sides must be capable of, so that configurations travel here.
pub const SYNC: &str = "kong.sync.v2";
/// The largest message an instance may send, in bytes, compressed or not.
pub const INSTANCE_MESSAGE_LIMIT: usize = 1024 * 1024;
