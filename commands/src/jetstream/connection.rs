//! The connection to NATS: which servers, whose credentials, and the oldest version that keeps its promises.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, ServerAddr};
use tracing::warn;
use zeroize::Zeroizing;

use super::standing::Standing;
use super::{durability, patience};

/// The oldest server that is accepted. Older ones lose acknowledged messages or guards when members of a cluster
/// change or are partitioned (<https://jepsen.io/analyses/nats-2.12.1>).
const OLDEST_SERVER: (u64, u64, u64) = (2, 12, 3);

/// What a message may have beside its payload: subject, headers.
const ENVELOPE_BYTES: usize = 8 * 1024;

/// The largest payload that the log or the keyring publishes.
const LARGEST_PAYLOAD: usize = 900 * 1024;

/// How long servers that don't answer yet are waited for.
const CONNECTING: Duration = Duration::from_secs(10);

/// How often something is asked, at least, while its answer is waited for: a message to a server that has just lost its leader is lost.
const TRIES: u32 = 3;

/// Where the servers are and how the streams are kept.
#[derive(Clone)]
pub struct Options {
    /// `nats://` or `tls://` addresses separated by commas; with `user:password@` or `token@`, if the server asks.
    pub url: String,
    /// A file of certificates to trust beside the system's, for `tls://`.
    pub ca_file: Option<PathBuf>,
    /// A certificate and its private key, PEM, for servers that ask their clients for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A credentials file (a user's JWT and its key, as `nsc` writes it).
    pub credentials: Option<PathBuf>,
    /// The servers' monitoring addresses, `http://host:8222`, separated by commas: asked for what is wrong.
    pub monitor: Option<String>,
    /// On how many servers each message is kept: 1 or 3.
    pub replicas: usize,
    /// How many bytes the log may have; unlimited unless given, or as its stream says.
    pub max_bytes: Option<u64>,
    /// How long an answer is waited for, and asked for again meanwhile, before it counts as missing. Less than a command's deadline, so
    /// that whoever gave it hears what is away.
    pub timeout: Duration,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let servers: Vec<_> = self.url.split(',').map(without_secrets).collect();
        formatter
            .debug_struct("Options")
            .field("servers", &servers)
            .field("ca_file", &self.ca_file)
            .field("identity", &self.identity)
            .field("credentials", &self.credentials)
            .field("monitor", &self.monitor)
            .field("replicas", &self.replicas)
            .field("max_bytes", &self.max_bytes)
            .field("timeout", &self.timeout)
            .finish()
    }
}

impl Options {
    /// One replica, no limit, answers within 4 seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            identity: None,
            credentials: None,
            monitor: None,
            replicas: 1,
            max_bytes: None,
            timeout: Duration::from_secs(4),
        }
    }

    /// How long one try of several waits for an answer.
    pub(crate) fn try_timeout(&self) -> Duration {
        self.timeout / TRIES
    }
}

/// Why NATS can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credentials file can't be read, or isn't one.
    #[error("{path}: {reason}; expected a credentials file of NATS, with a JWT and a key")]
    Credentials {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// An address can't be read.
    #[error("`{0}` is no address of a NATS server: expected nats://host:port or tls://host:port")]
    Address(String),
    /// No server let us in.
    #[error(
        "can't connect to NATS at {servers}: {reason}; check the address, the credentials and the certificates"
    )]
    Unreachable {
        /// The addresses without credentials.
        servers: String,
        /// What the client said.
        reason: String,
    },
    /// The server is too old.
    #[error("nats-server {version} is too old: before {}.{}.{} acknowledged messages can be lost; install that version or, better, 2.15", .oldest.0, .oldest.1, .oldest.2)]
    TooOld {
        /// What it says it is.
        version: String,
        /// The oldest that is accepted.
        oldest: (u64, u64, u64),
    },
    /// The server takes only smaller messages.
    #[error("the server's max_payload is {0} bytes: a commit can need {needed}; set max_payload to 1MB", needed = LARGEST_PAYLOAD + ENVELOPE_BYTES)]
    SmallPayload(usize),
    /// JetStream refused the stream, or has it differently.
    #[error("stream {name}: {reason}")]
    Stream {
        /// Which stream.
        name: String,
        /// What is wrong and how to mend it.
        reason: String,
    },
}

/// A connection to NATS with JetStream.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) options: Options,
    /// What is away at the moment.
    pub(crate) standing: Arc<Standing>,
}

impl Connection {
    /// Connects to any of the servers; afterwards the client reconnects by itself.
    pub async fn open(options: Options) -> Result<Self, ConnectError> {
        let servers = addresses(&options.url)?;
        let unreachable = |reason: async_nats::ConnectError| ConnectError::Unreachable {
            servers: named(&servers),
            reason: reason.to_string(),
        };
        let credentials = credentials(&options)?;
        let client = connect(&options, credentials.as_ref(), &servers)
            .await
            .map_err(unreachable)?;
        let server = client.server_info();
        if !is_new_enough(&server.version) {
            return Err(ConnectError::TooOld {
                version: server.version,
                oldest: OLDEST_SERVER,
            });
        }
        if server.max_payload < LARGEST_PAYLOAD + ENVELOPE_BYTES {
            return Err(ConnectError::SmallPayload(server.max_payload));
        }
        let mut context = jetstream::new(client.clone());
        context.set_timeout(options.try_timeout());
        Ok(Self {
            client,
            context,
            options,
            standing: Arc::default(),
        })
    }

