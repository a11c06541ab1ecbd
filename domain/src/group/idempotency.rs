//! Idempotency keys of a boundary's recent changes: kept for 24 h by the clock, at most 100,000. A change that a clock made
//! which was ahead counts from the next change made by one that is right.

use imbl::{HashMap, OrdMap};
use serde::{Deserialize, Serialize};

use crate::{Actor, Digest, EntityId, Idempotency, Kind, Timestamp, Version};

const KEPT_SECONDS: i64 = 24 * 60 * 60;
const KEPT_AT_MOST: usize = 100_000;
/// Of a change that touched more than this, only that it happened is kept.
pub const KEPT_TOUCHED: usize = 100;

/// What an earlier change with the same key was. `Touched` names what a change of that aggregate touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered<Touched = (Kind, EntityId)> {
    /// The digest of its request.
    pub request: Digest,
    /// Its version: the answer is rebuilt from that change.
    pub version: Version,
    /// Its time.
    pub at: Timestamp,
    /// What it touched, in a group: entities. Nothing where that is more than [`KEPT_TOUCHED`]: the history tells it.
    pub touched: Vec<Touched>,
}

/// A window of remembered keys; scope is actor + boundary.
#[derive(Clone, Debug)]
pub struct IdempotencyWindow<Touched = (Kind, EntityId)> {
    by_key: HashMap<Digest, Remembered<Touched>>,
    by_version: OrdMap<(Timestamp, Version), Digest>,
}

impl<Touched> Default for IdempotencyWindow<Touched> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            by_version: OrdMap::new(),
        }
    }
}

impl<Touched: Clone> IdempotencyWindow<Touched> {
    /// What this actor's key stands for, if it is remembered.
    pub fn recall(&self, actor: &Actor, key: &str) -> Option<&Remembered<Touched>> {
        self.by_key.get(&scoped(actor, key))
    }

    /// Remembers a change's key, which was made at this time by the clock, and forgets what is too old or too much.
    pub fn remember(
        &mut self,
        actor: &Actor,
        idempotency: &Idempotency,
        version: Version,
        at: Timestamp,
        touched: Vec<Touched>,
    ) {
        let key = scoped(actor, &idempotency.key);
        self.take_back_to(at);
        let touched = if touched.len() > KEPT_TOUCHED {
            Vec::new()
        } else {
            touched
        };
        self.by_key.insert(
            key,
            Remembered {
                request: idempotency.request,
                version,
                at,
                touched,
            },
        );
        self.by_version.insert((at, version), key);
        while let Some(((oldest, version), key)) = self.by_version.get_min().cloned() {
            let kept = self.by_version.len() <= KEPT_AT_MOST && oldest.plus_seconds(KEPT_SECONDS) > at;
            if kept {
                break;
            }
            self.by_version.remove(&(oldest, version));
            self.by_key.remove(&key);
        }
    }
}

impl<Touched> IdempotencyWindow<Touched> {
    /// What came before this moment can't have happened after it.
    fn take_back_to(&mut self, at: Timestamp) {
        let (_, ahead) = self.by_version.split(&(at, Version::MAX));
        for ((made, version), key) in ahead {
            self.by_version.remove(&(made, version));
            self.by_version.insert((at, version), key);
        }
    }
}

impl IdempotencyWindow {
    /// The window at rest.
    pub(super) fn stored(&self) -> Vec<StoredKey> {
        let stored = |((at, version), key): (&(Timestamp, Version), &Digest)| {
            let remembered = self.by_key.get(key)?;
            let touched = remembered
                .touched
                .iter()
                .map(|(kind, id)| (kind.name().to_owned(), *id))
                .collect();
            Some(StoredKey {
                key: *key,
                request: remembered.request,
                version: *version,
                at: *at,
                touched,
            })
        };
        self.by_version.iter().filter_map(stored).collect()
    }

    /// The window from rest; kinds that the catalogue lost are left out of what a key touched.
    pub(super) fn from_stored(stored: Vec<StoredKey>) -> Self {
        let mut window = Self::default();
        for StoredKey {
            key,
            request,
            version,
            at,
            touched,
        } in stored
        {
            let touched = touched
                .into_iter()
                .filter_map(|(kind, id)| Some((Kind::named(&kind)?, id)))
                .collect();
            window.by_key.insert(
                key,
                Remembered {
                    request,
                    version,
                    at,
                    touched,
                },
            );
            window.by_version.insert((at, version), key);
        }
        window
    }
}

/// One remembered key at rest.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredKey {
    key: Digest,
    request: Digest,
    version: Version,
    at: Timestamp,
    touched: Vec<(String, EntityId)>,
}

fn scoped(actor: &Actor, key: &str) -> Digest {
    let scope = match actor {
        Actor::System { part } => format!("system\0{part}\0{key}"),
        Actor::Token { id, .. } => format!("token\0{id}\0{key}"),
    };
    Digest::of(scope.as_bytes())
}
