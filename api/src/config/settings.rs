//! What the program runs with: flags and file joined, completed and checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use dataplane_sync::fleet_budget::NEW_NODES_PER_HOUR;
use domain::Secret;
use domain::places::PlaceLimits;
use domain::rate::Rate;

use super::file;
use super::flags::{LogFormat, ProxyHeader, ServeFlags, StorageFlags};
use crate::http::RequestRates;

const LISTEN: &str = "127.0.0.1:8088";
const OPS_LISTEN: &str = "127.0.0.1:8089";
const CONNECTIONS: PlaceLimits = PlaceLimits {
    in_all: 10_000,
    per_source: 2_000,
};
/// In a second.
const REQUESTS_PER_TOKEN: u32 = 20_000;
const REQUESTS_PER_ADDRESS: u32 = 40_000;
/// Mebibytes.
const REQUEST_MEMORY: usize = 768;
/// Mebibytes: an ordinary body must fit.
const LEAST_REQUEST_MEMORY: usize = 32;
/// A whole fleet may come from one address.
const DATAPLANE_CONNECTIONS: PlaceLimits = PlaceLimits {
    in_all: 20_000,
    per_source: 10_000,
};
const DATAPLANE_LISTEN: &str = "127.0.0.1:8005";
const PUSH_INTERVAL: Duration = Duration::from_secs(1);
const NODE_RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const GROUP_RETENTION: u64 = 30 * 24 * 60 * 60;
const SHORTEST_NODE_RETENTION: Duration = Duration::from_secs(60);
const DATA_DIR: &str = "./data";
/// Mebibytes: less couldn't hold some of the largest changes.
const SMALLEST_LOG_LIMIT: u64 = 64;
/// Mebibytes.
const LARGEST_LOG_LIMIT: u64 = 1 << 20;
/// Seconds: some rounds of a load balancer's checks.
const DRAIN_OF_MANY: u32 = 5;
/// Seconds, at most: nothing that ends a process waits longer.
const LONGEST_DRAIN: u32 = 600;

/// Settings of `serve`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Where health and metrics are answered.
    pub ops_listen: SocketAddr,
    /// How many connections the API serves at once.
    pub connections: PlaceLimits,
    /// How many requests a token and an address may send.
    pub request_rates: RequestRates,
    /// How much memory requests in flight may take together, in bytes.
    pub request_memory: usize,
    /// The API's certificate; none serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How runtime instances connect.
    pub dataplane: DataplaneSettings,
    /// How the proxies in front of the API say whom a request came from.
    pub forwarding: Forwarding,
    /// For how long requests are still taken after the process was asked to end.
    pub drain: Duration,
    /// How long after its deletion a group is purged; none: never.
    pub group_retention: Option<Duration>,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// The day it is, where the clock is to be accepted as it is.
    pub accept_clock: Option<NaiveDate>,
    /// Where things are kept.
    pub storage: StorageSettings,
}

/// How the proxies in front of the API say whom a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// How many proxies of our own each request passes; 0 where there are none.
    pub hops: u8,
    /// Where they note it.
    pub header: ProxyHeader,
}

/// A certificate chain and its private key, PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The chain, the leaf first.
    pub certificate: PathBuf,
    /// The leaf's key.
    pub key: PathBuf,
}

/// How runtime instances connect.
#[derive(Clone, Debug)]
pub struct DataplaneSettings {
    /// Where they connect; at least one address.
    pub listen: Vec<SocketAddr>,
    /// How many connections there may be at once.
    pub connections: PlaceLimits,
    /// Host names and addresses by which they reach it, beside those it listens on.
    pub public_names: Vec<String>,
    /// Pairs for `cluster_mtls=shared`: the first for the first address, and so on.
    pub shared_pairs: Vec<TlsFiles>,
    /// The least time between two whole configurations sent to one instance.
    pub push_interval: Duration,
    /// How long the record of an instance that isn't heard of any more is kept.
    pub node_retention: Duration,
    /// How many instances that weren't known one credential may bring within an hour.
    pub new_nodes_per_hour: u32,
    /// Whether they connect without TLS; then every address is a loopback address.
    pub plaintext: bool,
}

/// Where the log, the keys and the views are.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The log.
    pub log: LogEngine,
    /// How many bytes the log may have; none: as many as there is room for.
    pub log_limit: Option<u64>,
    /// Where the master key comes from where the environment doesn't have it.
    pub master_key: MasterKeySource,
    /// The views.
    pub database: DatabaseEngine,
}

