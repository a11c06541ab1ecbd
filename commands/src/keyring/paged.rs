//! The keyring over any store of pages: opened keys are answered from memory, new ones are durable before anybody
//! uses them, and of several processes that make the same key one wins.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use domain::keyring::{DataKey, KeyNotLoaded, KeyState, KeyringError};
use domain::{Boundary, DataKeys, KeyId, Keyring};
use futures::StreamExt;
use tokio::sync::Mutex;
use tracing::warn;
use uuid::Uuid;

use super::master_key::{self, MasterKey};
use super::page_store::{PageAddress, PageChange, PageStore, PutError, StoredPage};
use super::sealed_page::Page;
use crate::entropy;

/// What the check value says when it is opened.
const CHECK_TEXT: &[u8] = b"runtime-manager keyring 1";

/// The place of the check value.
const CHECK_PLACE: &[u8] = b"runtime-manager check value";

/// How often an unreachable store is asked again while opening, and how long in between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// A [`Keyring`] whose pages are kept in `S`.
#[derive(Debug)]
pub struct PagedKeyring<S> {
    store: S,
    master: MasterKey,
    keys: DashMap<KeyId, KeyState>,
    boundaries: DashMap<Boundary, Arc<Mutex<Pages>>>,
}

/// A boundary's pages as this process last read or wrote them.
#[derive(Debug, Default)]
struct Pages {
    /// Whether this is what the store holds, as far as this process knows.
    current: bool,
    pages: Vec<OpenPage>,
    /// On which page an owner's key is.
    index: HashMap<Option<Uuid>, usize>,
}

#[derive(Debug, Default)]
struct OpenPage {
    /// The revision that the next write replaces.
    revision: u64,
    page: Page,
    /// Whether it must be written.
    changed: bool,
}

impl Pages {
    fn new(pages: Vec<OpenPage>) -> Self {
        let owners = pages
            .iter()
            .enumerate()
            .flat_map(|(number, page)| page.page.entries.iter().map(move |(owner, _)| (*owner, number)));
        let index = owners.collect();
        Self {
            current: true,
            pages,
            index,
        }
    }

    fn holds(&self, owner: Option<Uuid>) -> bool {
        self.index.contains_key(&owner)
    }

    /// Adds a key to the last page or, if that is full, to a new one.
    fn add(&mut self, owner: Option<Uuid>, state: KeyState) {
        if self.pages.last().is_none_or(|last| last.page.is_full()) {
            self.pages.push(OpenPage::default());
        }
        self.index.insert(owner, self.pages.len() - 1);
        let last = self
            .pages
            .last_mut()
            .expect("a page was just added if there was none");
        last.page.entries.push((owner, state));
        last.changed = true;
    }

    /// Turns a key into a tombstone; one that doesn't exist becomes one, so that it can never be made.
    fn destroy(&mut self, owner: Option<Uuid>) {
        let Some(&number) = self.index.get(&owner) else {
            return self.add(owner, KeyState::Destroyed);
        };
        let page = &mut self.pages[number];
        if let Some(key @ KeyState::Present(_)) = page.page.entry(owner) {
            *key = KeyState::Destroyed;
            page.changed = true;
        }
    }

    /// The numbers of the pages on which these owners' keys are.
    fn pages_of(&self, owners: &[Option<Uuid>]) -> BTreeSet<usize> {
        owners
            .iter()
            .filter_map(|owner| self.index.get(owner).copied())
            .collect()
    }

    /// Turns every key into a tombstone, the boundary's own too if it was never made.
    fn destroy_all(&mut self) {
        for open in &mut self.pages {
            for (_, key) in open
                .page
                .entries
                .iter_mut()
                .filter(|(_, key)| matches!(key, KeyState::Present(_)))
            {
                *key = KeyState::Destroyed;
                open.changed = true;
            }
        }
        self.destroy(None);
    }
}

/// The check value that counts, offering one if there is none.
async fn check_value(store: &impl PageStore, master: &MasterKey) -> Result<Vec<u8>, KeyringError> {
    if let Some(check) = store.check_value().await? {
        return Ok(check);
    }
    let offered = master.seal(CHECK_PLACE, CHECK_TEXT);
    store.offer_check_value(offered).await?;
    let check = store.check_value().await?;
    check.ok_or_else(|| KeyringError::Damaged("its check value is gone".to_owned()))
}

