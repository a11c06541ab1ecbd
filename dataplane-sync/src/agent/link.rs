//! An agent's connection to the control plane, made again and again: hello, updates in, verdicts out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::NodeId;
use futures::future::BoxFuture;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;

use super::kong_admin::KongRefused;
use super::node_identity::spread;
use super::outputs::{Outputs, Persist};
use super::replica::Replica;
use super::{AgentError, AgentOptions, TokenSource};
use crate::native::frames::{
    self, Applied, Hello, InstanceFrame, NotAFrame, SERVER_MESSAGE_LIMIT, ServerFrame,
};
use crate::native::parts::Assembler;
use crate::native::{HEARTBEAT_SECONDS, PATH, PROTOCOL, SILENT_SECONDS};

/// How long getting connected may take.
const CONNECT: Duration = Duration::from_secs(10);
/// The first wait before connecting again; each further one is twice as long, up to [`LONGEST_WAIT`].
const SHORTEST_WAIT: u64 = 100;
/// The longest wait before connecting again, in milliseconds.
const LONGEST_WAIT: u64 = 5_000;

/// Where the control plane listens.
#[derive(Clone, Debug)]
pub struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl Address {
    /// Reads `wss://host:port`, or `ws://host:port` where the listener has no TLS.
    pub fn parse(options: &AgentOptions) -> Result<Self, AgentError> {
        let invalid = |reason: &str| AgentError::Address {
            address: options.server.clone(),
            reason: reason.to_owned(),
        };
        let uri: Uri = options.server.parse().map_err(|_| invalid("it isn't a URL"))?;
        let tls = match uri.scheme_str() {
            Some("wss" | "https") => true,
            Some("ws" | "http") => false,
            _ => return Err(invalid("it must begin with wss:// or ws://")),
        };
        if tls && options.ca_certificate.is_none() {
            return Err(AgentError::NoAuthority);
        }
        let host = uri.host().ok_or_else(|| invalid("it has no host"))?;
        let port = uri.port_u16().ok_or_else(|| invalid("it has no port"))?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            tls,
        })
    }
}