/// Which database keeps the views.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseEngine {
    /// `views.db` in the data directory.
    Sqlite,
    /// PostgreSQL at an address with user and password.
    Postgres(Secret),
}

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// `master.key` in the data directory, made by the first start.
    DataDirectory,
    /// Another file, which must be there.
    File(PathBuf),
    /// What a command prints.
    Command(String),
}

/// Which engine keeps the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEngine {
    /// `log.db` in the data directory.
    Sqlite,
    /// NATS JetStream.
    Nats {
        /// Servers' addresses, separated by commas.
        url: String,
        /// On how many servers each record is kept; none lets the cluster's size decide.
        replicas: Option<usize>,
        /// A server's monitoring address, at which its sync setting is verified.
        monitor: Option<String>,
        /// How the servers are checked, and what they are shown.
        access: NatsAccess,
    },
}

/// How NATS servers are checked, and what they are shown, beside what stands in their address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsAccess {
    /// Certificates to trust beside the system's.
    pub ca: Option<PathBuf>,
    /// A certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A credentials file.
    pub credentials: Option<PathBuf>,
}

/// Why the settings can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The settings file.
    #[error("{path}: {reason}")]
    File {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A setting's value, or two settings that don't go together.
    #[error("--{flag}: {reason}")]
    Setting {
        /// Which setting.
        flag: &'static str,
        /// What is wrong, and how to mend it.
        reason: String,
    },
}

fn wrong(flag: &'static str, reason: impl Into<String>) -> SettingsError {
    SettingsError::Setting {
        flag,
        reason: reason.into(),
    }
}

impl Settings {
    /// Joins flags and the settings file they name, fills defaults and checks the whole.
    pub fn from_flags(flags: ServeFlags) -> Result<Self, SettingsError> {
        let flags = match &flags.storage.config {
            Some(path) => {
                let written = file::read(path)?;
                flags.or(written)
            }
            None => flags,
        };
        let tls = tls_files(flags.tls_cert, flags.tls_key)?;
        let listen = flags
            .listen
            .unwrap_or(LISTEN.parse().expect("the default is an address"));
        let protected = tls.is_some() || flags.behind_proxy == Some(true);
        if !listen.ip().is_loopback() && !protected {
            let reason = format!(
                "plain HTTP on {listen} would show tokens to the network: give --tls-cert and --tls-key, or --behind-proxy if a proxy in front speaks TLS"
            );
            return Err(wrong("listen", reason));
        }
        let behind_proxy = flags.behind_proxy == Some(true);
        let storage = storage(flags.storage)?;
        Ok(Self {
            listen,
            ops_listen: flags
                .ops_listen
                .unwrap_or(OPS_LISTEN.parse().expect("the default is an address")),
            request_rates: RequestRates {
                per_token: rate(flags.requests_per_token.unwrap_or(REQUESTS_PER_TOKEN)),
                per_address: rate(flags.requests_per_address.unwrap_or(match behind_proxy {
                    // All of them come from the proxy's address.
                    true => 0,
                    false => REQUESTS_PER_ADDRESS,
                })),
            },
            request_memory: request_memory(flags.request_memory)?,
            connections: connections(flags.connections, flags.connections_per_address, behind_proxy)?,
            tls,
            forwarding: Forwarding {
                hops: flags
                    .proxy_hops
                    .unwrap_or(u8::from(flags.behind_proxy == Some(true))),
                header: flags.proxy_header.unwrap_or_default(),
            },
            drain: drain(flags.drain_seconds, &storage.log)?,
            dataplane: reachable(DataplaneSettings {
                listen: flags.dataplane_listen,
                connections: dataplane_connections(
                    flags.dataplane_connections,
                    flags.dataplane_connections_per_address,
                )?,
                public_names: flags.dataplane_name,
                shared_pairs: shared_pairs(flags.dataplane_shared_cert, flags.dataplane_shared_key)?,
                push_interval: flags
                    .dataplane_push_interval
                    .map_or(PUSH_INTERVAL, Duration::from_millis),
                node_retention: node_retention(flags.node_retention)?,
                new_nodes_per_hour: new_nodes_per_hour(flags.new_nodes_per_hour)?,
                plaintext: flags.dataplane_plaintext == Some(true),
            })?,
            group_retention: Some(flags.group_retention.unwrap_or(GROUP_RETENTION))
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs),
            log_format: flags.log_format.unwrap_or_default(),
            accept_clock: flags.accept_clock,
            storage,
        })
    }
}