impl<S: PageStore> PagedKeyring<S> {
    /// Opens the keyring in this store, or starts it. A master key that isn't this keyring's is refused.
    pub async fn open(store: S, master: MasterKey) -> Result<Self, KeyringError> {
        let mut failures = 0;
        let check = loop {
            match check_value(&store, &master).await {
                // Replicas that have just been made are still electing their leader.
                Err(KeyringError::Unavailable(reason)) if failures < ATTEMPTS => {
                    failures += 1;
                    warn!(reason, "the keyring doesn't answer as it should yet");
                    tokio::time::sleep(PAUSE).await;
                }
                answer => break answer?,
            }
        };
        if master
            .open(CHECK_PLACE, &check)
            .is_none_or(|text| text.as_slice() != CHECK_TEXT)
        {
            return Err(KeyringError::WrongMasterKey(format!(
                "give the key that was used before, in the file master.key or in {}",
                master_key::ENVIRONMENT_VARIABLE
            )));
        }
        Ok(Self::started(store, master))
    }

    /// A keyring with nothing loaded.
    pub(super) fn started(store: S, master: MasterKey) -> Self {
        Self {
            store,
            master,
            keys: DashMap::new(),
            boundaries: DashMap::new(),
        }
    }

    /// Hears what other processes do to the keys, for ever: a key that one of them destroys is destroyed here too.
    pub async fn hear_others(&self) {
        let mut changes = self.store.changes();
        while let Some(change) = changes.next().await {
            match change {
                PageChange::Written { address, sealed } => self.hear(address, &sealed),
                PageChange::Missed => self.read_again().await,
            }
        }
    }

    /// Learns what a page says of the keys that this process answers from memory.
    fn hear(&self, address: PageAddress, sealed: &[u8]) {
        if !self.boundaries.contains_key(&address.boundary) {
            return;
        }
        match Page::open(&self.master, address, sealed) {
            Some(page) => self.remember(address.boundary, &page),
            None => {
                warn!(boundary = %address.boundary, number = address.number, "a page that was written doesn't open");
            }
        }
    }

    /// Reads every boundary again that this process knows keys of.
    async fn read_again(&self) {
        let boundaries: Vec<_> = self.boundaries.iter().map(|entry| *entry.key()).collect();
        for boundary in boundaries {
            let shared = self.boundaries.entry(boundary).or_default().clone();
            let mut pages = shared.lock().await;
            match self.read(boundary).await {
                Ok(read) => *pages = read,
                Err(error) => {
                    pages.current = false;
                    warn!(%boundary, %error, "what other processes did to these keys isn't known for the moment");
                }
            }
        }
    }

    /// Leaves the store in order, after the last change.
    pub(super) async fn close_store(&self) -> Result<(), KeyringError> {
        self.store.close().await
    }

    /// See [`super::KeyPages::export`].
    pub(super) async fn export_pages(&self) -> Result<Vec<(PageAddress, Vec<u8>)>, KeyringError> {
        let boundaries: BTreeSet<_> = self
            .store
            .addresses()
            .await?
            .into_iter()
            .map(|address| address.boundary)
            .collect();
        let mut exported = Vec::new();
        for boundary in boundaries {
            for (number, page) in (0..).zip(self.store.pages(boundary).await?) {
                exported.push((PageAddress { boundary, number }, page.sealed));
            }
        }
        Ok(exported)
    }

    /// See [`super::KeyPages::import`].
    pub(super) async fn import_page(&self, address: PageAddress, sealed: &[u8]) -> Result<(), KeyringError> {
        let page = Page::open(&self.master, address, sealed).ok_or_else(|| {
            KeyringError::WrongMasterKey(format!(
                "page {} of {} was sealed with another one",
                address.number, address.boundary
            ))
        })?;
        self.change(address.boundary, |pages| {
            for (owner, state) in &page.entries {
                match state {
                    KeyState::Destroyed => pages.destroy(*owner),
                    KeyState::Present(_) if pages.holds(*owner) => {}
                    KeyState::Present(_) => pages.add(*owner, state.clone()),
                }
            }
        })
        .await
    }

    /// Changes a boundary's pages, stores what was changed, and repeats that on what another process wrote until
    /// nobody else was first.
    async fn change(
        &self,
        boundary: Boundary,
        change: impl Fn(&mut Pages) + Send,
    ) -> Result<(), KeyringError> {
        let shared = self.boundaries.entry(boundary).or_default().clone();
        let mut pages = shared.lock().await;
        loop {
            if !pages.current {
                *pages = self.read(boundary).await?;
            }
            change(&mut pages);
            // Until everything is stored, what is in memory isn't true.
            pages.current = false;
            match self.store_changed(boundary, &mut pages.pages).await {
                Ok(()) => {
                    pages.current = true;
                    return Ok(());
                }
                Err(PutError::Conflict) => {}
                Err(PutError::Failed(error)) => return Err(error),
            }
        }
    }

