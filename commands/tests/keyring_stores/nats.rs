//! Pages in NATS JetStream.

use std::collections::BTreeSet;

use async_nats::jetstream;
use commands::jetstream::{Connection, Options};
use commands::keyring::{MasterKey, NatsKeyring, NatsPages};
use domain::{Boundary, KeyId, Keyring};
use uuid::Uuid;

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