impl DataplaneSettings {
    /// What the listener's certificate is for.
    pub fn names(&self) -> Vec<String> {
        let addresses = self.listen.iter().map(SocketAddr::ip);
        let addresses = addresses
            .filter(|address| !address.is_unspecified())
            .map(|address| address.to_string());
        self.public_names.iter().cloned().chain(addresses).collect()
    }
}

impl StorageSettings {
    /// As [`Settings::from_flags`], for commands that work on the data directly.
    pub fn from_flags(flags: StorageFlags) -> Result<Self, SettingsError> {
        match &flags.config {
            Some(path) => {
                let written = file::read(path)?.storage;
                storage(flags.or(written))
            }
            None => storage(flags),
        }
    }
}

fn drain(seconds: Option<u32>, log: &LogEngine) -> Result<Duration, SettingsError> {
    let seconds = seconds.unwrap_or(match log {
        // Nobody else could take the requests: the pause would only be longer.
        LogEngine::Sqlite => 0,
        LogEngine::Nats { .. } => DRAIN_OF_MANY,
    });
    if seconds > LONGEST_DRAIN {
        return Err(wrong("drain-seconds", format!("must be at most {LONGEST_DRAIN}")));
    }
    Ok(Duration::from_secs(seconds.into()))
}

fn connections(
    in_all: Option<usize>,
    per_address: Option<usize>,
    behind_proxy: bool,
) -> Result<PlaceLimits, SettingsError> {
    let in_all = at_least_one("connections", in_all)?.unwrap_or(CONNECTIONS.in_all);
    let per_address = at_least_one("connections-per-address", per_address)?;
    Ok(PlaceLimits {
        in_all,
        // All of them come from the proxy's address.
        per_source: match behind_proxy {
            true => per_address.unwrap_or(in_all),
            false => per_address.unwrap_or(CONNECTIONS.per_source),
        },
    })
}

fn dataplane_connections(
    in_all: Option<usize>,
    per_address: Option<usize>,
) -> Result<PlaceLimits, SettingsError> {
    let in_all = at_least_one("dataplane-connections", in_all)?;
    let per_address = at_least_one("dataplane-connections-per-address", per_address)?;
    Ok(PlaceLimits {
        in_all: in_all.unwrap_or(DATAPLANE_CONNECTIONS.in_all),
        per_source: per_address.unwrap_or(DATAPLANE_CONNECTIONS.per_source),
    })
}

/// A rate, and how much of it at once.
const fn rate(per_second: u32) -> Rate {
    Rate {
        per_second,
        burst: per_second.saturating_mul(4),
    }
}

fn request_memory(mebibytes: Option<usize>) -> Result<usize, SettingsError> {
    let mebibytes = mebibytes.unwrap_or(REQUEST_MEMORY);
    if mebibytes < LEAST_REQUEST_MEMORY {
        let reason = format!("must be at least {LEAST_REQUEST_MEMORY}");
        return Err(wrong("request-memory", reason));
    }
    Ok(mebibytes << 20)
}

fn at_least_one(flag: &'static str, count: Option<usize>) -> Result<Option<usize>, SettingsError> {
    match count {
        Some(0) => Err(wrong(flag, "must be at least 1")),
        count => Ok(count),
    }
}