    /// Stores the changed pages in order, and answers their keys from memory from then on.
    async fn store_changed(&self, boundary: Boundary, pages: &mut [OpenPage]) -> Result<(), PutError> {
        for (number, open) in (0..).zip(pages).filter(|(_, open)| open.changed) {
            let address = PageAddress { boundary, number };
            open.revision = self
                .store
                .put(address, open.revision, open.page.seal(&self.master, address))
                .await?;
            open.changed = false;
            self.remember(boundary, &open.page);
        }
        Ok(())
    }

    /// Reads a boundary's pages from the store and answers their keys from memory from then on.
    async fn read(&self, boundary: Boundary) -> Result<Pages, KeyringError> {
        let mut pages = Vec::new();
        for (number, StoredPage { revision, sealed }) in (0..).zip(self.store.pages(boundary).await?) {
            let page = Page::open(&self.master, PageAddress { boundary, number }, &sealed)
                .ok_or_else(|| KeyringError::Damaged(format!("page {number} of {boundary} doesn't open")))?;
            self.remember(boundary, &page);
            pages.push(OpenPage {
                revision,
                page,
                changed: false,
            });
        }
        Ok(Pages::new(pages))
    }

    /// Makes former contents of these pages unreadable.
    async fn erase_former(
        &self,
        boundary: Boundary,
        numbers: impl Iterator<Item = usize> + Send,
    ) -> Result<(), KeyringError> {
        for number in numbers {
            let number = u32::try_from(number).expect("a boundary has fewer than 2³² pages");
            self.store.erase_former(PageAddress { boundary, number }).await?;
        }
        Ok(())
    }

    /// Answers these keys from memory from now on. One that is known to be destroyed stays so: what was read may be older.
    fn remember(&self, boundary: Boundary, page: &Page) {
        for (owner, state) in &page.entries {
            let id = KeyId {
                boundary,
                owner: *owner,
            };
            let mut known = self.keys.entry(id).or_insert_with(|| state.clone());
            if matches!(state, KeyState::Destroyed) {
                *known = KeyState::Destroyed;
            }
        }
    }
}

impl<S: PageStore> DataKeys for PagedKeyring<S> {
    fn data_key(&self, id: KeyId) -> Result<KeyState, KeyNotLoaded> {
        self.keys
            .get(&id)
            .map(|state| state.clone())
            .ok_or(KeyNotLoaded(id))
    }
}

/// The owners of these keys by boundary.
fn by_boundary(ids: impl Iterator<Item = KeyId>) -> BTreeMap<Boundary, Vec<Option<Uuid>>> {
    let mut boundaries = BTreeMap::<_, Vec<_>>::new();
    for id in ids {
        boundaries.entry(id.boundary).or_default().push(id.owner);
    }
    boundaries
}

#[async_trait]
impl<S: PageStore> Keyring for PagedKeyring<S> {
    async fn ensure(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        let unknown = ids.iter().copied().filter(|id| !self.keys.contains_key(id));
        for (boundary, owners) in by_boundary(unknown) {
            self.change(boundary, |pages| {
                for owner in &owners {
                    if !pages.holds(*owner) {
                        pages.add(*owner, KeyState::Present(DataKey(entropy::seed())));
                    }
                }
            })
            .await?;
        }
        Ok(())
    }

    /// Reads from the store even what is in memory: another process may have destroyed it.
    async fn load(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        for boundary in by_boundary(ids.iter().copied()).into_keys() {
            let shared = self.boundaries.entry(boundary).or_default().clone();
            *shared.lock().await = self.read(boundary).await?;
        }
        let missing = ids.iter().find(|id| !self.keys.contains_key(id));
        missing.map_or(Ok(()), |id| Err(KeyringError::Missing(*id)))
    }

    async fn destroy(&self, ids: &BTreeSet<KeyId>) -> Result<(), KeyringError> {
        for (boundary, owners) in by_boundary(ids.iter().copied()) {
            self.change(boundary, |pages| {
                owners.iter().for_each(|owner| pages.destroy(*owner));
            })
            .await?;
            let pages = self.boundaries.entry(boundary).or_default().clone();
            let numbers = pages.lock().await.pages_of(&owners);
            self.erase_former(boundary, numbers.into_iter()).await?;
        }
        Ok(())
    }

