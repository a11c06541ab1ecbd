//! The data-plane listener: accepts connections, speaks TLS, reads the request and hands it to its protocol by path.
//!
//! Whoever comes has a place. Where there are no more, those leave that have said nothing yet, the longest silent first.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::NodeId;
use domain::places::{Entered, PlaceLimits, Places, Source, Ticket};
use domain::rate::Rate;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::gatekeeper::{Gatekeeper, Pass, Refused};
use crate::guesses::Guesses;
use crate::hub::Hubs;
use crate::kong::presence::{Identity, Presence};
use crate::kong::request::NodeQuery;
use crate::kong::websocket::WebSocket;
use crate::kong::{rpc, wrpc};
use crate::node_record::Protocol;
use crate::refusal_log::RefusalLog;
use crate::sessions::Shared;
use crate::upgrade::Knock;
use crate::{kong, native};

/// The accept queue: with a short one, a fleet that reconnects at once loses SYNs, which come again after a second.
const ACCEPT_QUEUE: u32 = 4096;
/// How long a connection may take to get through TLS and its request.
const ENTRY: Duration = Duration::from_secs(10);
/// How many connections shake hands at once, and for how long at most: who sends nothing waits before, and holds up nobody.
const SHAKING_HANDS: usize = 256;
const HANDSHAKE: Duration = Duration::from_secs(3);
/// How often an address may show tokens that open nothing: a fleet behind one address whose token was revoked comes again
/// and again.
const GUESSES: Rate = Rate {
    per_second: 20,
    burst: 200,
};
/// How long accepting rests after it failed: mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What connections need to be served.
pub struct Entrance {
    /// Judges tokens and certificates.
    pub gatekeeper: Arc<Gatekeeper>,
    /// Configurations by group.
    pub hubs: Arc<Hubs>,
    /// What connections share.
    pub shared: Arc<Shared>,
    shaking_hands: Semaphore,
    refusals: RefusalLog,
    guesses: Guesses,
    places: Mutex<Places<CancellationToken>>,
    opened: Instant,
    sessions: AtomicU64,
    connections: TaskTracker,
}

impl Entrance {
    /// An entrance nobody has come through yet, with so many places.
    pub fn new(
        gatekeeper: Arc<Gatekeeper>,
        hubs: Arc<Hubs>,
        shared: Arc<Shared>,
        limits: PlaceLimits,
    ) -> Self {
        // Numbers of an earlier run don't come again in the logs.
        let first = shared.clock.now().0.unsigned_abs() * 1_000;
        Self {
            gatekeeper,
            hubs,
            shared,
            shaking_hands: Semaphore::new(SHAKING_HANDS),
            refusals: RefusalLog::default(),
            guesses: Guesses::new(GUESSES),
            places: Mutex::new(Places::new(limits)),
            opened: Instant::now(),
            sessions: AtomicU64::new(first),
            connections: TaskTracker::new(),
        }
    }

