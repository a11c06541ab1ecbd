//! The answers to `get_delta` of one group and level, each encoded once and shared by every connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::deltas::{EncodedDeltas, NoDeltas, Projection};
use super::version::{Lineage, SyncVersion};
use crate::configurations::ConfigurationState;
use crate::native::frames::Applied;

/// How many answers are kept, and how many of the configurations that instances were led to.
const KEPT: usize = 32;
/// An answer about more entities is encoded on a thread for blocking work.
const ENTITIES_AT_ONCE: usize = 256;

type Encoding = Arc<OnceCell<Result<Arc<EncodedDeltas>, NoDeltas>>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    from: Option<SyncVersion>,
    to: SyncVersion,
}

/// The answers of one group and level.
pub struct DeltaEncodings {
    lineage: Lineage,
    projection: Arc<dyn Projection>,
    live: Mutex<VecDeque<(Key, Encoding)>>,
    /// What instances have: it says which unique keys have moved since.
    led_to: Mutex<VecDeque<Arc<dyn ConfigurationState>>>,
}

impl DeltaEncodings {
    /// None yet.
    pub fn new(lineage: Lineage, projection: Arc<dyn Projection>) -> Self {
        Self {
            lineage,
            projection,
            live: Mutex::default(),
            led_to: Mutex::default(),
        }
    }

    /// What instances call this configuration.
    pub fn version_of(&self, state: &dyn ConfigurationState) -> SyncVersion {
        self.lineage.at(state.version(), state.digest())
    }

    /// What an instance has, where it is a configuration that this one is known to have come from.
    pub fn applied(&self, state: &dyn ConfigurationState, has: &str) -> Option<Applied> {
        let version = self.known(state, has)?.version;
        let digest = state.digest_at(version)?;
        Some(Applied { version, digest })
    }

    /// Whether what an instance has is the content of this configuration, under whichever version.
    pub fn runs(&self, state: &dyn ConfigurationState, has: &str) -> bool {
        let applied = self.applied(state, has);
        applied.is_some_and(|applied| applied.digest == state.digest())
    }

    /// What leads an instance from what it has to a configuration, or on the way there: nothing where it has it, a step
    /// where that is possible, everything otherwise, or where `whole` asks for it.
    ///
    /// # Errors
    /// [`NoDeltas`] says why there are none.
    pub async fn since(
        &self,
        state: &Arc<dyn ConfigurationState>,
        has: &str,
        whole: bool,
    ) -> Result<Arc<EncodedDeltas>, NoDeltas> {
        let leads_to = self.version_of(state.as_ref());
        if whole {
            return self.whole(state).await;
        }
        if self.runs(state.as_ref(), has) {
            return EncodedDeltas::nothing(leads_to).map(Arc::new);
        }
        if let Some(has) = self.known(state.as_ref(), has) {
            return match self.step(state, has).await? {
                Some(step) => Ok(step),
                None => self.whole(state).await,
            };
        }
        match self.recent_whole(state.as_ref()) {
            Some(whole) => Ok(whole),
            None => self.whole(state).await,
        }
    }

    fn known(&self, state: &dyn ConfigurationState, has: &str) -> Option<SyncVersion> {
        let has = SyncVersion::parse(has)?;
        let digest = state.digest_at(has.version)?;
        (self.lineage.at(has.version, digest) == has).then_some(has)
    }

    async fn step(
        &self,
        state: &Arc<dyn ConfigurationState>,
        from: SyncVersion,
    ) -> Result<Option<Arc<EncodedDeltas>>, NoDeltas> {
        let to = self.version_of(state.as_ref());
        let key = Key { from: Some(from), to };
        if let Some(ready) = self.ready(key) {
            return ready.map(Some);
        }
        let Some(touched) = state.changed_since(from.version) else {
            return Ok(None);
        };
        if touched.len() > state.group().len().max(ENTITIES_AT_ONCE) {
            return Ok(None);
        }
        let before = self.remembered(from);
        let (projection, blocking) = (self.projection.clone(), touched.len() > ENTITIES_AT_ONCE);
        let encoded_state = state.clone();
        let encode = move || {
            let before = before.as_deref().map(ConfigurationState::group);
            EncodedDeltas::step(encoded_state.group(), before, &touched, to, projection.as_ref())
        };
        // Whether there is a step isn't known before it is encoded, so the few that ask at once may each do it.
        let step = if blocking {
            on_a_thread(encode).await
        } else {
            encode()
        };
        let Some(step) = step? else {
            return Ok(None);
        };
        self.remember(state);
        let keep = async || Ok(Arc::new(step));
        self.encoding(key).get_or_init(keep).await.clone().map(Some)
    }

    async fn whole(&self, state: &Arc<dyn ConfigurationState>) -> Result<Arc<EncodedDeltas>, NoDeltas> {
        self.remember(state);
        let to = self.version_of(state.as_ref());
        let encode = async || {
            let (state, projection) = (state.clone(), self.projection.clone());
            let encode = move || EncodedDeltas::whole(state.group(), to, projection.as_ref());
            on_a_thread(encode).await.map(Arc::new)
        };
        let encoding = self.encoding(Key { from: None, to });
        encoding.get_or_init(encode).await.clone()
    }

    /// A whole configuration encoded before from which a small step leads on: of instances that come while it changes,
    /// each would otherwise have one encoded for itself.
    fn recent_whole(&self, state: &dyn ConfigurationState) -> Option<Arc<EncodedDeltas>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = live.iter().rev().filter(|(key, _)| key.from.is_none());
        let mut ready = whole.filter_map(|(_, encoding)| encoding.get()?.clone().ok());
        let newest = ready.next()?;
        let known = self.known(state, &newest.leads_to.to_string())?;
        let behind = state.changed_since(known.version)?.len();
        (behind <= state.group().len() / 4).then_some(newest)
    }

    fn ready(&self, key: Key) -> Option<Result<Arc<EncodedDeltas>, NoDeltas>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, encoding) = live.iter().rev().find(|(known, _)| *known == key)?;
        encoding.get().cloned()
    }

    fn encoding(&self, key: Key) -> Encoding {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoding)) = live.iter().rev().find(|(known, _)| *known == key) {
            return encoding.clone();
        }
        if key.from.is_none() {
            // One whole configuration is large enough.
            live.retain(|(known, _)| known.from.is_some());
        }
        if live.len() == KEPT {
            let oldest_step = live.iter().position(|(known, _)| known.from.is_some());
            live.remove(oldest_step.unwrap_or(0));
        }
        let encoding = Encoding::default();
        live.push_back((key, encoding.clone()));
        encoding
    }

    fn remember(&self, state: &Arc<dyn ConfigurationState>) {
        let mut led_to = self.led_to.lock().unwrap_or_else(PoisonError::into_inner);
        if led_to.iter().any(|known| known.version() == state.version()) {
            return;
        }
        if led_to.len() == KEPT {
            led_to.pop_front();
        }
        led_to.push_back(state.clone());
    }

    fn remembered(&self, has: SyncVersion) -> Option<Arc<dyn ConfigurationState>> {
        let led_to = self.led_to.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = led_to.iter();
        known
            .find(|state| self.version_of(state.as_ref()) == has)
            .cloned()
    }
}

async fn on_a_thread<Out: Send + 'static>(encode: impl FnOnce() -> Out + Send + 'static) -> Out {
    let encoded = tokio::task::spawn_blocking(encode).await;
    encoded.expect("encoding doesn't panic, and the runtime outlives its tasks")
}
