//! Kong's data planes, unchanged (`kong-hybrid-protocol.md`).
//!
//! - [`document`]: a configuration as one document, out of [`collection`]s of compressed pieces ([`gzip`]);
//!   [`levels`] keeps one per kind of instance current.
//! - [`session`]: `/v1/outlet` as a pure state machine; [`connection`]: the thin task that drives it.
//! - [`request`], [`basic_info`], [`websocket`]: what a data plane says, and how; [`presence`]: what the registry hears.
//! - [`wrpc`]: `/v1/wrpc`, for Kong 3.1; [`rpc`]: `/v2/outlet`, JSON-RPC and sync v2, for Kong 3.10; [`frame`]: their
//!   messages.

pub mod basic_info;
pub mod collection;
pub(crate) mod connection;
mod conversation;
pub mod document;
pub mod frame;
pub mod gzip;
pub mod levels;
pub mod node;
pub(crate) mod presence;
pub mod request;
pub mod rpc;
pub mod session;
pub mod websocket;
pub mod wrpc;

use domain::compatibility::{GatewayVersion, Release, RouterFlavor};

use basic_info::BasicInfo;

/// The end of the path for v1; what comes before it is the node's affair (§1.1).
pub const V1_PATH: &str = "/v1/outlet";

/// The largest frame that a node takes unless it says otherwise, in bytes (§1.4).
pub fn default_max_payload(version: GatewayVersion) -> usize {
    const MEGABYTE: usize = 1024 * 1024;
    match (version.major, version.minor) {
        (3, 4..) | (4.., _) => 16 * MEGABYTE,
        _ => 4 * MEGABYTE,
    }
}

/// How a node of this release routes, by what it says or by default.
fn router_of(release: Release, info: &BasicInfo) -> RouterFlavor {
    match info.router_flavor() {
        Some("traditional") => RouterFlavor::Traditional,
        Some("expressions") => RouterFlavor::Expressions,
        Some(_) => RouterFlavor::TraditionalCompatible,
        None if release == Release::OLDEST => RouterFlavor::Traditional,
        None => RouterFlavor::TraditionalCompatible,
    }
}
