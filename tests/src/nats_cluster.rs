//! A JetStream cluster on this machine: several nats-servers that replicate to each other.

use serde_json::Value;

use crate::eventually::eventually;
use crate::nats_server::{NatsServer, Options, Ports};

/// The members of one cluster, each with its own ports and files, ended when dropped.
#[derive(Debug)]
pub struct NatsCluster {
    members: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts `size` servers that sync every message, and waits until they have a leader that knows all of them.
    ///
    /// # Panics
    /// When `NATS_SERVER` names no program that starts; `tests/run` sets it.
    pub async fn start(size: usize) -> Self {
        let ports: Vec<Ports> = (0..size).map(|_| Ports::reserve()).collect();
        let peers: Vec<String> = ports
            .iter()
            .map(|ports| ports.route.address().to_string())
            .collect();
        let members = ports
            .into_iter()
            .enumerate()
            .map(|(index, ports)| {
                NatsServer::launch(&format!("nats-server-{index}"), Options::default(), ports, &peers)
            })
            .collect();
        let mut cluster = Self { members };
        cluster.ready().await;
        cluster
    }

    /// Waits until every member is healthy and they agree on a leader with nobody missing.
    pub async fn ready(&mut self) {
        for member in &mut self.members {
            member.ready().await;
        }
        for member in &self.members {
            eventually(
                "the cluster has a leader and all members are current",
                async || self.judge(&meta_group(member).await?),
            )
            .await;
        }
    }

    fn judge(&self, meta: &Value) -> Result<(), String> {
        let size = meta["cluster_size"].as_u64().unwrap_or_default();
        let led = meta["leader"].as_str().is_some_and(|leader| !leader.is_empty());
        if led && usize::try_from(size) == Ok(self.members.len()) {
            Ok(())
        } else {
            Err(meta.to_string())
        }
    }

    /// What clients connect to: every member, separated by commas.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.members.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The monitoring endpoints of every member, separated by commas.
    pub fn monitor_urls(&self) -> String {
        let urls: Vec<String> = self.members.iter().map(NatsServer::monitor_url).collect();
        urls.join(",")
    }

    /// The member at `index`, counted from 0.
    pub fn member(&mut self, index: usize) -> &mut NatsServer {
        &mut self.members[index]
    }

    /// The index of the member that leads the cluster's metadata, as the member at `asked` sees it.
    ///
    /// # Panics
    /// When that member knows of no leader among the members.
    pub async fn meta_leader(&self, asked: usize) -> usize {
        eventually("a member names the leader", async || {
            let meta = meta_group(&self.members[asked]).await?;
            let leader = meta["leader"].as_str().unwrap_or_default();
            self.members
                .iter()
                .position(|member| member.name() == leader)
                .ok_or_else(|| meta.to_string())
        })
        .await
    }
}

/// What a member knows about the cluster's metadata group.
async fn meta_group(member: &NatsServer) -> Result<Value, String> {
    let mut report = member.monitored("jsz").await?;
    Ok(report["meta_cluster"].take())
}
