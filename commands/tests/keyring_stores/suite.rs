//! One suite for every store of pages.

use std::collections::BTreeSet;

use commands::keyring::{MasterKey, PageAddress, PageStore, PagedKeyring, PutError};
use domain::keyring::{KeyState, KeyringError};
use domain::{Boundary, DataKeys, GroupId, KeyId, Keyring};
use futures::future;
use uuid::Uuid;

/// Where pages live; opening it twice gives two processes' views of the same pages.
pub(crate) trait Site: Sized {
    type Store: PageStore;

    /// An empty place.
    async fn fresh() -> Self;

    /// The store at this place, opened once more.
    async fn store(&self) -> Self::Store;
}

fn boundary() -> Boundary {
    Boundary::Group(GroupId(Uuid::from_u128(5)))
}

fn id(owner: u128) -> KeyId {
    KeyId {
        boundary: boundary(),
        owner: Some(Uuid::from_u128(owner)),
    }
}

fn key(keyring: &impl DataKeys, owner: u128) -> Option<[u8; 32]> {
    match keyring.data_key(id(owner)).unwrap() {
        KeyState::Present(key) => Some(key.0),
        KeyState::Destroyed => None,
    }
}

pub(crate) async fn a_page_is_replaced_only_at_its_revision<S: Site>() {
    let site = S::fresh().await;
    let store = site.store().await;
    let address = PageAddress {
        boundary: boundary(),
        number: 0,
    };
    assert_eq!(store.put(address, 1, vec![0]).await, Err(PutError::Conflict));
    let first = store.put(address, 0, vec![1]).await.unwrap();
    assert_eq!(store.put(address, 0, vec![2]).await, Err(PutError::Conflict));
    let second = store.put(address, first, vec![3]).await.unwrap();
    assert_eq!(store.put(address, first, vec![4]).await, Err(PutError::Conflict));
    let pages = site.store().await.pages(boundary()).await.unwrap();
    assert_eq!(
        pages
            .iter()
            .map(|page| (page.revision, &page.sealed[..]))
            .collect::<Vec<_>>(),
        [(second, &[3][..])]
    );
    assert_eq!(store.addresses().await.unwrap(), [address]);
}

pub(crate) async fn keys_outlive_the_process<S: Site>() {
    let site = S::fresh().await;
    let master = MasterKey::generate();
    let before = PagedKeyring::open(site.store().await, master.clone())
        .await
        .unwrap();
    before.ensure(&(0..1_100).map(id).collect()).await.unwrap();
    let after = PagedKeyring::open(site.store().await, master).await.unwrap();
    after.load(&BTreeSet::from([id(3)])).await.unwrap();
    for owner in 0..1_100 {
        assert_eq!(key(&after, owner), key(&before, owner));
    }
}

pub(crate) async fn another_master_key_is_refused<S: Site>() {
    let site = S::fresh().await;
    PagedKeyring::open(site.store().await, MasterKey::generate())
        .await
        .unwrap();
    let refused = PagedKeyring::open(site.store().await, MasterKey::generate()).await;
    assert!(matches!(refused.err(), Some(KeyringError::WrongMasterKey(_))));
}

pub(crate) async fn processes_that_make_the_same_key_agree_on_it<S: Site>() {
    let site = S::fresh().await;
    let master = MasterKey::generate();
    let open = async || {
        PagedKeyring::open(site.store().await, master.clone())
            .await
            .unwrap()
    };
    let keyrings = [open().await, open().await, open().await];
    for owner in 0..10 {
        let id = BTreeSet::from([id(owner)]);
        let made = future::join_all(keyrings.iter().map(|keyring| keyring.ensure(&id))).await;
        assert_eq!(made, [Ok(()), Ok(()), Ok(())]);
    }
    for owner in 0..10 {
        assert_eq!(key(&keyrings[0], owner), key(&keyrings[1], owner));
        assert_eq!(key(&keyrings[0], owner), key(&keyrings[2], owner));
    }
}

pub(crate) async fn another_process_learns_of_a_destroyed_key_when_it_loads_it<S: Site>() {
    let site = S::fresh().await;
    let master = MasterKey::generate();
    let one = PagedKeyring::open(site.store().await, master.clone())
        .await
        .unwrap();
    let other = PagedKeyring::open(site.store().await, master).await.unwrap();
    let both = BTreeSet::from([id(1), id(2)]);
    one.ensure(&both).await.unwrap();
    other.load(&both).await.unwrap();
    one.destroy(&[id(1)].into()).await.unwrap();
    one.destroy(&[id(1)].into()).await.unwrap();
    other.load(&both).await.unwrap();
    assert_eq!(key(&other, 1), None);
    assert_eq!(key(&other, 2), key(&one, 2));
    assert!(key(&one, 2).is_some());
}

/// Runs the whole suite on one kind of store.
macro_rules! stores {
    ($site:ty: $($case:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            $crate::suite::$case::<$site>().await;
        }
    )*};
    ($site:ty) => {
        $crate::suite::stores!($site:
            a_page_is_replaced_only_at_its_revision,
            keys_outlive_the_process,
            another_master_key_is_refused,
            processes_that_make_the_same_key_agree_on_it,
            another_process_learns_of_a_destroyed_key_when_it_loads_it,
        );
    };
}
pub(crate) use stores;
