//! A group's configuration as one document for instances of one level (`kong-hybrid-protocol.md` §2.4, §4): written
//! entity by entity, hashed and compressed piece by piece, so that a change costs what it touches.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use domain::compatibility::{self, Effect, Finding, Incompatibility, Level};
use domain::{EntityId, GroupId, Kind, Timestamp};

use super::collection::Collection;
use super::gzip::{self, Compressor, Piece};
use super::websocket;
use crate::configurations::ConfigurationState;

/// The collections whose hashes say what a data plane must build anew, in the order in which they are told (§2.5).
const SECTIONS: [&str; 5] = ["routes", "services", "plugins", "upstreams", "targets"];
/// The hash of a section without entities, as Kong has it.
const EMPTY_SECTION: &str = "00000000000000000000000000000000";

/// What a document is wrapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Envelope {
    /// v1's `reconfigure` message, with its WebSocket frame's head.
    Reconfigure,
    /// The bare `config_table`, which wRPC puts into a message of its own.
    Table,
    /// Nothing: the instances are sent what changed ([`super::rpc::deltas`]), but what they can't take is found here.
    Deltas,
}

/// The six hashes of a document (§2.5): each 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of everything.
    pub config: Arc<str>,
    /// Of the sections, in the order routes, services, plugins, upstreams, targets.
    pub sections: [Arc<str>; 5],
}

/// A document as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its hashes.
    pub hashes: Hashes,
    /// The bytes to send.
    pub bytes: Bytes,
    /// How many of them are the compressed payload.
    pub payload: usize,
    /// The length of its JSON, in bytes.
    pub json: usize,
}

/// A document being kept current.
pub struct Document {
    level: Level,
    group: GroupId,
    /// The time of the newest change it follows.
    at: Timestamp,
    collections: BTreeMap<Kind, Collection>,
    findings: BTreeMap<(Kind, EntityId), Vec<Finding>>,
    compressor: Compressor,
    comma: Piece,
}

impl Document {
    /// The document of a configuration.
    pub fn of(level: Level, group: GroupId, state: &dyn ConfigurationState) -> Self {
        let mut document = Self {
            level,
            group,
            at: state.clock(),
            collections: BTreeMap::new(),
            findings: BTreeMap::new(),
            compressor: Compressor::default(),
            comma: Piece::stored(b","),
        };
        for entity in state.group().entities() {
            document.write(state, entity.kind, entity.id);
        }
        document
    }

    /// Follows the configuration, of which these entities were touched.
    pub fn advance(&mut self, state: &dyn ConfigurationState, touched: &[(Kind, EntityId)]) {
        for (kind, id) in touched {
            let was_sent = self.sends(*kind, *id);
            self.write(state, *kind, *id);
            if was_sent && self.sends(*kind, *id) {
                // What is sent now as before takes nothing else with it.
                continue;
            }
            for (kind, id) in compatibility::affected(state.group(), *kind, *id) {
                self.write(state, kind, id);
            }
        }
        for (kind, id) in compatibility::aged(state.group(), self.at) {
            self.write(state, kind, id);
        }
        self.at = state.clock();
    }

    fn write(&mut self, state: &dyn ConfigurationState, kind: Kind, id: EntityId) {
        let entity = state.group().entity(kind, id);
        let written = entity.map(|entity| compatibility::write(state.group(), entity, &self.level));
        let (text, findings) = written.map_or((None, Vec::new()), |written| (written.text, written.findings));
        self.findings.remove(&(kind, id));
        if !findings.is_empty() {
            self.findings.insert((kind, id), findings);
        }
        if text.is_some() || self.collections.contains_key(&kind) {
            self.collections.entry(kind).or_default().set(id, text);
        }
    }

    fn sends(&self, kind: Kind, id: EntityId) -> bool {
        let collection = self.collections.get(&kind);
        collection.is_some_and(|collection| collection.has(id))
    }

