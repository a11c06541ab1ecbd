//! Pushes groups' configurations to runtime instances (DESIGN §7), and is the instance agent's own half.
//!
//! A change passes through here like this: [`configurations`] (what the live groups say) → [`hub`] (one per group:
//! encodes each step once, [`encoding`]) → [`native::session`] (what each instance is sent, and when) →
//! [`native::connection`] (its socket) → the [`agent`] → back as an acknowledgement into [`nodes`], which
//! [`rollout`] answers from. Several processes see each other's instances through [`observed_nodes`]; `fleet_merge`
//! says whose record of a node holds.
//!
//! Where to start reading:
//! - [`service`]: what runs and what it needs; [`listener`]: how a connection gets in, [`gatekeeper`] who may.
//! - [`native`]: our own protocol: frames, sessions, connections. [`kong`]: those of Kong's data planes.
//! - [`agent`]: a runtime instance: replica, store, and what it feeds a gateway.
//! - [`configurations`], [`instance_tokens`], [`node_certificates`], [`observed_nodes`]: what this room asks for;
//!   [`projected`] answers it.
//! - [`guesses`]: who shows tokens that open nothing is slowed, here and at the API.
//! - [`outlook`]: what instances couldn't express of a configuration that may come.
//! - [`fleet_events`]: what of a fleet's life becomes an event; [`fleet_budget`] and `said`: how much of it is kept.

pub mod agent;
mod client_certificate;
pub mod configurations;
pub mod encoding;
mod fleet;
pub mod fleet_budget;
pub mod fleet_events;
mod fleet_merge;
pub mod gatekeeper;
mod group_authorities;
pub mod guesses;
pub mod hub;
pub mod instance_tokens;
pub mod kong;
pub mod listener;
pub mod native;
pub mod node_certificates;
pub mod node_record;
pub mod nodes;
pub mod observed_nodes;
pub mod outlook;
pub mod projected;
mod projected_certificates;
mod refusal_log;
pub mod rollout;
mod said;
pub mod server_certificate;
pub mod service;
pub mod sessions;
mod unwritten_records;
pub mod upgrade;

pub use native::frames::Applied;
pub use node_record::{Node, NodeRecord, ProcessId, Protocol, SyncStatus};
pub use nodes::NodeRegistry;
pub use projected::Projected;
pub use rollout::Rollout;
pub use server_certificate::SharedPair;
pub use service::{DataplaneSync, Options, Protection, StartError};
