//! A JetStream cluster on this machine: several nats-servers that replicate to each other.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::eventually::eventually;
use crate::nats_server::{NatsServer, Options, Ports};
use crate::tcp_proxy::{Flow, TcpProxy};

/// The members of one cluster, each with its own ports and files, ended when dropped. Each reaches each other one by a wire of its
/// own, so that a test can partition them.
#[derive(Debug)]
pub struct NatsCluster {
    members: Vec<NatsServer>,
    wires: Vec<Wire>,
}

/// What carries the messages between two members, whichever of them connected.
#[derive(Debug)]
struct Wire {
    from: usize,
    to: usize,
    proxy: TcpProxy,
}

impl NatsCluster {
    /// Starts `size` servers that sync every message, and waits until they have a leader that knows all of them.
    ///
    /// # Panics
    /// When `NATS_SERVER` names no program that starts; `tests/run` sets it.
    pub async fn start(size: usize) -> Self {
        let ports = reserve(size);
        let pairs = (0..size).flat_map(|from| (0..size).map(move |to| (from, to)));
        let wires: Vec<Wire> = pairs
            .filter(|(from, to)| from != to)
            .map(|(from, to)| Wire {
                from,
                to,
                proxy: TcpProxy::wire(ports[to].route.address()),
            })
            .collect();
        let outgoing = |index| wires.iter().filter(move |wire| wire.from == index);
        let peers = |index| {
            outgoing(index)
                .map(|wire| wire.proxy.address().to_string())
                .collect()
        };
        let peers: Vec<Vec<String>> = (0..size).map(peers).collect();
        Self::launch(&Options::default(), ports, &peers, wires).await
    }

    /// Starts `size` servers that reach each other without anything of this process between them, for measurements: nothing can be cut.
    ///
    /// # Panics
    /// As [`NatsCluster::start`] does.
    pub async fn start_unwired(size: usize, options: &Options) -> Self {
        let ports = reserve(size);
        let routes: Vec<String> = ports
            .iter()
            .map(|ports| ports.route.address().to_string())
            .collect();
        Self::launch(options, ports, &vec![routes; size], Vec::new()).await
    }

    async fn launch(options: &Options, ports: Vec<Ports>, peers: &[Vec<String>], wires: Vec<Wire>) -> Self {
        let members = ports.into_iter().zip(peers).enumerate();
        let members = members.map(|(index, (ports, peers))| {
            NatsServer::launch(&format!("nats-server-{index}"), options.clone(), ports, peers)
        });
        let mut cluster = Self {
            members: members.collect(),
            wires,
        };
        cluster.ready().await;
        cluster
    }

    /// Waits until every member runs, they agree on a leader with nobody missing, and every stream has a leader whose copies are current.
    /// Consumers don't count: one that went with its server is its reader's to make again.
    pub async fn ready(&mut self) {
        for member in &mut self.members {
            member.runs().await;
        }
        for member in &self.members {
            eventually(
                "the cluster has a leader and all members are current",
                async || self.judge(&meta_group(member).await?),
            )
            .await;
        }
        eventually("every stream has a leader and current copies", async || {
            self.judge_streams().await
        })
        .await;
    }

    /// Looks at each stream as its leader sees it; one that nobody leads is known to its members all the same.
    async fn judge_streams(&self) -> Result<(), String> {
        let (mut known, mut current) = (BTreeSet::new(), BTreeSet::new());
        for member in &self.members {
            let report = member.monitored("jsz?streams=true&config=true").await?;
            let accounts = report["account_details"].as_array().into_iter().flatten();
            let streams = accounts
                .filter_map(|account| account["stream_detail"].as_array())
                .flatten();
            for stream in streams {
                let name = stream["name"].to_string();
                if stream["cluster"]["leader"] == member.name() && copies_are_current(stream) {
                    current.insert(name.clone());
                }
                known.insert(name);
            }
        }
        let missing: Vec<_> = known.difference(&current).collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} aren't current"))
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

    /// How many members it has, running or not.
    pub const fn size(&self) -> usize {
        self.members.len()
    }

    /// The ids of the members' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().map(NatsServer::pid).collect()
    }

    /// The member at `index`, counted from 0.
    pub fn member(&mut self, index: usize) -> &mut NatsServer {
        &mut self.members[index]
    }

    /// Cuts a member off from the others; clients still reach all of them.
    ///
    /// # Panics
    /// When the members were started without wires.
    pub fn isolate(&self, index: usize) {
        assert!(!self.wires.is_empty(), "a cluster without wires can't be cut");
        self.wires_of(index).for_each(|wire| wire.let_flow(Flow::Nothing));
    }

    /// Ends [`NatsCluster::isolate`].
    pub fn rejoin(&self, index: usize) {
        self.wires_of(index).for_each(|wire| wire.let_flow(Flow::Both));
    }

    fn wires_of(&self, index: usize) -> impl Iterator<Item = &TcpProxy> {
        let touching = self
            .wires
            .iter()
            .filter(move |wire| wire.from == index || wire.to == index);
        touching.map(|wire| &wire.proxy)
    }

    /// The index of the member that leads the stream, as the member at `asked` sees it.
    pub async fn stream_leader(&self, asked: usize, stream: &str) -> usize {
        eventually("a member names the stream's leader", async || {
            let report = self.members[asked].monitored("jsz?streams=true").await?;
            let streams = report["account_details"][0]["stream_detail"].as_array();
            let detail = streams.and_then(|all| all.iter().find(|detail| detail["name"] == stream));
            let leader = detail
                .and_then(|detail| detail["cluster"]["leader"].as_str())
                .unwrap_or_default();
            self.members
                .iter()
                .position(|member| member.name() == leader)
                .ok_or_else(|| report.to_string())
        })
        .await
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

/// Whether all of a stream's copies hold what its leader holds, by the leader's report.
fn copies_are_current(stream: &Value) -> bool {
    let others = stream["cluster"]["replicas"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let wanted = stream["config"]["num_replicas"].as_u64().unwrap_or(1);
    let current = others
        .iter()
        .filter(|copy| copy["current"] == true && copy["offline"] != true);
    current.count() as u64 + 1 == wanted
}

fn reserve(size: usize) -> Vec<Ports> {
    (0..size).map(|_| Ports::reserve()).collect()
}

/// What a member knows about the cluster's metadata group.
async fn meta_group(member: &NatsServer) -> Result<Value, String> {
    let mut report = member.monitored("jsz").await?;
    Ok(report["meta_cluster"].take())
}