    /// Accepts connections until the process shall end, then waits for those there are to say good-bye. An address
    /// without TLS is for loopback only.
    pub async fn serve(self: Arc<Self>, listeners: Vec<(TcpListener, Option<TlsAcceptor>)>) {
        let accepting = listeners
            .into_iter()
            .map(|(listener, tls)| self.clone().accept(listener, tls));
        futures::future::join_all(accepting).await;
        self.connections.close();
        self.connections.wait().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let shutdown = self.shared.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    if let Some(place) = self.place(address) {
                        let entering = self.clone().enter(stream, address, tls.clone(), place);
                        self.connections.spawn(entering);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a data-plane connection wasn't accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// A place for a connection, for which one that has said nothing yet may have to leave; none while there is nobody like that.
    fn place(self: &Arc<Self>, address: SocketAddr) -> Option<Place> {
        let leave = CancellationToken::new();
        let source = Source::of(address.ip());
        let entered = self.places().enter(source, self.opened.elapsed(), leave.clone());
        let Entered::Taken(ticket, turned_out) = entered else {
            metrics::counter!("dataplane_connections_refused", "reason" => "no place").increment(1);
            tracing::debug!(%address, "no place for a data-plane connection: all are in use");
            return None;
        };
        if let Some(turned_out) = turned_out {
            metrics::counter!("dataplane_connections_refused", "reason" => "turned out").increment(1);
            turned_out.cancel();
        }
        Some(Place {
            entrance: Arc::clone(self),
            ticket,
            leave,
        })
    }

    fn places(&self) -> MutexGuard<'_, Places<CancellationToken>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        place: Place,
    ) {
        let entered = match self.encrypted(stream, tls, &place).await {
            Ok(Stream::Tls(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let chain = chain.unwrap_or_default().to_vec();
                self.answer(*stream, address, chain, &place).await
            }
            Ok(Stream::Plain(stream)) => self.answer(stream, address, Vec::new(), &place).await,
            Err(error) => {
                metrics::counter!("dataplane_connections_refused", "reason" => "handshake").increment(1);
                Err(error)
            }
        };
        if let Err(error) = entered {
            tracing::debug!(%address, %error, "a data-plane connection came to nothing");
        }
    }

    async fn encrypted(
        &self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        place: &Place,
    ) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let Some(tls) = tls else {
            return Ok(Stream::Plain(stream));
        };
        self.in_time(place.silent(async { stream.peek(&mut [0]).await }))
            .await?;
        let accept = async {
            let _shaking_hands = self.shaking_hands.acquire().await.map_err(io::Error::other)?;
            tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await?
        };
        Ok(Stream::Tls(Box::new(self.in_time(accept).await?)))
    }

    /// Reads the request and hands the connection to the protocol of its path.
    async fn answer<Stream>(
        &self,
        stream: Stream,
        address: SocketAddr,
        chain: Vec<CertificateDer<'static>>,
        place: &Place,
    ) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let knock = self.in_time(place.silent(Knock::read(stream))).await?;
        match knock.path() {
            native::PATH => self.native(knock, address).await,
            // A node's control plane address may have a path of its own before this.
            path if path.ends_with(kong::V1_PATH) => {
                self.kong_whole(knock, address, &chain, Protocol::KongV1).await
            }
            path if path.ends_with(wrpc::PATH) => {
                self.kong_whole(knock, address, &chain, Protocol::KongWrpc).await
            }
            path if path.ends_with(rpc::PATH) => self.kong_rpc(knock, address, &chain).await,
            other => {
                let reason = format!(
                    "there is no data-plane protocol at {other}: instances connect to {}, {}, {} or {}",
                    native::PATH,
                    kong::V1_PATH,
                    wrpc::PATH,
                    rpc::PATH
                );
                knock.refuse(404, &reason).await
            }
        }
    }

    /// Kong's data planes that are sent whole configurations, over v1 or wRPC.
    async fn kong_whole<Stream>(
        &self,
        knock: Knock<Stream>,
        address: SocketAddr,
        chain: &[CertificateDer<'_>],
        protocol: Protocol,
    ) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some(pass) = self.certified(address, chain).await else {
            return knock.drop_silently().await;
        };
        let subprotocol = match protocol {
            // Kong 3.0 asks like that whether wRPC is spoken, and uses v1 where it isn't.
            Protocol::KongWrpc if knock.method() == "HEAD" => {
                return knock.refuse(404, "Kong 3.0 uses v1").await;
            }
            Protocol::KongWrpc => Some(wrpc::SUBPROTOCOL),
            _ => None,
        };
        if let Some(subprotocol) = subprotocol.filter(|subprotocol| !knock.offers(subprotocol)) {
            let reason = format!("the request must offer the WebSocket protocol {subprotocol}");
            return knock.refuse(400, &reason).await;
        }
        let query = NodeQuery::parse(knock.query());
        let id = query.id.as_deref().and_then(|id| Uuid::try_parse(id).ok());
        let (Some(node), Some(version)) = (id, query.version) else {
            let reason =
                "the request must name the node: node_id=<uuid>&node_hostname=<name>&node_version=<x.y.z>";
            return knock.refuse(400, reason).await;
        };
        let hub = match self.hubs.hub(pass.admission.group).await {
            Ok(hub) => hub,
            Err(error) => return knock.refuse(503, &error.to_string()).await,
        };
        let (stream, rest) = self.in_time(knock.accept(subprotocol)).await?;
        let identity = Identity {
            node: NodeId(node),
            hostname: query.hostname,
            version,
        };
        let presence = self.presence(pass, address, identity, protocol);
        let serve = kong::connection::serve(WebSocket::new(stream, &rest), presence, hub);
        // Boxed, so that the parts of getting in don't lie beside it for as long as the connection lives.
        Box::pin(serve).await;
        Ok(())
    }

