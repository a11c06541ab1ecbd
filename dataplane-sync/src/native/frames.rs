//! The frames of the native protocol (DESIGN §7): one WebSocket message is a codec byte and a named MessagePack value.
//!
//! Decoders are total: whatever bytes come, they answer or refuse. Frames already sent by a release must be understood
//! for ever, so fields are only added, with defaults; the golden files in `dataplane-sync/tests/golden` hold them to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use domain::{Digest, EntityId, GroupId, NodeId, Timestamp, Version};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The largest message an instance may send, in bytes.
pub const INSTANCE_MESSAGE_LIMIT: usize = 64 * 1024;
/// The largest message the control plane sends, in bytes; what is larger travels in [`super::parts`].
pub const SERVER_MESSAGE_LIMIT: usize = 1024 * 1024 + 1024;
/// The largest decompressed frame, in bytes.
pub const FRAME_LIMIT: usize = 2 * 1024 * 1024 * 1024 - 1;

/// A frame of fewer bytes isn't worth compressing.
const COMPRESS_FROM: usize = 256;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

/// What an instance says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceFrame {
    /// The first frame.
    Hello(Hello),
    /// The update to this configuration was verified and is in use.
    Ack(Applied),
    /// This configuration can't be used; the one before stays in use.
    Nack {
        /// The group version refused.
        version: Version,
        /// Its digest.
        digest: Digest,
        /// Why, for people.
        reason: String,
    },
    /// The update doesn't lead to the configuration it promises: a snapshot is needed.
    Refetch {
        /// What didn't fit, for people.
        reason: String,
    },
    /// A heartbeat.
    Ping {
        /// What is in use.
        #[serde(default)]
        applied: Option<Applied>,
    },
}

/// A configuration by version and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The group version.
    pub version: Version,
    /// The configuration's digest.
    pub digest: Digest,
}

/// Who an instance is and what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// Its id: generated once, kept over restarts.
    pub node: NodeId,
    /// Its host's name.
    pub hostname: String,
    /// Its program's version.
    pub version: String,
    /// What its operator says of it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The log its configuration comes from, if it has one.
    #[serde(default)]
    pub log: Option<Uuid>,
    /// The group its configuration is of; which group it gets is its token's.
    #[serde(default)]
    pub group: Option<GroupId>,
    /// The configuration it has.
    #[serde(default)]
    pub applied: Option<Applied>,
}

/// What the control plane says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to a hello.
    Welcome {
        /// The log's identity.
        log: Uuid,
        /// The group the instance belongs to.
        group: GroupId,
        /// The session's number, for log lines on both sides.
        session: u64,
        /// How often to ping, in seconds.
        heartbeat: u32,
    },
    /// The whole configuration.
    Snapshot(Snapshot),
    /// What changed.
    Delta(Delta),
    /// A piece of a message that is too large for one.
    Part {
        /// Which, from 0.
        number: u32,
        /// Of how many.
        of: u32,
        /// The piece.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// The answer to a ping.
    Pong {},
    /// The control plane is about to close the connection.
    GoingAway {
        /// Why, for people.
        reason: String,
        /// When to come back, in milliseconds: different for each instance, so that they don't come all at once.
        retry_after: u32,
    },
}

/// A group's whole configuration at a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The version.
    pub version: Version,
    /// The version's time.
    pub at: Timestamp,
    /// The digest of `entities`.
    pub digest: Digest,
    /// Every entity, by kind and id.
    pub entities: Vec<EntityRecord>,
}

/// What leads from one version to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The version it starts from.
    pub from: Version,
    /// The version it leads to.
    pub to: Version,
    /// The time of `to`.
    pub at: Timestamp,
    /// The digest of the configuration at `to`.
    pub digest: Digest,
    /// Entities as they now are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upserts: Vec<EntityRecord>,
    /// Entities that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deletes: Vec<EntityKey>,
}