/// Why there is no connection (any more).
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("the control plane didn't answer within {} seconds", CONNECT.as_secs())]
    TooSlow,
    #[error("nothing was heard of the control plane for {SILENT_SECONDS} seconds")]
    Silent,
    #[error("{0}")]
    Network(#[from] std::io::Error),
    #[error("{0}")]
    Setup(String),
    #[error("the control plane answered {status}: {detail}")]
    Refused { status: u16, detail: String },
    #[error("{0}")]
    Socket(SocketError),
    #[error(transparent)]
    Frame(#[from] NotAFrame),
    #[error("the control plane closed the connection: {0}")]
    Closed(String),
    #[error("{reason}")]
    GoingAway { reason: String, retry_after: u32 },
    #[error("this agent has been stopped")]
    Stopped,
}

impl From<SocketError> for LinkError {
    fn from(error: SocketError) -> Self {
        let SocketError::Http(answer) = &error else {
            return Self::Socket(error);
        };
        let body = answer.body().as_deref().unwrap_or_default();
        let detail = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
        Self::Refused {
            status: answer.status().as_u16(),
            detail: detail.unwrap_or_default(),
        }
    }
}

/// A configuration that Kong has been given.
struct Loaded {
    answer: Result<(), KongRefused>,
    applied: Applied,
    candidate: Replica,
    frame: ServerFrame,
}

/// The link of one agent.
pub struct Link {
    options: AgentOptions,
    address: Address,
    node: NodeId,
    /// The configuration in use.
    replica: Replica,
    outputs: Outputs,
    loading: Option<BoxFuture<'static, Loaded>>,
    /// The update that led to `replica`, while it isn't published and on its way to the disk yet.
    unpublished: Option<ServerFrame>,
    shutdown: CancellationToken,
    attempt: u32,
}

impl Link {
    /// A link that isn't connected yet.
    pub fn new(
        options: AgentOptions,
        address: Address,
        node: NodeId,
        replica: Replica,
        outputs: Outputs,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            options,
            address,
            node,
            replica,
            outputs,
            loading: None,
            unpublished: None,
            shutdown,
            attempt: 0,
        }
    }

    /// Connects and stays connected, until it is told to end.
    pub async fn run(mut self) {
        loop {
            let Err(error) = self.connected().await;
            if self.shutdown.is_cancelled() {
                return;
            }
            let wait = self.wait_after(&error);
            tracing::warn!(%error, retry_in_ms = wait.as_millis() as u64, "not connected to the control plane");
            tokio::select! {
                () = tokio::time::sleep(wait) => (),
                () = self.shutdown.cancelled() => return,
            }
            self.attempt = self.attempt.saturating_add(1);
        }
    }

    fn wait_after(&self, error: &LinkError) -> Duration {
        if let LinkError::GoingAway { retry_after, .. } = error {
            return Duration::from_millis(u64::from(*retry_after));
        }
        let longest = (SHORTEST_WAIT << self.attempt.min(16)).min(LONGEST_WAIT);
        Duration::from_millis(longest / 2 + spread(self.node, self.attempt, longest / 2))
    }

    async fn connected(&mut self) -> Result<std::convert::Infallible, LinkError> {
        // What Kong was loading belonged to the connection before; what the control plane sends next decides.
        self.loading = None;
        let connect = async {
            let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, LinkError>(stream)
        };
        let late = |_| LinkError::TooSlow;
        let stream = tokio::time::timeout(CONNECT, connect).await.map_err(late)??;
        if !self.address.tls {
            let socket = tokio::time::timeout(CONNECT, self.upgrade(stream))
                .await
                .map_err(late)??;
            return self.converse(socket).await;
        }
        let connector = TlsConnector::from(Arc::new(self.tls()?));
        let name = ServerName::try_from(self.address.host.clone())
            .map_err(|error| LinkError::Setup(error.to_string()))?;
        let upgrade = async { self.upgrade(connector.connect(name, stream).await?).await };
        let socket = tokio::time::timeout(CONNECT, upgrade).await.map_err(late)??;
        self.converse(socket).await
    }

    fn tls(&self) -> Result<rustls::ClientConfig, LinkError> {
        let file = self.options.ca_certificate.as_deref().unwrap_or(Path::new(""));
        let unusable = |error: String| {
            LinkError::Setup(format!(
                "the CA certificate {} can't be used: {error}",
                file.display()
            ))
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))? {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions =
            rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.map_err(|error| LinkError::Setup(error.to_string()))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }

    async fn upgrade<Stream>(&mut self, stream: Stream) -> Result<WebSocketStream<Stream>, LinkError>
    where
        Stream: AsyncRead + AsyncWrite + Unpin,
    {
        let scheme = if self.address.tls { "wss" } else { "ws" };
        let host = if self.address.host.contains(':') {
            format!("[{}]", self.address.host)
        } else {
            self.address.host.clone()
        };
        let url = format!("{scheme}://{host}:{}{PATH}", self.address.port);
        let mut request = url.into_client_request()?;
        let token = format!("Bearer {}", self.token()?);
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| LinkError::Setup("the token has characters that no token has".to_owned()))?;
        token.set_sensitive(true);
        request.headers_mut().insert("authorization", token);
        let (socket, _) = client_async_with_config(request, stream, Some(websocket_config())).await?;
        Ok(socket)
    }

    fn token(&self) -> Result<String, LinkError> {
        match &self.options.token {
            TokenSource::Value(token) => Ok(token.expose().trim().to_owned()),
            TokenSource::File(file) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => Err(LinkError::Setup(format!(
                    "the token file {}: {error}",
                    file.display()
                ))),
            },
        }
    }

    async fn converse<Stream>(
        &mut self,
        mut socket: WebSocketStream<Stream>,
    ) -> Result<std::convert::Infallible, LinkError>
    where
        Stream: AsyncRead + AsyncWrite + Unpin,
    {
        send(&mut socket, &self.hello()).await?;
        let mut parts = Assembler::default();
        let mut heartbeat = tokio::time::interval(Duration::from_secs(HEARTBEAT_SECONDS as u64));
        heartbeat.reset();
        let mut last_heard = Instant::now();
        loop {
            tokio::select! {
                message = socket.next() => {
                    last_heard = Instant::now();
                    if let Some(frame) = whole_frame(message, &mut parts)?
                        && let Some(answer) = self.frame(frame)?
                    {
                        send(&mut socket, &answer).await?;
                        self.publish().await;
                    }
                }
                _ = heartbeat.tick() => {
                    if last_heard.elapsed() >= Duration::from_secs(SILENT_SECONDS as u64) {
                        return Err(LinkError::Silent);
                    }
                    let applied = self.replica.applied();
                    send(&mut socket, &InstanceFrame::Ping { applied }).await?;
                }
                () = self.shutdown.cancelled() => {
                    socket.close(Some(farewell())).await?;
                    return Err(LinkError::Stopped);
                }
                loaded = loaded(&mut self.loading) => {
                    let answer = self.kong_answered(loaded);
                    send(&mut socket, &answer).await?;
                    self.publish().await;
                }
            }
        }
    }

    fn hello(&self) -> InstanceFrame {
        let origin = self.replica.origin();
        InstanceFrame::Hello(Hello {
            protocol: PROTOCOL,
            node: self.node,
            hostname: self.options.hostname.clone(),
            version: self.options.version.clone(),
            labels: self.options.labels.clone(),
            log: origin.map(|origin| origin.log),
            group: origin.map(|origin| origin.group),
            applied: self.replica.applied(),
        })
    }

    /// Takes a frame; answers what to say at once.
    fn frame(&mut self, frame: ServerFrame) -> Result<Option<InstanceFrame>, LinkError> {
        match &frame {
            ServerFrame::Welcome { group, session, .. } => {
                self.attempt = 0;
                tracing::info!(%group, session, node = %self.node, "connected to the control plane");
            }
            ServerFrame::GoingAway { reason, retry_after } => {
                return Err(LinkError::GoingAway {
                    reason: reason.clone(),
                    retry_after: *retry_after,
                });
            }
            _ => (),
        }
        let is_update = matches!(frame, ServerFrame::Snapshot(_) | ServerFrame::Delta(_));
        let Some(kong) = self.outputs.kong.clone().filter(|_| is_update) else {
            let answer = self.replica.answer(&frame);
            self.note(answer.as_ref());
            self.unpublished = matches!(answer, Some(InstanceFrame::Ack(_))).then_some(frame);
            return Ok(answer);
        };
        let mut candidate = self.replica.clone();
        let answer = candidate.answer(&frame);
        let Some(InstanceFrame::Ack(applied)) = answer else {
            self.note(answer.as_ref());
            return Ok(answer);
        };
        let load = async move {
            Loaded {
                answer: kong.load(candidate.clone()).await,
                applied,
                candidate,
                frame,
            }
        };
        self.loading = Some(load.boxed());
        Ok(None)
    }

    /// Kong has taken or refused what it was given: only now it is acknowledged or refused here.
    fn kong_answered(&mut self, loaded: Loaded) -> InstanceFrame {
        self.loading = None;
        let Applied { version, digest } = loaded.applied;
        let answer = match loaded.answer {
            Ok(()) => {
                self.replica = loaded.candidate;
                self.unpublished = Some(loaded.frame);
                InstanceFrame::Ack(loaded.applied)
            }
            Err(refused) => InstanceFrame::Nack {
                version,
                digest,
                reason: refused.to_string(),
            },
        };
        self.note(Some(&answer));
        answer
    }

    /// Hands what was acknowledged to the disk and to the declarative file.
    async fn publish(&mut self) {
        let Some(frame) = self.unpublished.take() else {
            return;
        };
        self.outputs.newest.send_replace(Arc::new(self.replica.clone()));
        let persist = match frame {
            ServerFrame::Delta(delta) => Persist::Delta(delta),
            _ => Persist::Whole,
        };
        // The receiver ends only after this link.
        drop(self.outputs.persist.send(persist).await);
    }

    fn note(&self, answer: Option<&InstanceFrame>) {
        match answer {
            Some(InstanceFrame::Ack(Applied { version, digest })) => {
                tracing::info!(version, %digest, entities = self.replica.len(), "configuration applied");
            }
            Some(InstanceFrame::Nack { version, reason, .. }) => {
                tracing::warn!(
                    version,
                    reason,
                    "configuration refused; the one before stays in use"
                );
            }
            Some(InstanceFrame::Refetch { reason }) => {
                tracing::warn!(
                    reason,
                    "the update doesn't fit; asking for the whole configuration"
                );
            }
            _ => (),
        }
    }
}

