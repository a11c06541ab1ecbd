//! One hub per group with connected instances: follows the configuration, encodes each change before it wakes the
//! sessions, and wakes nobody where the content is the same.

use std::sync::{Arc, Mutex as SyncMutex, PoisonError, Weak};

use dashmap::DashMap;
use domain::compatibility::Level;
use domain::{GroupId, Spawner, Version};
use futures::FutureExt as _;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::configurations::{
    ConfigurationState, ConfigurationUnavailable, Configurations, LiveConfiguration,
};
use crate::encoding::{Encoded, Encodings};
use crate::kong::levels::{Encoding, Levels, LiveLevel, TooManyLevels};
use crate::kong::rpc::delta_encodings::DeltaEncodings;
use crate::kong::rpc::deltas::OfLevel;
use crate::kong::rpc::version::Lineage;
use crate::native::frames::Applied;

/// One group's newest configuration, for all its sessions.
pub struct Hub {
    group: GroupId,
    levels: Levels,
    newest: watch::Sender<Arc<dyn ConfigurationState>>,
    /// The newest version, also where its content is what it was.
    version: watch::Sender<Version>,
    encodings: Encodings,
    deltas: SyncMutex<Vec<(Level, Weak<DeltaEncodings>)>>,
    ended: CancellationToken,
}

impl Hub {
    /// Ends when the configuration isn't followed any more, and wakes all sessions: whoever still wants it opens it
    /// again.
    pub const fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Follows the newest configuration; a change of version without a change of content is not seen.
    pub fn subscribe(&self) -> watch::Receiver<Arc<dyn ConfigurationState>> {
        self.newest.subscribe()
    }

    /// Follows the newest version.
    pub fn versions(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    /// The newest configuration that has been published.
    pub fn current(&self) -> Arc<dyn ConfigurationState> {
        self.newest.borrow().clone()
    }

    /// The update that leads an instance from what it has towards the newest configuration.
    pub async fn update(&self, has: Option<Applied>) -> Arc<Encoded> {
        let state = self.current();
        self.encodings.update(&state, has).await
    }

    /// The documents that Kong's data planes of one level share.
    pub async fn level(self: &Arc<Self>, encoding: Encoding) -> Result<Arc<LiveLevel>, TooManyLevels> {
        self.levels
            .level(encoding, self.newest.subscribe(), self.clone())
            .await
    }

    /// The deltas that Kong's data planes of one level share, of a log.
    pub(crate) fn deltas(&self, log: Uuid, level: &Level) -> Arc<DeltaEncodings> {
        let mut deltas = self.deltas.lock().unwrap_or_else(PoisonError::into_inner);
        deltas.retain(|(_, encodings)| encodings.strong_count() > 0);
        let mut live = deltas.iter().filter(|(known, _)| known == level);
        if let Some(encodings) = live.find_map(|(_, encodings)| encodings.upgrade()) {
            return encodings;
        }
        let lineage = Lineage::of(log, self.group, &format!("{level:?}"));
        let projection = OfLevel {
            level: level.clone(),
            group: self.group,
        };
        let encodings = Arc::new(DeltaEncodings::new(lineage, Arc::new(projection)));
        deltas.push((level.clone(), Arc::downgrade(&encodings)));
        encodings
    }

    /// Publishes a state, encoding the step to it first, so that the sessions find it ready.
    async fn publish(&self, state: Arc<dyn ConfigurationState>) {
        let before = self.current();
        let same = before.digest() == state.digest();
        if !same && self.newest.receiver_count() > 0 {
            let has = Applied {
                version: before.version(),
                digest: before.digest(),
            };
            self.encodings.update(&state, Some(has)).await;
        }
        let version = state.version();
        self.newest.send_if_modified(|newest| {
            *newest = state;
            !same
        });
        self.version.send_replace(version);
    }
}

/// The hubs of all groups.
pub struct Hubs {
    configurations: Arc<dyn Configurations>,
    spawner: Arc<dyn Spawner>,
    /// A hub lives as long as somebody holds it; its slot's lock lets one caller open it.
    hubs: DashMap<GroupId, Arc<Mutex<Weak<Hub>>>>,
}

impl Hubs {
    /// Hubs over these configurations.
    pub fn new(configurations: Arc<dyn Configurations>, spawner: Arc<dyn Spawner>) -> Self {
        Self {
            configurations,
            spawner,
            hubs: DashMap::new(),
        }
    }

    /// The hub of a group, opened if it isn't.
    pub async fn hub(&self, group: GroupId) -> Result<Arc<Hub>, ConfigurationUnavailable> {
        let slot = self.hubs.entry(group).or_default().clone();
        let mut slot = slot.lock().await;
        if let Some(hub) = slot.upgrade().filter(|hub| !hub.ended.is_cancelled()) {
            return Ok(hub);
        }
        let live = self.configurations.open(group).await?;
        let newest = live.current();
        let hub = Arc::new(Hub {
            group,
            levels: Levels::new(group, self.spawner.clone()),
            version: watch::Sender::new(newest.version()),
            newest: watch::Sender::new(newest),
            encodings: Encodings::default(),
            deltas: SyncMutex::default(),
            ended: CancellationToken::new(),
        });
        *slot = Arc::downgrade(&hub);
        let follow = follow(live, slot.clone(), self.spawner.shutdown());
        self.spawner.spawn("configuration hub", follow.boxed());
        Ok(hub)
    }
}

/// How often a hub without changes looks whether anybody still holds it.
const IDLE_CHECK: std::time::Duration = std::time::Duration::from_secs(30);

async fn follow(
    mut live: Box<dyn LiveConfiguration>,
    hub: Weak<Hub>,
    shutdown: futures::future::BoxFuture<'static, ()>,
) {
    let mut shutdown = shutdown.fuse();
    loop {
        let changed = tokio::select! {
            changed = live.changed() => changed,
            () = tokio::time::sleep(IDLE_CHECK) => Ok(()),
            () = &mut shutdown => return,
        };
        let Some(hub) = hub.upgrade() else {
            return;
        };
        if changed.is_err() {
            hub.ended.cancel();
            hub.newest.send_modify(|_| ());
            return;
        }
        hub.publish(live.current()).await;
    }
}