    /// Whose configuration it is.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// What of the configuration reaches these instances otherwise than it is written, entity by entity.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values().flatten()
    }

    /// Why nothing is sent, if so.
    pub fn withheld(&self) -> Option<(Incompatibility, &Finding)> {
        self.findings().find_map(|finding| match finding.effect {
            Effect::Withheld(incompatibility) => Some((incompatibility, finding)),
            _ => None,
        })
    }

    /// Encodes it.
    pub fn frame(&mut self, envelope: Envelope, at: Timestamp) -> Frame {
        if envelope == Envelope::Deltas {
            return Frame {
                hashes: self.hashes(),
                bytes: Bytes::new(),
                payload: 0,
                json: 0,
            };
        }
        for collection in self.collections.values_mut() {
            collection.compress(&mut self.compressor);
        }
        let hashes = self.hashes();
        let (before, after) = match envelope {
            Envelope::Reconfigure => (reconfigure_head(at), reconfigure_tail(&hashes)),
            Envelope::Table | Envelope::Deltas => (String::new(), String::new()),
        };
        let pieces = self.pieces(before, after);
        let payload = gzip::member_length(pieces.iter().map(AsRef::as_ref));
        let mut bytes = match envelope {
            Envelope::Reconfigure => websocket::binary_head(payload),
            Envelope::Table | Envelope::Deltas => Vec::new(),
        };
        bytes.reserve_exact(payload);
        gzip::write_member(&mut bytes, pieces.iter().map(AsRef::as_ref));
        Frame {
            hashes,
            bytes: bytes.into(),
            payload,
            json: pieces.iter().map(|piece| piece.length()).sum(),
        }
    }

    /// The document's text, in order: some of it compressed and kept, the rest made here.
    fn pieces(&self, before: String, after: String) -> Vec<Cow<'_, Piece>> {
        let mut pieces = Vec::new();
        let mut glue = before;
        glue.push('{');
        for (position, (key, text)) in self.preamble().into_iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            glue.push_str(&format!("{comma}\"{key}\":{text}"));
        }
        for (kind, collection) in self
            .collections
            .iter()
            .filter(|(_, collection)| !collection.is_empty())
        {
            glue.push_str(&format!(",\"{}\":[", kind.name()));
            pieces.push(Cow::Owned(Piece::stored(glue.as_bytes())));
            for (position, piece) in collection.pieces().enumerate() {
                if position > 0 {
                    pieces.push(Cow::Borrowed(&self.comma));
                }
                pieces.push(Cow::Borrowed(piece));
            }
            glue = "]".to_owned();
        }
        glue.push('}');
        glue.push_str(&after);
        pieces.push(Cow::Owned(Piece::stored(glue.as_bytes())));
        pieces
    }

    fn preamble(&self) -> Vec<(&'static str, String)> {
        compatibility::preamble(&self.level, self.group.0)
    }

    /// Equal configurations written for the same level have equal hashes, over restarts too; another level's are others,
    /// even where the text is the same, because a node that was upgraded keeps the old hash (§2.5, point 3).
    fn hashes(&mut self) -> Hashes {
        let mut config = blake3::Hasher::new();
        config.update(self.level.release.name().as_bytes());
        for (key, text) in self.preamble() {
            config.update(key.as_bytes()).update(text.as_bytes());
        }
        let mut sections = SECTIONS.map(|_| Arc::from(EMPTY_SECTION));
        for (kind, collection) in self
            .collections
            .iter_mut()
            .filter(|(_, collection)| !collection.is_empty())
        {
            let digest = collection.digest();
            config.update(kind.name().as_bytes()).update(digest.as_bytes());
            if let Some(section) = SECTIONS.iter().position(|section| *section == kind.name()) {
                sections[section] = short(&digest);
            }
        }
        Hashes {
            config: short(&config.finalize()),
            sections,
        }
    }
}

/// The 32 digits that Kong's own tools expect of a hash.
fn short(hash: &blake3::Hash) -> Arc<str> {
    hash.to_hex()[..32].into()
}

fn reconfigure_head(at: Timestamp) -> String {
    let (seconds, millis) = (at.seconds(), at.0.rem_euclid(1_000));
    format!("{{\"type\":\"reconfigure\",\"timestamp\":{seconds}.{millis:03},\"config_table\":")
}

fn reconfigure_tail(hashes: &Hashes) -> String {
    let config = &hashes.config;
    let mut tail = format!(",\"config_hash\":\"{config}\",\"hashes\":{{\"config\":\"{config}\"");
    for (section, hash) in SECTIONS.iter().zip(&hashes.sections) {
        tail.push_str(&format!(",\"{section}\":\"{hash}\""));
    }
    tail.push_str("}}");
    tail
}