/// WebSocket buffers for one connection that mostly waits.
fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(SERVER_MESSAGE_LIMIT))
        .max_frame_size(Some(SERVER_MESSAGE_LIMIT))
}

fn farewell() -> CloseFrame {
    CloseFrame {
        code: CloseCode::Away,
        reason: "the agent was stopped".into(),
    }
}

async fn send<Stream>(socket: &mut WebSocketStream<Stream>, frame: &InstanceFrame) -> Result<(), LinkError>
where
    Stream: AsyncRead + AsyncWrite + Unpin,
{
    socket.send(Message::Binary(frames::encode(frame).into())).await?;
    Ok(())
}

/// The frame that a message is or completes.
fn whole_frame(
    message: Option<Result<Message, SocketError>>,
    parts: &mut Assembler,
) -> Result<Option<ServerFrame>, LinkError> {
    match message {
        None => Err(LinkError::Closed("without a reason".to_owned())),
        Some(Err(error)) => Err(error.into()),
        Some(Ok(Message::Close(frame))) => {
            let reason = frame.map(|frame| frame.reason.to_string()).unwrap_or_default();
            Err(LinkError::Closed(reason))
        }
        Some(Ok(Message::Binary(bytes))) => Ok(parts.take(frames::decode_server(&bytes)?)?),
        Some(Ok(_)) => Ok(None),
    }
}

/// What came of the configuration that Kong is loading; never, while there is none.
async fn loaded(loading: &mut Option<BoxFuture<'static, Loaded>>) -> Loaded {
    match loading {
        Some(loading) => loading.await,
        None => std::future::pending().await,
    }
}
