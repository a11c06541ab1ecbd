//! The log in NATS JetStream on one server, and what only NATS can do to it.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use commands::jetstream::durability::{self, Durability};
use commands::jetstream::{ConnectError, Connection, Options};
use commands::log::NatsLog;
use domain::log::{AppendError, ReadError};
use domain::{EventLog, Expected, Position};
use futures::{StreamExt, future};

use crate::eventually::eventually;
use crate::nats_server::{self, NatsServer};
use crate::suite::{Site, append, append_many, boundary_records, commit_id, conformance, followed, group};
use crate::tcp_proxy::{Flow, TcpProxy};

struct Nats {
    server: NatsServer,
    log: Arc<NatsLog>,
}

async fn open(url: String) -> NatsLog {
    NatsLog::open(Connection::open(Options::new(url)).await.unwrap())
        .await
        .unwrap()
}

impl Site for Nats {
    async fn fresh() -> Self {
        let server = NatsServer::start(nats_server::Options::default()).await;
        let log = Arc::new(open(server.url()).await);
        Self { server, log }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    async fn restart(mut self) -> Self {
        self.server.restart().await;
        let log = Arc::new(open(self.server.url()).await);
        Self { log, ..self }
    }
}

conformance!(Nats);

impl Nats {
    /// The stream through the plain client.
    async fn context(&self) -> jetstream::Context {
        jetstream::new(async_nats::connect(self.server.url()).await.unwrap())
    }

    /// The same log through a proxy, impatient.
    async fn through_proxy(&self) -> (TcpProxy, NatsLog) {
        let address = self.server.url().trim_start_matches("nats://").parse().unwrap();
        let proxy = TcpProxy::wire(address);
        let options = Options {
            timeout: Duration::from_millis(200),
            ..Options::new(format!("nats://{}", proxy.address()))
        };
        let log = NatsLog::open(Connection::open(options).await.unwrap())
            .await
            .unwrap();
        (proxy, log)
    }

