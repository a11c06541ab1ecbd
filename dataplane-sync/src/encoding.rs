//! A group's updates, each encoded once and shared by every connection that needs it (DESIGN §7).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::{EntityId, Kind, Version};
use tokio::sync::OnceCell;

use crate::configurations::ConfigurationState;
use crate::native::frames::{self, Applied, Delta, EntityKey, EntityRecord, ServerFrame, Snapshot};
use crate::native::parts;

/// How many encodings of a group are kept (DESIGN §7).
const LIVE_ENCODINGS: usize = 32;
/// An update of more entities is encoded on a thread for blocking work.
const ENTITIES_AT_ONCE: usize = 256;

/// An update as it goes over the wire.
#[derive(Debug)]
pub struct Encoded {
    /// The configuration it leads to.
    pub leads_to: Applied,
    /// Whether it is a snapshot.
    pub snapshot: bool,
    /// The messages to send, in order.
    pub messages: Vec<Bytes>,
}

impl Encoded {
    /// The bytes of its messages.
    pub fn size(&self) -> usize {
        self.messages.iter().map(Bytes::len).sum()
    }
}

/// Which update: from a version, or from nothing, to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    from: Option<Version>,
    to: Version,
}

type Cell = Arc<OnceCell<Arc<Encoded>>>;

/// The encodings of one group, newest last.
#[derive(Default)]
pub struct Encodings {
    live: Mutex<VecDeque<(Key, Cell)>>,
}

impl Encodings {
    /// The update that leads an instance from what it has to the newest state, or on the way there.
    pub async fn update(&self, state: &Arc<dyn ConfigurationState>, has: Option<Applied>) -> Arc<Encoded> {
        let has = has.filter(|has| state.digest_at(has.version) == Some(has.digest));
        if let Some(ready) = has.and_then(|has| self.ready(has.version, state.version())) {
            return ready;
        }
        if let Some(has) = has
            && let Some(changed) = state.changed_since(has.version)
            && changed.len() <= state.group().len().max(ENTITIES_AT_ONCE)
        {
            return self.delta(state, has.version, changed).await;
        }
        match self.recent_snapshot(state) {
            Some(snapshot) => snapshot,
            None => self.snapshot(state).await,
        }
    }

    async fn delta(
        &self,
        state: &Arc<dyn ConfigurationState>,
        from: Version,
        changed: Vec<(Kind, EntityId)>,
    ) -> Arc<Encoded> {
        let key = Key {
            from: Some(from),
            to: state.version(),
        };
        let cell = self.cell(key);
        let encode = async || {
            if changed.len() <= ENTITIES_AT_ONCE {
                return Arc::new(encode_delta(state.as_ref(), from, &changed));
            }
            let state = state.clone();
            blocking(move || encode_delta(state.as_ref(), from, &changed)).await
        };
        cell.get_or_init(encode).await.clone()
    }

    /// A step that was encoded before.
    fn ready(&self, from: Version, to: Version) -> Option<Arc<Encoded>> {
        let key = Key { from: Some(from), to };
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, cell) = live.iter().rev().find(|(known, _)| *known == key)?;
        cell.get().cloned()
    }

    async fn snapshot(&self, state: &Arc<dyn ConfigurationState>) -> Arc<Encoded> {
        let cell = self.cell(Key {
            from: None,
            to: state.version(),
        });
        let encode = async || {
            let state = state.clone();
            blocking(move || encode_snapshot(state.as_ref())).await
        };
        cell.get_or_init(encode).await.clone()
    }

    /// A snapshot encoded before from which a small delta leads on: of instances that come while the configuration
    /// changes, each would otherwise have one encoded for itself.
    fn recent_snapshot(&self, state: &Arc<dyn ConfigurationState>) -> Option<Arc<Encoded>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshots = live.iter().rev().filter(|(key, _)| key.from.is_none());
        let newest = snapshots
            .filter_map(|(_, cell)| cell.get())
            .max_by_key(|snapshot| snapshot.leads_to.version)?;
        let Applied { version, digest } = newest.leads_to;
        let known = version <= state.version() && state.digest_at(version) == Some(digest);
        let behind = state.changed_since(version)?.len();
        (known && behind <= state.group().len() / 4).then(|| newest.clone())
    }

    fn cell(&self, key: Key) -> Cell {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = live.iter().rev().find(|(known, _)| *known == key) {
            return cell.clone();
        }
        if live.len() == LIVE_ENCODINGS {
            // The newest snapshot is kept as long as it can be built upon.
            let oldest_delta = live.iter().position(|(known, _)| known.from.is_some());
            live.remove(oldest_delta.unwrap_or(0));
        }
        let cell = Cell::default();
        live.push_back((key, cell.clone()));
        cell
    }
}

async fn blocking(encode: impl FnOnce() -> Encoded + Send + 'static) -> Arc<Encoded> {
    let encoded = tokio::task::spawn_blocking(encode).await;
    Arc::new(encoded.expect("encoding doesn't panic, and the runtime outlives its tasks"))
}

fn encode_delta(state: &dyn ConfigurationState, from: Version, changed: &[(Kind, EntityId)]) -> Encoded {
    let mut delta = Delta {
        from,
        to: state.version(),
        at: state.clock(),
        digest: state.digest(),
        upserts: Vec::new(),
        deletes: Vec::new(),
    };
    for (kind, id) in changed {
        match state.group().entity(*kind, *id) {
            Some(entity) => delta.upserts.push(record(*kind, *id, &entity.body)),
            None => delta.deletes.push(EntityKey {
                kind: kind.name().into(),
                id: *id,
            }),
        }
    }
    encoded(state, false, &ServerFrame::Delta(delta))
}

fn encode_snapshot(state: &dyn ConfigurationState) -> Encoded {
    let entities = state.group().entities();
    let snapshot = Snapshot {
        version: state.version(),
        at: state.clock(),
        digest: state.digest(),
        entities: entities
            .map(|entity| record(entity.kind, entity.id, &entity.body))
            .collect(),
    };
    encoded(state, true, &ServerFrame::Snapshot(snapshot))
}

fn record(kind: Kind, id: EntityId, body: &Arc<str>) -> EntityRecord {
    EntityRecord {
        kind: kind.name().into(),
        id,
        body: body.clone(),
    }
}

fn encoded(state: &dyn ConfigurationState, snapshot: bool, frame: &ServerFrame) -> Encoded {
    Encoded {
        leads_to: Applied {
            version: state.version(),
            digest: state.digest(),
        },
        snapshot,
        messages: parts::cut(frames::encode(frame)),
    }
}
