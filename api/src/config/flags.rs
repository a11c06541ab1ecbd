//! What can be written in a flag, an environment variable or the settings file. Everything is optional here: defaults and checks
//! are in [`super::settings`].

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{ArgAction, Args, ValueEnum};
use domain::Secret;
use serde::Deserialize;

/// Where the log, the keys and the views are.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct StorageFlags {
    /// A TOML file with settings: the flags' names without dashes in front
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where databases, keys and the first token are kept [default: ./data]
    #[arg(long, value_name = "DIRECTORY", env = "RUNTIME_MANAGER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Which engine keeps the log: `sqlite`, or NATS JetStream at `nats://host:port[,…]` [default: sqlite]
    #[arg(
        long,
        value_name = "ENGINE",
        env = "RUNTIME_MANAGER_LOG",
        hide_env_values = true
    )]
    pub log: Option<String>,
    /// Which database keeps the views: `sqlite`, or PostgreSQL 14 or newer at
    /// `postgres://user:password@host/database[?sslmode=verify-full]` [default: sqlite]
    #[arg(
        long,
        value_name = "DATABASE",
        env = "RUNTIME_MANAGER_DATABASE",
        hide_env_values = true,
        value_parser = secret
    )]
    pub database: Option<Secret>,
    /// How many NATS servers keep a copy of a log that this start creates: 1, 3 or 5 [default: 1]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_NATS_REPLICAS")]
    pub nats_replicas: Option<usize>,
    /// A NATS server's monitoring address, `http://host:8222`: its sync setting is then verified at start
    #[arg(long, value_name = "URL", env = "RUNTIME_MANAGER_NATS_MONITOR")]
    pub nats_monitor: Option<String>,
    /// Certificates, PEM, by which NATS servers at tls://… are checked, beside the system's
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_NATS_CA")]
    pub nats_ca: Option<PathBuf>,
    /// A certificate, PEM, for NATS servers that ask for one; with --nats-key
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_NATS_CERT")]
    pub nats_cert: Option<PathBuf>,
    /// The certificate's private key, PEM; with --nats-cert
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_NATS_KEY")]
    pub nats_key: Option<PathBuf>,
    /// A credentials file of NATS, with a user's JWT and key
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_NATS_CREDENTIALS")]
    pub nats_credentials: Option<PathBuf>,
    /// How large the log may grow, at least 64: near it the program warns, beyond it changes are refused; 0: as large as there is room for
    /// [default: 0]
    #[arg(long, value_name = "MEBIBYTES", env = "RUNTIME_MANAGER_LOG_LIMIT")]
    pub log_limit: Option<u64>,
    /// A file with the master key, 64 hexadecimal digits, that only its owner can read
    /// [default: master.key in the data directory]
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_MASTER_KEY_FILE")]
    pub master_key_file: Option<PathBuf>,
    /// A command that prints the master key, run by `sh -c` at the start
    #[arg(long, value_name = "COMMAND", env = "RUNTIME_MANAGER_MASTER_KEY_COMMAND")]
    pub master_key_command: Option<String>,
}