fn tls_files(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, SettingsError> {
    match (certificate, key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (Some(_), None) => Err(wrong("tls-cert", "needs --tls-key beside it")),
        (None, Some(_)) => Err(wrong("tls-key", "needs --tls-cert beside it")),
    }
}

/// Gives the instances' listener its address if none is named, and refuses one that would show tokens to the network.
fn reachable(mut settings: DataplaneSettings) -> Result<DataplaneSettings, SettingsError> {
    let listen = &mut settings.listen;
    if listen.is_empty() {
        listen.push(DATAPLANE_LISTEN.parse().expect("the default is an address"));
    }
    let outside = listen.iter().find(|address| !address.ip().is_loopback());
    if let Some(address) = outside.filter(|_| settings.plaintext) {
        let reason = format!("is for loopback addresses only, and instances would connect to {address}");
        return Err(wrong("dataplane-plaintext", reason));
    }
    Ok(settings)
}

fn node_retention(seconds: Option<u64>) -> Result<Duration, SettingsError> {
    match seconds.map(Duration::from_secs) {
        None => Ok(NODE_RETENTION),
        Some(retention) if retention >= SHORTEST_NODE_RETENTION => Ok(retention),
        Some(_) => Err(wrong("node-retention", "must be at least 60 seconds")),
    }
}

fn new_nodes_per_hour(count: Option<u32>) -> Result<u32, SettingsError> {
    match count {
        None => Ok(NEW_NODES_PER_HOUR),
        Some(0) => Err(wrong("new-nodes-per-hour", "must be at least 1")),
        Some(count) => Ok(count),
    }
}

fn shared_pairs(certificates: Vec<PathBuf>, keys: Vec<PathBuf>) -> Result<Vec<TlsFiles>, SettingsError> {
    if certificates.len() != keys.len() {
        let reason = "needs one --dataplane-shared-key for each --dataplane-shared-cert";
        return Err(wrong("dataplane-shared-cert", reason));
    }
    let pairs = certificates.into_iter().zip(keys);
    Ok(pairs
        .map(|(certificate, key)| TlsFiles { certificate, key })
        .collect())
}

fn storage(flags: StorageFlags) -> Result<StorageSettings, SettingsError> {
    let access = nats_access(&flags)?;
    Ok(StorageSettings {
        log_limit: log_limit(flags.log_limit)?,
        master_key: master_key(flags.master_key_file, flags.master_key_command)?,
        data_dir: flags.data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR)),
        database: database_engine(flags.database)?,
        log: log_engine(flags.log, flags.nats_replicas, flags.nats_monitor, access)?,
    })
}

fn nats_access(flags: &StorageFlags) -> Result<NatsAccess, SettingsError> {
    let identity = match (&flags.nats_cert, &flags.nats_key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
        (Some(_), None) => return Err(wrong("nats-cert", "needs --nats-key beside it")),
        (None, Some(_)) => return Err(wrong("nats-key", "needs --nats-cert beside it")),
    };
    Ok(NatsAccess {
        ca: flags.nats_ca.clone(),
        identity,
        credentials: flags.nats_credentials.clone(),
    })
}

fn log_limit(mebibytes: Option<u64>) -> Result<Option<u64>, SettingsError> {
    match mebibytes {
        None | Some(0) => Ok(None),
        Some(mebibytes) if (SMALLEST_LOG_LIMIT..=LARGEST_LOG_LIMIT).contains(&mebibytes) => {
            Ok(Some(mebibytes << 20))
        }
        Some(_) => Err(wrong(
            "log-limit",
            "must be from 64 to 1048576 MiB, or 0 for none",
        )),
    }
}

fn master_key(file: Option<PathBuf>, command: Option<String>) -> Result<MasterKeySource, SettingsError> {
    match (file, command) {
        (None, None) => Ok(MasterKeySource::DataDirectory),
        (Some(file), None) => Ok(MasterKeySource::File(file)),
        (None, Some(command)) => Ok(MasterKeySource::Command(command)),
        (Some(_), Some(_)) => Err(wrong(
            "master-key-file",
            "and --master-key-command exclude each other",
        )),
    }
}

/// The address holds a password, so no refusal repeats it.
fn database_engine(engine: Option<Secret>) -> Result<DatabaseEngine, SettingsError> {
    let Some(engine) = engine else {
        return Ok(DatabaseEngine::Sqlite);
    };
    let text = engine.expose();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return Ok(DatabaseEngine::Postgres(engine));
    }
    if text != "sqlite" {
        let reason = "is no database: say sqlite or postgres://user:password@host/database";
        return Err(wrong("database", reason));
    }
    Ok(DatabaseEngine::Sqlite)
}

