//! Clients that write and read without a pause, for tests of what they must not notice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api_client::GroupClient;
use crate::cluster::Cluster;
use crate::eventually::eventually;

const CLIENTS: usize = 16;
/// How many requests are answered between two events.
pub const REQUESTS: usize = 200;

/// Clients that never try anything twice: each request must be answered, and with a success.
#[derive(Debug)]
pub struct SteadyLoad {
    answered: Arc<AtomicUsize>,
    stop: CancellationToken,
    clients: JoinSet<()>,
}

impl SteadyLoad {
    /// Starts them at the cluster's load balancer.
    pub fn start(cluster: &Cluster) -> Self {
        let mut load = Self {
            answered: Arc::default(),
            stop: CancellationToken::new(),
            clients: JoinSet::new(),
        };
        for number in 0..CLIENTS {
            let group = cluster.api().group("default");
            let (answered, stop) = (Arc::clone(&load.answered), load.stop.clone());
            load.clients.spawn(async move {
                for count in 0.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    write_and_read(&group, number, count).await;
                    answered.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        load
    }

    /// Waits until many more requests were answered.
    pub async fn goes_on(&self) {
        let goal = self.answered.load(Ordering::Relaxed) + REQUESTS;
        eventually("requests are answered", async || {
            match self.answered.load(Ordering::Relaxed) {
                answered if answered >= goal => Ok(()),
                answered => Err(format!("{answered} of {goal}")),
            }
        })
        .await;
    }

    /// Ends them; answers how many requests were answered.
    ///
    /// # Panics
    /// When one was refused.
    pub async fn finish(mut self) -> usize {
        self.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no request fails");
        }
        self.answered.load(Ordering::Relaxed)
    }
}

async fn write_and_read(group: &GroupClient, number: usize, count: u64) {
    let path = format!("services/client-{number}");
    let host = format!("change-{count}.client-{number}.test");
    let body = json!({ "name": format!("client-{number}"), "host": host });
    let written = group.put(&path, &body).await;
    assert!(written.status.is_success(), "{written:?}");
    let read = group.get(&path).await.expect_status(200);
    assert_eq!(
        read.json()["host"],
        host.as_str(),
        "everybody reads their own writes"
    );
}
