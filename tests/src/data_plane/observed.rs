//! What can be seen of a simulated node from outside: a test's view of it.

use std::sync::Arc;

use serde_json::Value;

use super::configuration::{Configuration, Received};
use super::upgrade::Head;

/// Over which protocol a node has its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `/v1/outlet`.
    V1,
    /// `/v1/wrpc`.
    Wrpc,
    /// `/v2/outlet`.
    Rpc,
}

/// Everything that was seen since the simulation began, across restarts of the node.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Whether it has a connection.
    pub connected: bool,
    /// Connections that it took for accepted.
    pub connections: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Over which protocol the last one was.
    pub protocol: Option<Protocol>,
    /// The last answer to a handshake or a probe.
    pub answer: Option<Head>,
    /// Why each connection or attempt has ended, in order.
    pub endings: Vec<String>,
    /// Configurations that arrived.
    pub arrivals: u64,
    /// The last of them.
    pub received: Option<Received>,
    /// What it runs.
    pub applied: Option<Configuration>,
    /// How many it has applied.
    pub applications: u64,
    /// Configurations that it didn't look at because it has their hash.
    pub skipped: u64,
    /// Configurations that it refused, each with its reasons.
    pub refusals: Vec<Vec<String>>,
    /// Pongs, and answers to pings of wRPC.
    pub pongs: u64,
    /// The payloads of the pings that it sent, in order.
    pub pings: Vec<String>,
    /// Frames that it doesn't know: pings of the server in v1, text.
    pub unknown_frames: u64,
    /// How often nothing came for too long in the middle of a frame.
    pub stalls: u64,
    /// Pings of the server that it answered.
    pub answered_pings: u64,
    /// What was said to it in JSON-RPC, in order.
    pub heard: Vec<Arc<Value>>,
    /// The `version` of the configurations that came over wRPC, in order.
    pub versions: Vec<u64>,
}

impl Observed {
    /// The hash of what it runs; `None` before the first configuration.
    pub fn hash(&self) -> Option<&str> {
        self.applied.as_ref().map(|applied| applied.hash.as_str())
    }

    /// The reasons of the last refusal.
    pub fn last_refusal(&self) -> &[String] {
        self.refusals.last().map_or(&[], Vec::as_slice)
    }

    /// The last message that arrived.
    pub fn message(&self) -> Option<&Value> {
        self.received.as_ref().map(|received| &*received.message)
    }
}
