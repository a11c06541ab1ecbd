//! A group's documents for the levels its instances are of: each kept current by one task and shared by every connection
//! of that level (DESIGN §7).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use domain::compatibility::{Finding, Incompatibility, Level};
use domain::{GroupId, Spawner};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, watch};

use super::document::{Document, Envelope, Frame};
use super::node::Findings;
use crate::configurations::ConfigurationState;
use crate::native::frames::Applied;

/// How many levels of a group are kept at once (DESIGN §7).
const LIVE_LEVELS: usize = 32;
/// How often it is looked whether a level has instances: a fleet whose link broke for a moment comes back to it.
const KEPT_IDLE: Duration = Duration::from_secs(300);
/// For how many of a level's documents it is remembered which version they were.
const REMEMBERED: usize = 512;
/// A change of more entities is written on a thread for blocking work.
const ENTITIES_AT_ONCE: usize = 64;

/// How a level's instances get their configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Encoding {
    /// What they can take.
    pub level: Level,
    /// What it is wrapped in.
    pub envelope: Envelope,
}

/// The newest configuration as a level's instances get it.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Which configuration.
    pub applied: Applied,
    /// The frame, or why there is none and which finding says so.
    pub frame: Result<Arc<Frame>, (Incompatibility, String)>,
    /// What reaches the instances otherwise than it is written.
    pub findings: Findings,
}

/// A level with instances, or that had some a moment ago.
#[derive(Debug)]
pub struct LiveLevel {
    level: Arc<Level>,
    newest: watch::Sender<Arc<Offered>>,
    /// Documents of late, newest last: their hashes, and the newest configuration that each was.
    recent: SyncMutex<VecDeque<(Arc<str>, Applied)>>,
}

impl LiveLevel {
    /// What its instances can take.
    pub const fn level(&self) -> &Arc<Level> {
        &self.level
    }

    /// Follows what is offered.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Offered>> {
        self.newest.subscribe()
    }

    /// Which configuration a document with this hash is; none where that isn't remembered.
    pub fn applied(&self, hash: &str) -> Option<Applied> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let found = recent.iter().rev().find(|(known, _)| **known == *hash);
        found.map(|(_, applied)| *applied)
    }

    fn publish(&self, offered: Offered) {
        if let Ok(frame) = &offered.frame {
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == REMEMBERED {
                recent.pop_front();
            }
            recent.push_back((frame.hashes.config.clone(), offered.applied));
        }
        self.newest.send_replace(Arc::new(offered));
    }
}

/// Why an instance can't be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the group's instances differ in version and plugins in more than {LIVE_LEVELS} ways: make them more alike, or part them into groups"
)]
pub struct TooManyLevels;

/// The levels of one group.
pub struct Levels {
    group: GroupId,
    spawner: Arc<dyn Spawner>,
    live: SyncMutex<Vec<(Encoding, Slot)>>,
}

/// Its lock lets one caller write the first document of a level while the others wait for it.
type Slot = Arc<Mutex<Option<Arc<LiveLevel>>>>;

impl Levels {
    /// Of a group; none are kept yet.
    pub fn new(group: GroupId, spawner: Arc<dyn Spawner>) -> Self {
        Self {
            group,
            spawner,
            live: SyncMutex::default(),
        }
    }

    /// The level that instances of this kind share, kept current from now on as long as any of them is connected.
    pub async fn level(
        &self,
        encoding: Encoding,
        mut states: watch::Receiver<Arc<dyn ConfigurationState>>,
        holds_hub: impl Send + 'static,
    ) -> Result<Arc<LiveLevel>, TooManyLevels> {
        let slot = self.slot(&encoding)?;
        let mut slot_held = slot.lock().await;
        if let Some(level) = &*slot_held {
            return Ok(level.clone());
        }
        let state = states.borrow_and_update().clone();
        let began = Instant::now();
        let (document, offered) = first(encoding.clone(), self.group, state).await;
        measure(began, "first");
        let level = Arc::new(LiveLevel {
            level: Arc::new(encoding.level.clone()),
            newest: watch::Sender::new(Arc::new(offered.clone())),
            recent: SyncMutex::default(),
        });
        level.publish(offered);
        *slot_held = Some(level.clone());
        let follow = follow(encoding, document, states, slot.clone(), self.spawner.shutdown());
        let keep = async move {
            follow.await;
            drop(holds_hub);
        };
        self.spawner.spawn("configuration level", keep.boxed());
        Ok(level)
    }

