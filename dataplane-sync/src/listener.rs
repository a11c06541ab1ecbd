//! The data-plane listener: accepts connections, speaks TLS, reads the request and hands it to its protocol by path.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::TaskTracker;

use crate::gatekeeper::{Gatekeeper, Pass, Refused};
use crate::hub::Hubs;
use crate::native;
use crate::native::connection::Shared;
use crate::upgrade::Knock;

/// The accept queue: with a short one, a fleet that reconnects at once loses SYNs, which come again after a second.
const ACCEPT_QUEUE: u32 = 4096;
/// How long a connection may take to get through TLS and its request.
const ENTRY: Duration = Duration::from_secs(10);
/// How many connections get through TLS at once.
const ENTERING: usize = 256;
/// How long accepting rests after it failed: mostly for want of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What connections need to be served.
pub struct Entrance {
    /// Judges tokens.
    pub gatekeeper: Arc<Gatekeeper>,
    /// Configurations by group.
    pub hubs: Arc<Hubs>,
    /// What native connections share.
    pub shared: Arc<Shared>,
    /// TLS; none for plain connections, which are for loopback only.
    pub tls: Option<TlsAcceptor>,
    entering: Semaphore,
    sessions: AtomicU64,
    connections: TaskTracker,
}

impl Entrance {
    /// An entrance nobody has come through yet.
    pub fn new(
        gatekeeper: Arc<Gatekeeper>,
        hubs: Arc<Hubs>,
        shared: Arc<Shared>,
        tls: Option<TlsAcceptor>,
    ) -> Self {
        // Numbers of an earlier run don't come again in the logs.
        let first = shared.clock.now().0.unsigned_abs() * 1_000;
        Self {
            gatekeeper,
            hubs,
            shared,
            tls,
            entering: Semaphore::new(ENTERING),
            sessions: AtomicU64::new(first),
            connections: TaskTracker::new(),
        }
    }

    /// Accepts connections until the process shall end, then waits for those there are to say good-bye.
    pub async fn serve(self: Arc<Self>, listeners: Vec<TcpListener>) {
        let accepting = listeners
            .into_iter()
            .map(|listener| self.clone().accept(listener));
        futures::future::join_all(accepting).await;
        self.connections.close();
        self.connections.wait().await;
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let shutdown = self.shared.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, address)) => {
                    self.connections.spawn(self.clone().enter(stream, address));
                }
                Err(error) => {
                    tracing::warn!(%error, "a data-plane connection wasn't accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    async fn enter(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let entered = match self.encrypted(stream).await {
            Ok(Stream::Tls(stream)) => self.answer(*stream, address).await,
            Ok(Stream::Plain(stream)) => self.answer(stream, address).await,
            Err(error) => Err(error),
        };
        if let Err(error) = entered {
            tracing::debug!(%address, %error, "a data-plane connection came to nothing");
        }
    }

    async fn encrypted(&self, stream: TcpStream) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let accept = async {
            let _entering = self.entering.acquire().await.map_err(io::Error::other)?;
            tls.accept(stream).await
        };
        Ok(Stream::Tls(Box::new(self.in_time(accept).await?)))
    }

    /// Reads the request and hands the connection to the protocol of its path.
    async fn answer<Stream>(&self, stream: Stream, address: SocketAddr) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let knock = self.in_time(Knock::read(stream)).await?;
        match knock.path() {
            native::PATH => self.native(knock, address).await,
            other => {
                let reason = format!(
                    "there is no data-plane protocol at {other}: instances connect to {}",
                    native::PATH
                );
                knock.refuse(404, &reason).await
            }
        }
    }

    async fn native<Stream>(&self, knock: Knock<Stream>, address: SocketAddr) -> io::Result<()>
    where
        Stream: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let pass: Pass = match self.gatekeeper.admit(knock.bearer()).await {
            Ok(pass) => pass,
            Err(refused) => {
                tracing::info!(%address, reason = %refused, "an instance was refused");
                return knock.refuse(status(&refused), &refused.to_string()).await;
            }
        };
        let hub = match self.hubs.hub(pass.admission.group).await {
            Ok(hub) => hub,
            Err(error) => return knock.refuse(503, &error.to_string()).await,
        };
        let accept = knock.accept(native::connection::websocket_config());
        let socket = self.in_time(accept).await?;
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

/// An accepted connection.
enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    Plain(TcpStream),
}

const fn status(refused: &Refused) -> u16 {
    match refused {
        Refused::Denied(denied) => denied.status(),
        Refused::Unavailable(_) => 503,
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