/// Everything that `serve` can be told.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ServeFlags {
    /// Where the API listens [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDRESS", env = "RUNTIME_MANAGER_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Where health and metrics are answered, without a token and over plain HTTP: /healthz, /readyz, /metrics
    /// [default: 127.0.0.1:8089]
    #[arg(long, value_name = "ADDRESS", env = "RUNTIME_MANAGER_OPS_LISTEN")]
    pub ops_listen: Option<SocketAddr>,
    /// How many connections the API serves at once; beyond it the idlest are closed [default: 10000]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_CONNECTIONS")]
    pub connections: Option<usize>,
    /// How many of them may come from one address [default: 2000; with --behind-proxy all]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_CONNECTIONS_PER_ADDRESS")]
    pub connections_per_address: Option<usize>,
    /// How many requests may be sent with one token in a second, and four times as many at once; 0: any number [default: 20000]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_REQUESTS_PER_TOKEN")]
    pub requests_per_token: Option<u32>,
    /// How many requests may come from one address in a second, and four times as many at once; 0: any number
    /// [default: 40000; with --behind-proxy any number]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_REQUESTS_PER_ADDRESS")]
    pub requests_per_address: Option<u32>,
    /// How much memory the requests in flight may take together; one caller gets half of it, and a byte of a body counts
    /// for eight [default: 768]
    #[arg(long, value_name = "MEBIBYTES", env = "RUNTIME_MANAGER_REQUEST_MEMORY")]
    pub request_memory: Option<usize>,
    /// How many connections runtime instances may have at once; beyond it those are closed that have said nothing yet
    /// [default: 20000]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_DATAPLANE_CONNECTIONS")]
    pub dataplane_connections: Option<usize>,
    /// How many of them may come from one address [default: 10000]
    #[arg(
        long,
        value_name = "COUNT",
        env = "RUNTIME_MANAGER_DATAPLANE_CONNECTIONS_PER_ADDRESS"
    )]
    pub dataplane_connections_per_address: Option<usize>,
    /// Where runtime instances connect; repeatable [default: 127.0.0.1:8005]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "RUNTIME_MANAGER_DATAPLANE_LISTEN",
        action = ArgAction::Append,
        value_delimiter = ','
    )]
    pub dataplane_listen: Vec<SocketAddr>,
    /// A host name or address by which instances reach the listener, for its certificate; repeatable
    #[arg(
        long,
        value_name = "NAME",
        env = "RUNTIME_MANAGER_DATAPLANE_NAME",
        action = ArgAction::Append,
        value_delimiter = ','
    )]
    pub dataplane_name: Vec<String>,
    /// A certificate, PEM, that Kong nodes with cluster_mtls=shared have too: the first for the first address; repeatable
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNTIME_MANAGER_DATAPLANE_SHARED_CERT",
        action = ArgAction::Append,
        value_delimiter = ','
    )]
    pub dataplane_shared_cert: Vec<PathBuf>,
    /// The shared certificate's private key, PEM; with --dataplane-shared-cert
    #[arg(
        long,
        value_name = "FILE",
        env = "RUNTIME_MANAGER_DATAPLANE_SHARED_KEY",
        action = ArgAction::Append,
        value_delimiter = ','
    )]
    pub dataplane_shared_key: Vec<PathBuf>,
    /// The least time between two whole configurations sent to one Kong node [default: 1000]
    #[arg(
        long,
        value_name = "MILLISECONDS",
        env = "RUNTIME_MANAGER_DATAPLANE_PUSH_INTERVAL"
    )]
    pub dataplane_push_interval: Option<u64>,
    /// How long the record of an instance that isn't heard of any more is kept, at least 60 [default: 1209600, 14 days]
    #[arg(long, value_name = "SECONDS", env = "RUNTIME_MANAGER_NODE_RETENTION")]
    pub node_retention: Option<u64>,
    /// How many instances that weren't known one credential may bring within an hour, at least 1 [default: 10000]
    #[arg(long, value_name = "COUNT", env = "RUNTIME_MANAGER_NEW_NODES_PER_HOUR")]
    pub new_nodes_per_hour: Option<u32>,
    /// How long after its deletion a group is purged: its keys are destroyed, it can't be restored any more; 0: never
    /// [default: 2592000, 30 days]
    #[arg(long, value_name = "SECONDS", env = "RUNTIME_MANAGER_GROUP_RETENTION")]
    pub group_retention: Option<u64>,
    /// Lets runtime instances connect without TLS; on loopback addresses only
    #[arg(
        long,
        env = "RUNTIME_MANAGER_DATAPLANE_PLAINTEXT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        value_name = "BOOL"
    )]
    pub dataplane_plaintext: Option<bool>,
    /// The API's certificate chain, PEM; with --tls-key
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// The API certificate's private key, PEM; with --tls-cert
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// A proxy in front of the API speaks TLS, so plain HTTP may be served off loopback
    #[arg(
        long,
        env = "RUNTIME_MANAGER_BEHIND_PROXY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true,
        value_name = "BOOL"
    )]
    pub behind_proxy: Option<bool>,
    /// How many proxies of yours a request passes: the address that the first of them took it from is recorded with a change. 0: none is
    /// asked [default: 1 with --behind-proxy, 0 without]
    #[arg(long, value_name = "N", env = "RUNTIME_MANAGER_PROXY_HOPS")]
    pub proxy_hops: Option<u8>,
    /// The header in which these proxies note it [default: x-forwarded-for]
    #[arg(long, value_enum, value_name = "HEADER", env = "RUNTIME_MANAGER_PROXY_HEADER")]
    pub proxy_header: Option<ProxyHeader>,
    /// For how many seconds requests are still taken after a SIGTERM, while /readyz says 503: until every load balancer
    /// knows. A process alone has nobody to leave them to [default: 5 with NATS, 0 with sqlite]
    #[arg(long, value_name = "SECONDS", env = "RUNTIME_MANAGER_DRAIN_SECONDS")]
    pub drain_seconds: Option<u32>,
    /// The form of log lines on standard error; what is logged is set with RUST_LOG [default: text]
    #[arg(long, value_enum, value_name = "FORMAT", env = "RUNTIME_MANAGER_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// The day it is today, `YYYY-MM-DD`: starts with the clock as it is, where it disagrees with what was written before or with
    /// the time that has passed. Refused on another day
    #[arg(long, value_name = "DAY", env = "RUNTIME_MANAGER_ACCEPT_CLOCK")]
    pub accept_clock: Option<NaiveDate>,
    /// Where things are kept.
    #[command(flatten)]
    #[serde(flatten)]
    pub storage: StorageFlags,
}