    async fn destroy_boundary(&self, boundary: Boundary) -> Result<(), KeyringError> {
        self.change(boundary, Pages::destroy_all).await?;
        let pages = self.boundaries.entry(boundary).or_default().clone();
        let count = pages.lock().await.pages.len();
        self.erase_former(boundary, 0..count).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::MemoryPages;

    fn id(owner: u128) -> KeyId {
        KeyId {
            boundary: Boundary::System,
            owner: (owner > 0).then(|| Uuid::from_u128(owner)),
        }
    }

    fn ids(owners: impl IntoIterator<Item = u128>) -> BTreeSet<KeyId> {
        owners.into_iter().map(id).collect()
    }

    fn present(keyring: &impl DataKeys, owner: u128) -> [u8; 32] {
        match keyring.data_key(id(owner)) {
            Ok(KeyState::Present(key)) => key.0,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_key_stays_the_same_once_it_is_made() {
        let keyring = PagedKeyring::in_memory();
        assert_eq!(keyring.data_key(id(1)).err(), Some(KeyNotLoaded(id(1))));
        keyring.ensure(&ids([0, 1])).await.unwrap();
        let made = present(&keyring, 1);
        keyring.ensure(&ids([0, 1, 2])).await.unwrap();
        assert_eq!(present(&keyring, 1), made);
        assert_ne!(present(&keyring, 0), made);
    }

    #[tokio::test]
    async fn keys_beyond_a_page_go_to_the_next_and_all_are_read_again() {
        let store = MemoryPages::default();
        let master = MasterKey::generate();
        let keyring = PagedKeyring::open(store.clone(), master.clone()).await.unwrap();
        keyring.ensure(&ids(0..2_500)).await.unwrap();
        keyring.ensure(&ids(2_500..2_600)).await.unwrap();
        assert_eq!(store.pages(Boundary::System).await.unwrap().len(), 3);
        let reopened = PagedKeyring::open(store, master).await.unwrap();
        reopened.load(&ids([7])).await.unwrap();
        for owner in 0..2_600 {
            assert_eq!(present(&reopened, owner), present(&keyring, owner));
        }
    }

    #[tokio::test]
    async fn a_destroyed_key_stays_destroyed() {
        let keyring = PagedKeyring::in_memory();
        keyring.ensure(&ids([1, 2])).await.unwrap();
        keyring.destroy(&ids([1])).await.unwrap();
        keyring.destroy(&ids([3])).await.unwrap();
        keyring.ensure(&ids([1, 2, 3])).await.unwrap();
        assert!(matches!(keyring.data_key(id(1)), Ok(KeyState::Destroyed)));
        assert!(matches!(keyring.data_key(id(3)), Ok(KeyState::Destroyed)));
        present(&keyring, 2);
    }

    #[tokio::test]
    async fn destroying_a_boundary_destroys_every_key_of_it_and_no_other() {
        let keyring = PagedKeyring::in_memory();
        let group = Boundary::Group(domain::GroupId(Uuid::from_u128(1)));
        let elsewhere = KeyId {
            boundary: group,
            owner: None,
        };
        keyring.ensure(&ids(1..1_500)).await.unwrap();
        keyring.ensure(&BTreeSet::from([elsewhere])).await.unwrap();
        keyring.destroy_boundary(Boundary::System).await.unwrap();
        for owner in 0..1_500 {
            assert!(
                matches!(keyring.data_key(id(owner)), Ok(KeyState::Destroyed)),
                "{owner}"
            );
        }
        assert!(matches!(keyring.data_key(elsewhere), Ok(KeyState::Present(_))));
    }

    #[tokio::test]
    async fn a_key_that_nobody_made_is_missing() {
        let keyring = PagedKeyring::in_memory();
        assert_eq!(keyring.load(&ids([4])).await, Err(KeyringError::Missing(id(4))));
    }

    #[tokio::test]
    async fn exported_pages_bring_keys_and_erasures_but_revive_nothing() {
        let master = MasterKey::generate();
        let source = PagedKeyring::open(MemoryPages::default(), master.clone())
            .await
            .unwrap();
        source.ensure(&ids([1, 2, 3])).await.unwrap();
        source.destroy(&ids([2])).await.unwrap();
        let target = PagedKeyring::open(MemoryPages::default(), master).await.unwrap();
        target.destroy(&ids([3])).await.unwrap();
        for (address, sealed) in source.export_pages().await.unwrap() {
            target.import_page(address, &sealed).await.unwrap();
        }
        assert_eq!(present(&target, 1), present(&source, 1));
        assert!(matches!(target.data_key(id(2)), Ok(KeyState::Destroyed)));
        assert!(matches!(target.data_key(id(3)), Ok(KeyState::Destroyed)));
    }
}