    /// How long an answer is waited for now.
    pub(crate) fn patience(&self) -> Duration {
        self.standing.patience(self.options.timeout)
    }

    /// Asks until there is an answer or an error that doesn't pass, as long as an answer is waited for now. What is known to be away is said
    /// instead of what the last try met.
    pub(crate) async fn ask<Answer, Error, Asking>(
        &self,
        passes: impl Fn(&Error) -> bool,
        unavailable: impl Fn(String) -> Error,
        ask: impl Fn() -> Asking,
    ) -> Result<Answer, Error>
    where
        Asking: Future<Output = Result<Answer, Error>>,
    {
        let late = || unavailable("it doesn't answer in time".to_owned());
        let answer = patience::ask(self.patience(), &passes, late, ask).await;
        answer.map_err(|error| match self.standing.trouble() {
            Some(trouble) if passes(&error) => unavailable(trouble),
            _ => error,
        })
    }

    /// What servers that aren't well say of themselves at their monitoring addresses; empty if none does.
    pub(crate) async fn ill_servers(&self) -> String {
        match &self.options.monitor {
            Some(urls) => durability::illnesses(urls).await,
            None => String::new(),
        }
    }

    /// The servers' addresses as they were given, without credentials.
    pub(crate) fn servers(&self) -> String {
        addresses(&self.options.url).map_or_else(|_| String::new(), |servers| named(&servers))
    }
}

/// What the credentials file holds, read before anybody is waited for.
fn credentials(options: &Options) -> Result<Option<Zeroizing<String>>, ConnectError> {
    let Some(path) = &options.credentials else {
        return Ok(None);
    };
    let failed = |error: std::io::Error| ConnectError::Credentials {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    ConnectOptions::new().credentials(&text).map_err(failed)?;
    Ok(Some(text))
}

/// Connects to any of the servers. Those that start beside this process are waited for; a refusal isn't asked again.
async fn connect(
    options: &Options,
    credentials: Option<&Zeroizing<String>>,
    servers: &[ServerAddr],
) -> Result<Client, async_nats::ConnectError> {
    let said = AtomicBool::new(false);
    let starting = |error: &async_nats::ConnectError| {
        matches!(error.kind(), ConnectErrorKind::Io | ConnectErrorKind::TimedOut)
    };
    let late = || async_nats::ConnectError::new(ConnectErrorKind::TimedOut);
    patience::ask(CONNECTING, starting, late, || async {
        let mut connecting = connect_options(options, servers);
        if let Some(credentials) = credentials {
            connecting = connecting.credentials(credentials)?;
        }
        let connected = connecting.connect(servers).await;
        connected.inspect_err(|error| {
            if starting(error) && !said.swap(true, Ordering::Relaxed) {
                let servers = named(servers);
                warn!(servers, %error, "NATS doesn't answer yet");
            }
        })
    })
    .await
}

/// Addresses as people read them, without credentials.
fn named(servers: &[ServerAddr]) -> String {
    let named = servers
        .iter()
        .map(|server| format!("{}:{}", server.host(), server.port()));
    named.collect::<Vec<_>>().join(", ")
}

fn addresses(url: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    url.split(',')
        .map(|address| {
            address
                .trim()
                .parse()
                .map_err(|_| ConnectError::Address(without_secrets(address)))
        })
        .collect()
}

/// The address without what stands before `@`.
fn without_secrets(address: &str) -> String {
    address.rsplit('@').next().unwrap_or_default().trim().to_owned()
}

fn connect_options(options: &Options, servers: &[ServerAddr]) -> ConnectOptions {
    let mut connect = ConnectOptions::new()
        .name("runtime-manager")
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(options.try_timeout()))
        .ping_interval(Duration::from_secs(10))
        .max_reconnects(None);
    if let Some(file) = &options.ca_file {
        connect = connect.add_root_certificates(file.clone());
    }
    if let Some((certificate, key)) = &options.identity {
        connect = connect.add_client_certificate(certificate.clone(), key.clone());
    }
    match servers
        .first()
        .map(|server| (server.username(), server.password()))
    {
        Some((Some(user), Some(password))) => connect.user_and_password(user.to_owned(), password.to_owned()),
        Some((Some(token), None)) => connect.token(token.to_owned()),
        _ => connect,
    }
}

fn is_new_enough(version: &str) -> bool {
    let release = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u64>().ok());
    let mut next = || numbers.next().unwrap_or_default();
    (next(), next(), next()) >= OLDEST_SERVER
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_2_12_3_are_too_old() {
        let accepted: Vec<_> = [
            "2.9.10",
            "2.12.2",
            "2.12.3",
            "2.12.14",
            "2.15.0-RC.1",
            "3.0.0",
            "unknown",
        ]
        .into_iter()
        .filter(|version| is_new_enough(version))
        .collect();
        assert_eq!(accepted, ["2.12.3", "2.12.14", "2.15.0-RC.1", "3.0.0"]);
    }

    #[test]
    fn credentials_are_never_printed() {
        let options = Options::new("nats://me:secret@one:4222,tls://token@two");
        let printed = format!("{options:?}");
        assert!(
            printed.contains("one:4222") && !printed.contains("secret") && !printed.contains("token"),
            "{printed}"
        );
    }

    #[test]
    fn an_address_that_is_none_is_named_without_its_password() {
        let error = addresses("nats://one:4222,http://me:secret@[two")
            .unwrap_err()
            .to_string();
        assert!(error.contains("[two") && !error.contains("secret"), "{error}");
    }
}
