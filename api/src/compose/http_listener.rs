//! The API's front door: accepts connections, speaks TLS if it has a certificate, and serves HTTP/1.1 and HTTP/2 on them until the
//! program stops; then it answers what is in hand and lets nobody in.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use commands::tasks::Tasks;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::Service;
use tracing::{debug, warn};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How many connections are served at once; more wait.
const CONNECTIONS: usize = 10_000;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a request's head may take, and how long a connection may wait for its next request.
const HEAD: Duration = Duration::from_secs(60);
/// How often a silent HTTP/2 connection is asked whether somebody is there.
const PING: Duration = Duration::from_secs(30);
/// How many requests one HTTP/2 connection may have in flight.
const STREAMS: u32 = 256;
/// How long what is in hand may take after the program was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long to wait when the operating system has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A bound listener that doesn't accept yet.
pub struct HttpListener {
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl HttpListener {
    /// Binds the address.
    pub fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            socket: socket.listen(BACKLOG)?,
            tls,
        })
    }

    /// The address, with the port that the operating system chose if 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves the router on every connection until the doors' token is cancelled.
    pub fn serve(self, router: Router, doors: &Tasks) {
        let connections = Connections {
            router,
            tls: self.tls,
            server: Arc::new(server()),
            doors: doors.clone(),
        };
        doors.spawn("http listener", accept(self.socket, connections));
    }
}

/// What every connection is served with.
#[derive(Clone)]
struct Connections {
    router: Router,
    tls: Option<TlsAcceptor>,
    server: Arc<Builder<TokioExecutor>>,
    doors: Tasks,
}

async fn accept(socket: TcpListener, connections: Connections) {
    let stop = connections.doors.token().clone();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let arrival = async || {
        let place = places
            .clone()
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        (place, socket.accept().await)
    };
    loop {
        let (place, accepted) = tokio::select! {
            arrived = arrival() => arrived,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connections.clone().serve(stream, peer, place);
                connections.doors.spawn("http connection", connection);
            }
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::select! {
                    () = sleep(EXHAUSTED) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

impl Connections {
    async fn serve(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "the connection is gone already");
            return;
        }
        let Some(tls) = &self.tls else {
            return self.serve_requests(stream, peer).await;
        };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve_requests(stream, peer).await,
            Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => debug!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn serve_requests(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
    ) {
        let router = self.router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().call(request)
        });
        let connection = self
            .server
            .serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.doors.token().cancelled() => {
                connection.as_mut().graceful_shutdown();
                match timeout(DRAIN, connection).await {
                    Ok(ended) => ended,
                    Err(_) => {
                        warn!(%peer, "a request took too long to finish before the end");
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            debug!(%peer, error, "a connection ended early");
        }
    }
}

/// HTTP/1.1 and HTTP/2 with bounds on what a client may make us wait for.
fn server() -> Builder<TokioExecutor> {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    server
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn what_is_in_hand_is_answered_after_the_doors_close() {
        let (entered, mut inside) = tokio::sync::mpsc::channel(1);
        let gate = CancellationToken::new();
        let passed = gate.clone();
        let handler = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move {
            entered.send(peer).await.unwrap();
            passed.cancelled().await;
            "answered"
        };
        let doors = Tasks::default();
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let url = format!("http://{}/", listener.local_address().unwrap());
        listener.serve(Router::new().route("/", get(handler)), &doors);

        let ask = async { reqwest::get(&url).await.unwrap().text().await.unwrap() };
        let stop = async {
            assert!(inside.recv().await.unwrap().ip().is_loopback());
            doors.token().cancel();
            gate.cancel();
            doors.shut_down().await;
        };
        let (answer, ()) = tokio::join!(ask, stop);

        assert_eq!(answer, "answered");
        assert!(reqwest::get(&url).await.is_err(), "nobody is let in any more");
    }
}
