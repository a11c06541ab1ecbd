//! What the read side is handed: keys that must be loaded first, a clock that stands, tasks that can be killed.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::keyring::{DataKey, KeyNotLoaded, KeyState, KeyringError};
use domain::{Boundary, Clock, DataKeys, KeyId, Keyring, Spawner, Timestamp};
use futures::future::BoxFuture;
use tokio::task::JoinSet;

/// Derives every key from its id; a key must be loaded before it is used.
#[derive(Default)]
pub(crate) struct KeyringDouble {
    loaded: Mutex<BTreeSet<KeyId>>,
    destroyed: Mutex<BTreeSet<KeyId>>,
}

fn locked(keys: &Mutex<BTreeSet<KeyId>>) -> MutexGuard<'_, BTreeSet<KeyId>> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DataKeys for KeyringDouble {
    fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        if locked(&self.destroyed).contains(&id) {
            return Ok(KeyState::Destroyed);
        }
        if !locked(&self.loaded).contains(&id) {
            return Err(KeyNotLoaded(id));
        }
        Ok(KeyState::Present(DataKey(
            *blake3::hash(format!("{id:?}").as_bytes()).as_bytes(),
        )))
    }
}

#[async_trait]
impl Keyring for KeyringDouble {
    async fn ensure(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        self.load(ids).await
    }

    async fn load(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        locked(&self.loaded).extend(ids);
        Ok(())
    }

    async fn destroy(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        locked(&self.destroyed).extend(ids);
        Ok(())
    }

    async fn destroy_boundary(&self, boundary: Boundary) -> Result<(), KeyringError> {
        let keys = locked(&self.loaded).clone();
        locked(&self.destroyed).extend(keys.into_iter().filter(|key| key.boundary == boundary));
        Ok(())
    }
}

/// A clock that stands until it is set.
#[derive(Default)]
pub(crate) struct ClockDouble(AtomicI64);

impl ClockDouble {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ClockDouble {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Tasks that are killed wherever they are when this is dropped.
#[derive(Clone, Default)]
pub(crate) struct Killable(Arc<Mutex<JoinSet<()>>>);

impl Spawner for Killable {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    fn shutdown(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl Killable {
    /// Kills every task and waits until each is dead.
    pub(crate) async fn kill(&self) {
        let mut tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
    }
}
