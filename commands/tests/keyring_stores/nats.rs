//! Pages in NATS JetStream.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_nats::jetstream;
use commands::jetstream::{Connection, Options};
use commands::keyring::{MasterKey, NatsKeyring, NatsPages};
use commands::tasks::Tasks;
use domain::keyring::KeyState;
use domain::{Boundary, DataKeys, KeyId, Keyring};
use uuid::Uuid;

use crate::eventually::eventually;
use crate::nats_server::{self, NatsServer};
use crate::suite::{Site, stores};

struct Nats(NatsServer);

impl Site for Nats {
    type Store = NatsPages;

    async fn fresh() -> Self {
        Self(NatsServer::start(nats_server::Options::default()).await)
    }

    async fn store(&self) -> NatsPages {
        NatsPages::open(Connection::open(Options::new(self.0.url())).await.unwrap())
            .await
            .unwrap()
    }
}

stores!(Nats);

#[tokio::test]
async fn only_the_newest_form_of_a_page_is_kept() {
    let site = Nats::fresh().await;
    let keyring = NatsKeyring::open(site.store().await, MasterKey::generate())
        .await
        .unwrap();
    let id = |owner| KeyId {
        boundary: Boundary::System,
        owner: Some(Uuid::from_u128(owner)),
    };
    for owner in 0..5 {
        keyring.ensure(&BTreeSet::from([id(owner)])).await.unwrap();
    }
    keyring.destroy(&[id(2)].into()).await.unwrap();
    let context = jetstream::new(async_nats::connect(site.0.url()).await.unwrap());
    let stream = context.get_stream("KV_runtime_keys").await.unwrap();
    // The check value and the page.
    assert_eq!(stream.cached_info().state.messages, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_stops_answering_with_a_destroyed_key_without_being_asked_to() {
    let site = Nats::fresh().await;
    let master = MasterKey::generate();
    let one = NatsKeyring::open(site.store().await, master.clone())
        .await
        .unwrap();
    let other = Arc::new(NatsKeyring::open(site.store().await, master).await.unwrap());
    let id = |owner| KeyId {
        boundary: Boundary::System,
        owner: Some(Uuid::from_u128(owner)),
    };
    let both = BTreeSet::from([id(1), id(2)]);
    one.ensure(&both).await.unwrap();
    other.load(&both).await.unwrap();
    let hearing = Arc::clone(&other);
    let tasks = Tasks::default();
    tasks.spawn("keyring hearing", async move { hearing.hear_others().await });
    one.destroy(&[id(1)].into()).await.unwrap();
    eventually("the other process has heard of it", async || {
        match other.data_key(id(1)) {
            Ok(KeyState::Destroyed) => Ok(()),
            known => Err(format!("{known:?}")),
        }
    })
    .await;
    assert!(matches!(other.data_key(id(2)), Ok(KeyState::Present(_))));
    one.destroy_boundary(Boundary::System).await.unwrap();
    eventually("all keys of the boundary are gone", async || {
        match other.data_key(id(2)) {
            Ok(KeyState::Destroyed) => Ok(()),
            known => Err(format!("{known:?}")),
        }
    })
    .await;
}
