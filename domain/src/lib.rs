//! What is true: the pure core of Runtime Manager.
//!
//! This room imports none of the others and has no async runtime, clock, randomness or I/O: time, ids and random
//! strings come in as values ([`Context`]), and what it needs from outside is a trait that somebody else implements.
//!
//! Where to start reading:
//! - [`group`], [`organization`], [`system`]: the three aggregates, each a `decide` and an `evolve`.
//! - [`schema`]: Kong's entities and plugins as data, one engine for all of them.
//! - [`commit`] and [`codec`]: what stands in the log and how it is encoded; [`chain`] checks and assembles it.
//! - [`log`], [`keyring`], [`state_store`], [`gateway`], [`sandbox`], [`clock`], [`spawner`], [`health`]: the seams that other rooms
//!   implement.
//! - [`compatibility`]: what a gateway of an older version can take of a group's configuration.
//! - [`bounded_json`]: values that somebody sends, within a budget.
//! - [`places`]: who may be connected, and who leaves when there is no room; [`rate`]: how often somebody may do something.
//! - [`declarative`]: decK files in and out; [`digest`]: the content hash of a snapshot; [`signing`]: what the installation
//!   signs with.

pub mod actor;
pub mod boundary;
pub mod bounded_json;
mod bucket_tree;
pub mod certificate_signature;
pub mod chain;
pub mod clock;
pub mod codec;
pub mod commit;
pub mod compatibility;
pub mod context;
pub mod declarative;
pub mod digest;
pub mod fingerprint;
pub mod follower;
pub mod gateway;
pub mod group;
pub mod health;
pub mod identifiers;
pub mod keyring;
pub mod log;
pub mod organization;
pub mod places;
pub mod rate;
pub mod sandbox;
pub mod schema;
pub mod sealed_text;
pub mod secret;
pub mod signing;
pub mod snapshot_digest;
pub mod spawner;
pub mod state_store;
pub mod system;
pub mod timestamp;
pub mod token;

pub use actor::{Actor, Cause, Idempotency};
pub use boundary::Boundary;
pub use clock::Clock;
pub use commit::{Change, Commit, Position, Version};
pub use context::Context;
pub use digest::Digest;
pub use identifiers::{CommitId, EntityId, GroupId, NodeCertificateId, NodeId, OrganizationId, TokenId};
pub use keyring::{DataKeys, KeyId, Keyring};
pub use log::{EventLog, Expected, Record};
pub use schema::Kind;
pub use secret::Secret;
pub use snapshot_digest::SnapshotDigest;
pub use spawner::Spawner;
pub use timestamp::Timestamp;
