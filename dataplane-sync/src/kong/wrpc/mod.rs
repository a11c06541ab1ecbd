//! wRPC, `/v1/wrpc`: the only protocol of Kong 3.1 (DESIGN §7): whole configurations, in protobuf.
//!
//! - [`protobuf`]: the wire format; [`envelope`]: what every message is wrapped in; [`messages`]: what is called.
//! - [`session`]: what is sent when, as a pure state machine.

pub mod envelope;
pub mod messages;
mod protobuf;
pub mod session;

/// The path instances connect to.
pub const PATH: &str = "/v1/wrpc";
/// The WebSocket subprotocol that both sides name.
pub const SUBPROTOCOL: &str = "wrpc.konghq.com";
/// The largest message an instance may send, in bytes: a list of its plugins is the longest one.
pub const INSTANCE_MESSAGE_LIMIT: usize = 256 * 1024;
