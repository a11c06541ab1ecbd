//! The log in NATS JetStream, replicated by three servers.

use std::sync::Arc;

use commands::jetstream::{Connection, Options};
use commands::log::NatsLog;
use domain::EventLog;
use futures::future;

use crate::nats_cluster::NatsCluster;
use crate::suite::{
    Site, append_many, assert_each_follows_the_one_it_names, boundary_records, conformance, contend,
    followed, group,
};

struct Replicated {
    cluster: NatsCluster,
    log: Arc<NatsLog>,
}

async fn open(url: String) -> Arc<NatsLog> {
    let options = Options {
        replicas: 3,
        ..Options::new(url)
    };
    Arc::new(
        NatsLog::open(Connection::open(options).await.unwrap())
            .await
            .unwrap(),
    )
}

impl Site for Replicated {
    async fn fresh() -> Self {
        let cluster = NatsCluster::start(3).await;
        let log = open(cluster.url()).await;
        Self { cluster, log }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        self.log.clone()
    }

    /// All servers at once, as after a power failure; nobody waits until they are well.
    async fn restart(mut self) -> Self {
        for index in 0..3 {
            self.cluster.member(index).kill9();
        }
        for index in 0..3 {
            self.cluster.member(index).start_again();
        }
        let log = open(self.cluster.url()).await;
        Self { log, ..self }
    }
}

conformance!(Replicated);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_in_two_processes_lose_no_update() {
    let site = Replicated::fresh().await;
    let logs: [Arc<dyn EventLog>; 2] = [site.log(), open(site.cluster.url()).await];
    future::join_all((0..8).map(|writer| contend(logs[writer as usize % 2].clone(), writer, 10))).await;
    let records = boundary_records(&*site.log, group(1)).await;
    assert_each_follows_the_one_it_names(&records);
    assert_eq!(records.len(), 80);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_takes_no_acknowledged_record_with_it() {
    let mut site = Replicated::fresh().await;
    let mut written = append_many(&*site.log, group(1), 20).await;
    let leader = site.cluster.meta_leader(0).await;
    site.cluster.member(leader).kill9();
    written.extend(append_many(&*site.log, group(1), 20).await);
    let records = followed(&*site.log, domain::Position::START, 40).await;
    assert!(records.iter().map(|record| record.position).eq(written));
}