/// An entity on the wire, written as `[kind, id, body]`.
#[derive(Clone, PartialEq, Eq)]
pub struct EntityRecord {
    /// The kind's name.
    pub kind: Arc<str>,
    /// Its id.
    pub id: EntityId,
    /// Its canonical JSON body; it may hold secrets, so `Debug` doesn't print it.
    pub body: Arc<str>,
}

/// An entity's place, written as `[kind, id]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityKey {
    /// The kind's name.
    pub kind: Arc<str>,
    /// Its id.
    pub id: EntityId,
}

impl fmt::Debug for EntityRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.id)
    }
}

// Tuples, because field names for each entity would outweigh small entities.
impl Serialize for EntityRecord {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.kind, self.id, &self.body).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntityRecord {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kind, id, body) = Deserialize::deserialize(deserializer)?;
        Ok(Self { kind, id, body })
    }
}

impl Serialize for EntityKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.kind, self.id).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EntityKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (kind, id) = Deserialize::deserialize(deserializer)?;
        Ok(Self { kind, id })
    }
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no frame of the native protocol: {0}")]
pub struct NotAFrame(pub String);

/// Writes a frame as it is.
pub fn encode_plain<Frame: Serialize>(frame: &Frame) -> Vec<u8> {
    let mut plain = vec![PLAIN];
    rmp_serde::encode::write_named(&mut plain, frame).expect("a frame has only what MessagePack can say");
    plain
}

/// Writes a frame, compressed where that makes it smaller.
pub fn encode<Frame: Serialize>(frame: &Frame) -> Vec<u8> {
    let plain = encode_plain(frame);
    if plain.len() < COMPRESS_FROM {
        return plain;
    }
    let (body, size) = (&plain[1..], (plain.len() - 1) as u32);
    let mut compressed = vec![ZSTD];
    compressed.extend_from_slice(&size.to_be_bytes());
    let packed = zstd::bulk::compress(body, zstd::DEFAULT_COMPRESSION_LEVEL).unwrap_or_default();
    compressed.extend_from_slice(&packed);
    // An empty result means that zstd had no memory; the plain form is always right.
    if packed.is_empty() || compressed.len() >= plain.len() {
        plain
    } else {
        compressed
    }
}

/// Reads a frame of an instance.
pub fn decode_instance(bytes: &[u8]) -> Result<InstanceFrame, NotAFrame> {
    decode(bytes, INSTANCE_MESSAGE_LIMIT)
}

/// Reads a frame of the control plane.
pub fn decode_server(bytes: &[u8]) -> Result<ServerFrame, NotAFrame> {
    decode(bytes, FRAME_LIMIT)
}

fn decode<Frame: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<Frame, NotAFrame> {
    match bytes.split_first() {
        Some((&PLAIN, body)) => from_message_pack(body),
        Some((&ZSTD, body)) => from_message_pack(&decompress(body, limit)?),
        Some((codec, _)) => Err(NotAFrame(format!("codec {codec} is unknown"))),
        None => Err(NotAFrame("it is empty".to_owned())),
    }
}

fn from_message_pack<Frame: DeserializeOwned>(body: &[u8]) -> Result<Frame, NotAFrame> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(body);
    // A frame is at most six levels deep; more is an attack on the stack.
    deserializer.set_max_depth(16);
    Frame::deserialize(&mut deserializer).map_err(|error| NotAFrame(error.to_string()))
}

fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, NotAFrame> {
    use std::io::Read as _;

    let (size, packed) = body
        .split_first_chunk::<4>()
        .ok_or_else(|| NotAFrame("its size is missing".to_owned()))?;
    let size = u32::from_be_bytes(*size) as usize;
    if size > limit {
        return Err(NotAFrame(format!(
            "{size} bytes are more than the {limit} allowed"
        )));
    }
    let bad = |error: std::io::Error| NotAFrame(error.to_string());
    if size <= SERVER_MESSAGE_LIMIT {
        return zstd::bulk::decompress(packed, size).map_err(bad);
    }
    // A claimed size is believed only as far as there are bytes for it.
    let mut plain = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed).map_err(bad)?;
    decoder.take(size as u64).read_to_end(&mut plain).map_err(bad)?;
    Ok(plain)
}
