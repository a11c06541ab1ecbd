//! A whole installation for many: three servers that share three NATS servers and one PostgreSQL, behind a load balancer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::agent_process::AgentProcess;
use crate::api_client::{ApiClient, GroupClient};
use crate::nats_cluster::NatsCluster;
use crate::postgres_server::PostgresServer;
use crate::server_process::ServerProcess;
use crate::servers::{self, Servers};
use crate::tcp_proxy::TcpProxy;

/// How many servers, and how many NATS servers.
pub const SIZE: usize = 3;

/// An installation; everything ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    servers: Servers,
    api: TcpProxy,
    dataplane: TcpProxy,
    /// The NATS servers.
    pub nats: NatsCluster,
    /// The views' database.
    pub postgres: PostgresServer,
}

impl Cluster {
    /// Starts everything, all servers at once on an empty log, and waits until each is ready.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, None).await
    }

    /// The same with servers that run another program than the one that is built here, until they are told otherwise.
    pub async fn start_with(arguments: &[&str], program: Option<&Path>) -> Self {
        let nats = NatsCluster::start(SIZE).await;
        let postgres = PostgresServer::start();
        let database = postgres.fresh_database().await;
        let servers = Servers::start_with(SIZE, &nats.log(), Some(&database), arguments, program).await;
        let readiness = |server: &ServerProcess| format!("{}/readyz", server.url());
        let api = servers
            .iter()
            .map(|server| (api_address(server), readiness(server)));
        let dataplane = servers
            .iter()
            .map(|server| (address(&server.dataplane_address()), readiness(server)));
        let (api, dataplane) = (TcpProxy::balancer(api), TcpProxy::balancer(dataplane));
        let cluster = Self {
            api,
            dataplane,
            servers,
            nats,
            postgres,
        };
        cluster.all_balanced().await;
        cluster
    }

    /// How many servers there are, running or not.
    pub const fn size(&self) -> usize {
        self.servers.size()
    }

    /// The server at `index`, counted from 0.
    pub fn server(&mut self, index: usize) -> &mut ServerProcess {
        self.servers.server_mut(index)
    }

    /// The API behind the load balancer, seen by the administrator.
    pub fn api(&self) -> ApiClient {
        ApiClient::new(
            &format!("http://{}", self.api.address()),
            self.servers.admin_token(),
        )
    }

    /// Waits until the load balancer sends requests and instances to every server again.
    pub async fn all_balanced(&self) {
        self.api.all_ready().await;
        self.dataplane.all_ready().await;
    }

    /// One group, seen by the administrator at each server.
    pub fn group_everywhere(&self, group: &str) -> Vec<GroupClient> {
        let seen = |server: &ServerProcess| server.api_as(self.servers.admin_token()).group(group);
        self.servers.iter().map(seen).collect()
    }

    /// Starts agents of one group, spread over the servers by the load balancer.
    pub async fn agents(&self, group: &str, count: usize) -> Vec<AgentProcess> {
        let token = self.api().instance_token(group).await;
        let address = self.dataplane.address().to_string();
        let authority = self.authority();
        (0..count)
            .map(|_| AgentProcess::connect(&address, &authority, group, &token))
            .collect()
    }

    /// The arguments that name the log and data to commands that work on them directly.
    pub fn storage_arguments(&self) -> Vec<String> {
        self.servers.server(0).storage_arguments()
    }

    /// The master key, for commands that work on the log directly.
    pub const fn master_key(&self) -> &'static str {
        servers::MASTER_KEY
    }

    fn authority(&self) -> PathBuf {
        self.servers.server(0).data_dir().join("ca.pem")
    }
}

fn api_address(server: &ServerProcess) -> SocketAddr {
    address(server.url().trim_start_matches("http://"))
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a server listens on an address")
}