fn log_engine(
    engine: Option<String>,
    replicas: Option<usize>,
    monitor: Option<String>,
    access: NatsAccess,
) -> Result<LogEngine, SettingsError> {
    let engine = engine.unwrap_or_else(|| "sqlite".to_owned());
    if engine.starts_with("nats://") || engine.starts_with("tls://") {
        if replicas.is_some_and(|count| ![1, 3, 5].contains(&count)) {
            return Err(wrong("nats-replicas", "JetStream keeps 1, 3 or 5 copies"));
        }
        return Ok(LogEngine::Nats {
            url: engine,
            replicas,
            monitor,
            access,
        });
    }
    if engine != "sqlite" {
        let reason = format!("'{engine}' is no log: say sqlite or nats://host:port");
        return Err(wrong("log", reason));
    }
    if replicas.is_some() {
        return Err(wrong("nats-replicas", "needs --log nats://…"));
    }
    if monitor.is_some() {
        return Err(wrong("nats-monitor", "needs --log nats://…"));
    }
    if access != NatsAccess::default() {
        let reason =
            "is for NATS servers, as --nats-cert and --nats-credentials are: needs --log tls://… or nats://…";
        return Err(wrong("nats-ca", reason));
    }
    Ok(LogEngine::Sqlite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(flags: ServeFlags) -> String {
        Settings::from_flags(flags).unwrap_err().to_string()
    }

    #[test]
    fn a_database_that_is_none_is_refused_without_its_password() {
        let storage = StorageFlags {
            database: Some(Secret::new("mysql://me:hunter2@db/views".to_owned())),
            ..StorageFlags::default()
        };
        let said = refusal(ServeFlags {
            storage: storage.clone(),
            ..ServeFlags::default()
        });
        assert!(said.contains("--database") && !said.contains("hunter2"), "{said}");
        assert!(!format!("{storage:?}").contains("hunter2"));
    }

    #[test]
    fn without_flags_everything_stays_on_this_machine() {
        let settings = Settings::from_flags(ServeFlags::default()).unwrap();
        assert!(settings.listen.ip().is_loopback());
        assert!(settings.dataplane.listen[0].ip().is_loopback());
        assert_eq!(settings.storage.log, LogEngine::Sqlite);
    }

    #[test]
    fn plain_http_off_loopback_needs_a_proxy_that_speaks_tls() {
        let flags = ServeFlags {
            listen: Some("0.0.0.0:8088".parse().unwrap()),
            ..ServeFlags::default()
        };
        assert!(refusal(flags.clone()).contains("--behind-proxy"));
        let behind_proxy = ServeFlags {
            behind_proxy: Some(true),
            ..flags
        };
        assert!(Settings::from_flags(behind_proxy).is_ok());
    }

    #[test]
    fn instances_without_tls_stay_on_loopback() {
        let flags = ServeFlags {
            dataplane_listen: vec!["0.0.0.0:8005".parse().unwrap()],
            dataplane_plaintext: Some(true),
            ..ServeFlags::default()
        };
        assert!(refusal(flags).contains("0.0.0.0:8005"));
    }

    #[test]
    fn what_is_not_available_is_said() {
        let with = |storage| ServeFlags {
            storage,
            ..ServeFlags::default()
        };
        let unknown = StorageFlags {
            log: Some("kafka://localhost".to_owned()),
            ..StorageFlags::default()
        };
        assert!(refusal(with(unknown)).contains("sqlite or nats://"));
    }

    #[test]
    fn one_of_many_drains_and_a_process_alone_does_not_unless_told() {
        let drain = |log: &str, drain_seconds| {
            let storage = StorageFlags {
                log: Some(log.to_owned()),
                ..StorageFlags::default()
            };
            let flags = ServeFlags {
                drain_seconds,
                storage,
                ..ServeFlags::default()
            };
            Settings::from_flags(flags).map(|settings| settings.drain.as_secs())
        };
        assert_eq!(drain("sqlite", None), Ok(0));
        assert_eq!(drain("sqlite", Some(3)), Ok(3));
        assert_eq!(drain("nats://127.0.0.1:4222", None), Ok(5));
        assert!(drain("sqlite", Some(601)).is_err());
    }

    #[test]
    fn a_flag_beats_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.toml");
        std::fs::write(&path, "listen = '127.0.0.1:1'\ndata-dir = '/from/file'\n").unwrap();
        let flags = ServeFlags {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            storage: StorageFlags {
                config: Some(path),
                ..StorageFlags::default()
            },
            ..ServeFlags::default()
        };
        let settings = Settings::from_flags(flags).unwrap();
        assert_eq!(settings.listen.port(), 2);
        assert_eq!(settings.storage.data_dir, PathBuf::from("/from/file"));
    }
}
