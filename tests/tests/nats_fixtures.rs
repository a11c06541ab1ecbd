//! The NATS fixtures do what the tests of the log rely on.

use async_nats::jetstream::{self, stream};
use tests::eventually::eventually;
use tests::nats_cluster::NatsCluster;
use tests::nats_server::{NatsServer, Options};

#[tokio::test]
async fn what_a_server_acknowledged_survives_its_death() {
    let mut server = NatsServer::start(Options::default()).await;
    let jetstream = connect(&server.url()).await;
    create_stream(&jetstream, 1).await;
    let acknowledged = publish(&jetstream, "first").await;

    server.restart().await;

    let jetstream = connect(&server.url()).await;
    assert_eq!(message(&jetstream, acknowledged).await, "first");
}

#[tokio::test]
async fn a_server_says_whether_it_syncs_before_it_acknowledges() {
    let careful = NatsServer::start(Options::default()).await;
    let careless = NatsServer::start(Options {
        sync_always: false,
        ..Options::default()
    })
    .await;

    let setting = async |server: &NatsServer| {
        let report = server.monitored("varz").await.expect("the monitor answers");
        report["jetstream"]["config"]["sync_always"]
            .as_bool()
            .unwrap_or_default()
    };
    assert!(setting(&careful).await);
    assert!(!setting(&careless).await);
}

#[tokio::test]
async fn a_cluster_of_three_outlives_any_one_member() {
    let mut cluster = NatsCluster::start(3).await;
    let jetstream = connect(&cluster.url()).await;
    create_stream(&jetstream, 3).await;
    let first = publish(&jetstream, "before").await;

    let leader = cluster.meta_leader(0).await;
    cluster.member(leader).kill9();
    let second = publish(&jetstream, "while one is dead").await;
    cluster.member(leader).start_again();
    cluster.ready().await;

    assert_eq!(message(&jetstream, first).await, "before");
    assert_eq!(message(&jetstream, second).await, "while one is dead");
}

#[tokio::test]
async fn a_paused_server_answers_nothing_until_it_proceeds() {
    let server = NatsServer::start(Options::default()).await;
    server.pause();
    server
        .monitored("varz")
        .await
        .expect_err("a stopped process says nothing");
    server.proceed();
    server
        .monitored("varz")
        .await
        .expect("it goes on as if nothing had happened");
}

async fn connect(url: &str) -> jetstream::Context {
    let servers: Vec<String> = url.split(',').map(str::to_owned).collect();
    let client = async_nats::connect(servers)
        .await
        .expect("the server accepts connections");
    jetstream::new(client)
}

async fn create_stream(jetstream: &jetstream::Context, num_replicas: usize) {
    let config = stream::Config {
        name: "FACTS".to_owned(),
        subjects: vec!["facts.>".to_owned()],
        num_replicas,
        ..stream::Config::default()
    };
    eventually("the stream is made", async || {
        jetstream
            .get_or_create_stream(config.clone())
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await;
}

/// Publishes until it is acknowledged; the stream's sequence.
async fn publish(jetstream: &jetstream::Context, text: &'static str) -> u64 {
    eventually("a message is acknowledged", async || {
        let sent = jetstream
            .publish("facts.test", text.into())
            .await
            .map_err(|error| error.to_string())?;
        sent.await
            .map(|acknowledged| acknowledged.sequence)
            .map_err(|error| error.to_string())
    })
    .await
}

async fn message(jetstream: &jetstream::Context, sequence: u64) -> String {
    eventually("the message is there", async || {
        let stream = jetstream
            .get_stream("FACTS")
            .await
            .map_err(|error| error.to_string())?;
        let found = stream
            .get_raw_message(sequence)
            .await
            .map_err(|error| error.to_string())?;
        Ok::<_, String>(String::from_utf8_lossy(&found.payload).into_owned())
    })
    .await
}