    fn slot(&self, encoding: &Encoding) -> Result<Slot, TooManyLevels> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = live.iter().find(|(known, _)| known == encoding) {
            return Ok(slot.clone());
        }
        // A slot that nobody uses and nothing is in belongs to a level whose task has ended.
        live.retain(|(_, slot)| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|held| held.is_some())
        });
        if live.len() == LIVE_LEVELS {
            return Err(TooManyLevels);
        }
        let slot = Slot::default();
        live.push((encoding.clone(), slot.clone()));
        Ok(slot)
    }
}

async fn first(
    encoding: Encoding,
    group: GroupId,
    state: Arc<dyn ConfigurationState>,
) -> (Document, Offered) {
    blocking(move || {
        let mut document = Document::of(encoding.level, group, state.as_ref());
        let offered = offer(&mut document, encoding.envelope, state.as_ref(), None);
        (document, offered)
    })
    .await
}

/// Keeps a level's document current until no instance uses it, or the group isn't followed any more.
async fn follow(
    encoding: Encoding,
    mut document: Document,
    mut states: watch::Receiver<Arc<dyn ConfigurationState>>,
    slot: Slot,
    shutdown: BoxFuture<'static, ()>,
) {
    let mut shutdown = shutdown.fuse();
    let mut rounds = tokio::time::interval_at(tokio::time::Instant::now() + KEPT_IDLE, KEPT_IDLE);
    loop {
        let changed = tokio::select! {
            changed = states.changed() => changed.is_ok(),
            _ = rounds.tick() => {
                let mut held = slot.lock().await;
                // One is the slot's own.
                if held.as_ref().is_none_or(|level| Arc::strong_count(level) == 1) {
                    *held = None;
                    return;
                }
                continue;
            }
            () = &mut shutdown => return,
        };
        let level = slot.lock().await.clone();
        let Some(level) = level.filter(|_| changed) else {
            *slot.lock().await = None;
            return;
        };
        let began = Instant::now();
        let state = states.borrow_and_update().clone();
        let before = level.newest.borrow().clone();
        let (advanced, offered) = advance(document, &encoding, state, &before).await;
        document = advanced;
        level.publish(offered);
        measure(began, "change");
    }
}

async fn advance(
    mut document: Document,
    encoding: &Encoding,
    state: Arc<dyn ConfigurationState>,
    before: &Arc<Offered>,
) -> (Document, Offered) {
    match state.changed_since(before.applied.version) {
        Some(touched) if touched.len() <= ENTITIES_AT_ONCE => {
            document.advance(state.as_ref(), &touched);
            let offered = offer(&mut document, encoding.envelope, state.as_ref(), Some(before));
            (document, offered)
        }
        Some(touched) => {
            let (envelope, before) = (encoding.envelope, before.clone());
            blocking(move || {
                document.advance(state.as_ref(), &touched);
                let offered = offer(&mut document, envelope, state.as_ref(), Some(&before));
                (document, offered)
            })
            .await
        }
        // Too long ago to know what changed.
        None => first(encoding.clone(), document.group(), state).await,
    }
}

fn offer(
    document: &mut Document,
    envelope: Envelope,
    state: &dyn ConfigurationState,
    before: Option<&Arc<Offered>>,
) -> Offered {
    let withheld = document
        .withheld()
        .map(|(incompatibility, finding)| (incompatibility, told(finding)));
    let frame = match withheld {
        Some(withheld) => Err(withheld),
        None => Ok(Arc::new(document.frame(envelope, state.clock()))),
    };
    let findings = Findings::of(document.findings());
    // Mostly they stay the same, and all nodes share them.
    let before = before.map(|before| before.findings.clone());
    let findings = before.filter(|before| *before == findings).unwrap_or(findings);
    Offered {
        applied: Applied {
            version: state.version(),
            digest: state.digest(),
        },
        frame,
        findings,
    }
}

/// A finding as a sentence that names its entity.
fn told(finding: &Finding) -> String {
    let kind = finding.kind.name();
    match &finding.name {
        Some(name) => format!("{kind} {name} ({}): {}", finding.id, finding.message),
        None => format!("{kind} {}: {}", finding.id, finding.message),
    }
}

async fn blocking<Out: Send + 'static>(work: impl FnOnce() -> Out + Send + 'static) -> Out {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("writing doesn't panic, and the runtime outlives its tasks")
}

fn measure(began: Instant, what: &'static str) {
    metrics::histogram!("dataplane_frame_seconds", "of" => what).record(began.elapsed().as_secs_f64());
}