    /// Kong's data planes that ask for what changed, and those that only say hello here.
    async fn kong_rpc<Stream>(
        &self,
        knock: Knock<Stream>,
        address: SocketAddr,
        chain: &[CertificateDer<'_>],
    ) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let Some(pass) = self.certified(address, chain).await else {
            return knock.drop_silently().await;
        };
        if !knock.offers(rpc::SUBPROTOCOL) {
            // Kong 3.7 and 3.8 speak another one, for debugging only.
            let reason = format!("only the WebSocket protocol {} is spoken here", rpc::SUBPROTOCOL);
            return knock.refuse(404, &reason).await;
        }
        let hub = match self.hubs.hub(pass.admission.group).await {
            Ok(hub) => hub,
            Err(error) => return knock.refuse(503, &error.to_string()).await,
        };
        let (stream, rest) = self.in_time(knock.accept(Some(rpc::SUBPROTOCOL))).await?;
        // It says who it is in its hello.
        let identity = Identity {
            node: NodeId(Uuid::nil()),
            hostname: String::new(),
            version: String::new(),
        };
        let presence = self.presence(pass, address, identity, Protocol::KongSyncV2);
        let serve = rpc::connection::serve(WebSocket::new(stream, &rest), presence, hub);
        // Boxed, so that the parts of getting in don't lie beside it for as long as the connection lives.
        Box::pin(serve).await;
        Ok(())
    }

    /// Who the certificates let in. Kong's data planes take any answer for a welcome, so those who aren't get none
    /// (`kong-hybrid-protocol.md` §1.1, §1.2).
    async fn certified(&self, address: SocketAddr, chain: &[CertificateDer<'_>]) -> Option<Pass> {
        match self.gatekeeper.admit_certificate(chain).await {
            Ok(pass) => Some(pass),
            Err(refused) => {
                self.refusals.refused(address.ip(), &refused);
                None
            }
        }
    }

    fn presence(&self, pass: Pass, address: SocketAddr, identity: Identity, protocol: Protocol) -> Presence {
        Presence {
            shared: self.shared.clone(),
            interrupted: pass.withdrawn.child_token(),
            pass,
            address,
            number: self.sessions.fetch_add(1, Ordering::Relaxed),
            identity,
            protocol,
        }
    }

    async fn native<Stream>(&self, knock: Knock<Stream>, address: SocketAddr) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if let Err(seconds) = self.guesses.may_show(address.ip(), knock.bearer()) {
            metrics::counter!("dataplane_connections_refused", "reason" => "guessing").increment(1);
            let reason =
                format!("too many tokens from this address opened nothing: try again in {seconds} s");
            return knock.refuse(429, &reason).await;
        }
        let pass: Pass = match self.gatekeeper.admit(knock.bearer()).await {
            Ok(pass) => pass,
            Err(refused) => {
                if matches!(refused, Refused::Denied(_)) {
                    self.guesses.was_no_good(address.ip(), knock.bearer());
                }
                self.refusals.refused(address.ip(), &refused);
                return knock.refuse(status(&refused), &refused.to_string()).await;
            }
        };
        self.guesses.was_good(knock.bearer());
        let hub = match self.hubs.hub(pass.admission.group).await {
            Ok(hub) => hub,
            Err(error) => return knock.refuse(503, &error.to_string()).await,
        };
        let (stream, rest) = self.in_time(knock.accept(None)).await?;
        let config = Some(native::connection::websocket_config());
        let socket = WebSocketStream::from_partially_read(stream, rest, Role::Server, config).await;
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        let serve = native::connection::serve(socket, number, self.shared.clone(), hub, pass, address);
        // Boxed, so that the parts of getting in don't lie beside it for as long as the connection lives.
        Box::pin(serve).await;
        Ok(())
    }

    async fn in_time<Out>(&self, step: impl Future<Output = io::Result<Out>>) -> io::Result<Out> {
        tokio::select! {
            done = tokio::time::timeout(ENTRY, step) => done?,
            () = self.shared.shutdown.cancelled() => Err(io::Error::other("the process is shutting down")),
        }
    }
}

/// A connection's place, until it is dropped.
struct Place {
    entrance: Arc<Entrance>,
    ticket: Ticket,
    leave: CancellationToken,
}

impl Place {
    /// A step in which the peer is to speak: meanwhile it may have to leave.
    async fn silent<Out>(&self, step: impl Future<Output = io::Result<Out>>) -> io::Result<Out> {
        let entrance = &self.entrance;
        entrance.places().quiet(self.ticket, entrance.opened.elapsed());
        tokio::select! {
            done = step => {
                entrance.places().busy(self.ticket);
                done
            }
            () = self.leave.cancelled() => Err(io::Error::other("others need its place")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.entrance.places().leave(self.ticket);
    }
}

/// An accepted connection.
enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

const fn status(refused: &Refused) -> u16 {
    match refused {
        Refused::Denied(denied) => denied.status(),
        Refused::CertificateDenied(_) => 403,
        Refused::Unavailable(_) | Refused::CertificatesUnavailable(_) => 503,
    }
}

/// Listens with an accept queue long enough for a fleet that reconnects at once.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}
