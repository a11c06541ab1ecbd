//! Simulated Kong data planes: the other end of hybrid mode, as picky as real ones are, for every release from 2.8 to 3.10.
//!
//! - [`release`]: the versions, and in what they differ; [`settings`]: a node's `kong.conf`; [`identity`]: its certificate.
//! - `version_1`: certificates as old tools make them. [`node`]: a node, which connects, comes back and keeps its configuration; [`observed`]: what a test sees of it.
//! - [`tls`], [`upgrade`], [`websocket`]: the layers of a connection; [`wire`]: one connection, step by step.
//! - `v1`, `wrpc`, `rpc` with `deltas`: the protocols; `basic_info`: how a node introduces itself; `protobuf`: as much as wRPC needs.
//! - [`configuration`]: what a node makes of a message; [`validation`] and [`fields`]: what it refuses.
//! - [`fleet`]: thousands of v1 nodes for measurements.
//!
//! Start reading at [`node`].

mod basic_info;
pub mod configuration;
mod deltas;
pub mod fields;
pub mod fleet;
pub mod identity;
pub mod node;
pub mod observed;
mod protobuf;
pub mod release;
mod rpc;
pub mod settings;
mod storage;
pub mod tls;
pub mod upgrade;
mod v1;
pub mod validation;
mod version_1;
pub mod websocket;
pub mod wire;
mod wrpc;

pub use configuration::Configuration;
pub use identity::{Authority, Identity, Pair, Trust};
pub use node::{DataPlane, Order};
pub use observed::{Observed, Protocol};
pub use release::KongVersion;
pub use settings::Settings;