    async fn reaches(&self, position: u64) {
        eventually("the log reaches the position", async || {
            match self.log.tail().await {
                Ok(tail) if tail == Position(position) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

async fn append_once(log: &NatsLog) -> Result<Position, AppendError> {
    log.append(
        group(1),
        Expected::Empty,
        commit_id(1, 1),
        Bytes::from_static(b"one"),
    )
    .await
}

#[tokio::test]
async fn an_append_whose_answer_is_lost_is_unknown_and_stored_once() {
    let site = Nats::fresh().await;
    let (proxy, log) = site.through_proxy().await;
    proxy.let_flow(Flow::RequestsOnly);
    assert!(matches!(append_once(&log).await, Err(AppendError::Unknown(_))));
    site.reaches(1).await;
    proxy.let_flow(Flow::Both);
    let again = append_once(&log).await;
    assert!(
        matches!(again, Ok(Position(1)) | Err(AppendError::Conflict)),
        "{again:?}"
    );
    assert_eq!(boundary_records(&log, group(1)).await.len(), 1);
}

#[tokio::test]
async fn an_append_that_is_held_up_is_unknown_and_stored_later() {
    let site = Nats::fresh().await;
    let (proxy, log) = site.through_proxy().await;
    proxy.let_flow(Flow::AnswersOnly);
    assert!(matches!(append_once(&log).await, Err(AppendError::Unknown(_))));
    assert_eq!(site.log.tail().await, Ok(Position::START));
    proxy.let_flow(Flow::Both);
    site.reaches(1).await;
    let again = append_once(&log).await;
    assert!(
        matches!(again, Ok(Position(1)) | Err(AppendError::Conflict)),
        "{again:?}"
    );
    assert_eq!(boundary_records(&log, group(1)).await.len(), 1);
}

#[tokio::test]
async fn an_append_that_is_held_up_until_its_guard_is_gone_is_never_stored() {
    let site = Nats::fresh().await;
    let (proxy, log) = site.through_proxy().await;
    proxy.let_flow(Flow::AnswersOnly);
    assert!(matches!(append_once(&log).await, Err(AppendError::Unknown(_))));
    append_many(&*site.log, group(1), 1).await;
    proxy.let_flow(Flow::Both);
    let definite = loop {
        match append_once(&log).await {
            Err(AppendError::Unknown(_) | AppendError::Away(_)) => {}
            definite => break definite,
        }
    };
    assert_eq!(definite, Err(AppendError::Conflict));
    assert_eq!(site.log.tail().await, Ok(Position(1)));
}

#[tokio::test]
async fn a_long_boundary_among_others_is_read_whole() {
    let site = Nats::fresh().await;
    let writers = (0..10).map(|number| append_many(&*site.log, group(number), 300));
    let written = future::join_all(writers).await;
    let records = boundary_records(&*site.log, group(3)).await;
    assert!(
        records
            .iter()
            .map(|record| record.position)
            .eq(written[3].iter().copied())
    );
}

#[tokio::test]
async fn a_follower_goes_on_after_the_server_was_killed() {
    let mut site = Nats::fresh().await;
    append_many(&*site.log, group(1), 3).await;
    let mut follower = site.log.follow(Position::START);
    for position in 1..=3 {
        assert_eq!(
            follower.next().await.unwrap().unwrap().position,
            Position(position)
        );
    }
    site.server.restart().await;
    append_many(&open(site.server.url()).await, group(1), 2).await;
    for position in 4..=5 {
        assert_eq!(
            follower.next().await.unwrap().unwrap().position,
            Position(position)
        );
    }
}

#[tokio::test]
async fn a_stream_that_was_made_again_is_damage() {
    let site = Nats::fresh().await;
    append_many(&*site.log, group(1), 3).await;
    site.context()
        .await
        .delete_stream("RUNTIME_EVENTS")
        .await
        .unwrap();
    let again = open(site.server.url()).await;
    append_many(&again, group(1), 5).await;
    assert_ne!(again.identity(), site.log.identity());
    assert!(matches!(site.log.tail().await, Err(ReadError::Damaged(_))));
    assert!(matches!(
        site.log.follow(Position(3)).next().await,
        Some(Err(ReadError::Damaged(_)))
    ));
}

#[tokio::test]
async fn a_stream_that_could_forget_is_refused_with_the_reason() {
    let site = Nats::fresh().await;
    let context = site.context().await;
    context.delete_stream("RUNTIME_EVENTS").await.unwrap();
    let forgetful = stream::Config {
        name: "RUNTIME_EVENTS".to_owned(),
        subjects: vec!["rt.>".to_owned()],
        max_age: Duration::from_secs(3_600),
        ..stream::Config::default()
    };
    context.create_stream(forgetful).await.unwrap();
    let connection = Connection::open(Options::new(site.server.url())).await.unwrap();
    let Err(ConnectError::Stream { reason, .. }) = NatsLog::open(connection).await else {
        panic!("a stream whose messages expire was accepted");
    };
    assert!(
        reason.contains("max_age") && reason.contains("deny_purge"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_full_stream_refuses_and_takes_more_once_its_limit_is_raised() {
    let server = NatsServer::start(nats_server::Options::default()).await;
    let limited = Options {
        max_bytes: Some(256 * 1024),
        ..Options::new(server.url())
    };
    let log = NatsLog::open(Connection::open(limited).await.unwrap())
        .await
        .unwrap();
    let text = "x".repeat(32 * 1024);
    let mut last = None;
    let refusal = loop {
        let id = commit_id(1, last.map_or(0, |position: Position| position.0));
        match append(&log, group(1), Expected::after(last), id, &text).await {
            Ok(position) => last = Some(position),
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, AppendError::Full(_)), "{refusal:?}");
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = context
        .get_stream("RUNTIME_EVENTS")
        .await
        .unwrap()
        .cached_info()
        .config
        .clone();
    context
        .update_stream(stream::Config {
            max_bytes: -1,
            ..config
        })
        .await
        .unwrap();
    let position = append(&log, group(1), Expected::after(last), commit_id(2, 1), &text).await;
    assert_eq!(position, Ok(last.unwrap().next()));
    assert_eq!(
        followed(&log, Position::START, last.unwrap().0 as usize + 1)
            .await
            .len(),
        last.unwrap().0 as usize + 1
    );
}

#[tokio::test]
async fn durability_is_verified_refused_or_unknown() {
    let mut durable = NatsServer::start(nats_server::Options::default()).await;
    assert_eq!(
        durability::verify(&durable.monitor_url()).await,
        Durability::Verified
    );
    let lazy = NatsServer::start(nats_server::Options {
        sync_always: false,
        ..nats_server::Options::default()
    })
    .await;
    let both = format!("{},{}", durable.monitor_url(), lazy.monitor_url());
    assert!(
        matches!(durability::verify(&both).await, Durability::Refused(reason) if reason.contains("120s"))
    );
    durable.kill9();
    assert!(matches!(
        durability::verify(&durable.monitor_url()).await,
        Durability::NotVerified(_)
    ));
}