/// The header in which proxies note whom a request came from, each behind what the one before has noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For: 192.0.2.1, 198.51.100.7`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"` (RFC 7239).
    Forwarded,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl StorageFlags {
    /// These, and what they leave open taken from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            config: self.config.or(other.config),
            data_dir: self.data_dir.or(other.data_dir),
            log: self.log.or(other.log),
            database: self.database.or(other.database),
            nats_replicas: self.nats_replicas.or(other.nats_replicas),
            nats_monitor: self.nats_monitor.or(other.nats_monitor),
            nats_ca: self.nats_ca.or(other.nats_ca),
            nats_cert: self.nats_cert.or(other.nats_cert),
            nats_key: self.nats_key.or(other.nats_key),
            nats_credentials: self.nats_credentials.or(other.nats_credentials),
            log_limit: self.log_limit.or(other.log_limit),
            master_key_file: self.master_key_file.or(other.master_key_file),
            master_key_command: self.master_key_command.or(other.master_key_command),
        }
    }
}

impl ServeFlags {
    /// These, and what they leave open taken from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            ops_listen: self.ops_listen.or(other.ops_listen),
            connections: self.connections.or(other.connections),
            connections_per_address: self.connections_per_address.or(other.connections_per_address),
            requests_per_token: self.requests_per_token.or(other.requests_per_token),
            requests_per_address: self.requests_per_address.or(other.requests_per_address),
            request_memory: self.request_memory.or(other.request_memory),
            dataplane_connections: self.dataplane_connections.or(other.dataplane_connections),
            dataplane_connections_per_address: self
                .dataplane_connections_per_address
                .or(other.dataplane_connections_per_address),
            dataplane_listen: either(self.dataplane_listen, other.dataplane_listen),
            dataplane_name: either(self.dataplane_name, other.dataplane_name),
            dataplane_shared_cert: either(self.dataplane_shared_cert, other.dataplane_shared_cert),
            dataplane_shared_key: either(self.dataplane_shared_key, other.dataplane_shared_key),
            dataplane_push_interval: self.dataplane_push_interval.or(other.dataplane_push_interval),
            node_retention: self.node_retention.or(other.node_retention),
            new_nodes_per_hour: self.new_nodes_per_hour.or(other.new_nodes_per_hour),
            group_retention: self.group_retention.or(other.group_retention),
            dataplane_plaintext: self.dataplane_plaintext.or(other.dataplane_plaintext),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            behind_proxy: self.behind_proxy.or(other.behind_proxy),
            proxy_hops: self.proxy_hops.or(other.proxy_hops),
            proxy_header: self.proxy_header.or(other.proxy_header),
            drain_seconds: self.drain_seconds.or(other.drain_seconds),
            log_format: self.log_format.or(other.log_format),
            accept_clock: self.accept_clock.or(other.accept_clock),
            storage: self.storage.or(other.storage),
        }
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// A list that was given, or the other one.
fn either<Item>(given: Vec<Item>, other: Vec<Item>) -> Vec<Item> {
    if given.is_empty() { other } else { given }
}
