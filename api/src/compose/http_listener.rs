//! A front door: accepts connections, speaks TLS if it has a certificate, and has them served until the program stops.
//!
//! It listens before there is anything to serve: who connects meanwhile waits to be accepted, and nobody is refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use commands::tasks::Tasks;
use domain::places::PlaceLimits;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::http_connection::HttpConnections;
use super::http_presence::{Presence, Presences};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long a TLS handshake may take, from the connection's first moment on.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait when the operating system has no more file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A bound listener that doesn't accept yet.
pub struct HttpListener {
    socket: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    limits: PlaceLimits,
}

impl HttpListener {
    /// Binds the address; so many connections are served at once.
    pub fn bind(address: SocketAddr, tls: Option<TlsAcceptor>, limits: PlaceLimits) -> io::Result<Self> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self {
            // It belongs to the runtime that serves it, which may be another one.
            socket: socket.listen(BACKLOG)?.into_std()?,
            tls,
            limits,
        })
    }

    /// The address, with the port that the operating system chose if 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves the router on every connection until the doors' token is cancelled; from `draining` on so, that clients leave.
    pub fn serve(self, router: Router, doors: &Tasks, draining: CancellationToken) -> io::Result<()> {
        let socket = TcpListener::from_std(self.socket)?;
        let connections = HttpConnections::new(router, draining, doors.token().clone());
        let door = Door {
            connections: Arc::new(connections),
            tls: self.tls,
            doors: doors.clone(),
            presences: Presences::new(self.limits),
        };
        doors.spawn("http listener", door.accept(socket));
        Ok(())
    }
}

/// What every connection comes through.
#[derive(Clone)]
struct Door {
    connections: Arc<HttpConnections>,
    tls: Option<TlsAcceptor>,
    doors: Tasks,
    presences: Presences,
}

impl Door {
    async fn accept(self, socket: TcpListener) {
        let stop = self.doors.token().clone();
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.enter(stream, peer),
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::select! {
                        () = sleep(EXHAUSTED) => {}
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        if let Err(error) = self.enter_last(socket) {
            debug!(%error, "the last connections could not be accepted");
        }
    }

    /// Lets those in whose connections the operating system has made already: to them the door was open.
    fn enter_last(&self, socket: TcpListener) -> io::Result<()> {
        let socket = socket.into_std()?;
        loop {
            match socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.enter(TcpStream::from_std(stream)?, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn enter(&self, stream: TcpStream, peer: SocketAddr) {
        match self.presences.enter(peer) {
            Some(presence) => {
                let serve = self.clone().serve(stream, peer, Arc::new(presence));
                self.doors.spawn("http connection", serve);
            }
            None => debug!(%peer, "no place for a connection: all are busy"),
        }
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, presence: Arc<Presence>) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "the connection is gone already");
            return;
        }
        let Some(tls) = &self.tls else {
            return self.connections.serve(stream, peer, presence).await;
        };
        let handshake = timeout(HANDSHAKE, tls.accept(stream));
        match presence.unless_outstayed(handshake).await {
            Some(Ok(Ok(stream))) => self.connections.serve(stream, peer, presence).await,
            Some(Ok(Err(error))) => debug!(%peer, %error, "a TLS handshake failed"),
            Some(Err(_)) | None => debug!(%peer, "a TLS handshake took too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use tokio_util::task::TaskTracker;

    use super::*;

    const PLACES: PlaceLimits = PlaceLimits {
        in_all: 100,
        per_source: 100,
    };

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
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None, PLACES).unwrap();
        let url = format!("http://{}/", listener.local_address().unwrap());
        let draining = doors.token().child_token();
        listener
            .serve(Router::new().route("/", get(handler)), &doors, draining)
            .unwrap();

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

    #[tokio::test]
    async fn while_it_drains_new_requests_are_answered_and_their_clients_sent_elsewhere() {
        let doors = Tasks::default();
        let draining = doors.token().child_token();
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None, PLACES).unwrap();
        let url = format!("http://{}/", listener.local_address().unwrap());
        let router = Router::new().route("/", get(|| async { "answered" }));
        listener.serve(router, &doors, draining.clone()).unwrap();
        let client = reqwest::Client::new();
        let closes = async || {
            let answer = client.get(&url).send().await.unwrap();
            let closes = answer.headers().get("connection").cloned();
            assert_eq!(answer.text().await.unwrap(), "answered");
            closes
        };

        assert_eq!(closes().await, None);
        draining.cancel();
        for _ in 0..3 {
            assert_eq!(closes().await.unwrap(), "close");
        }
        doors.shut_down().await;
        assert!(client.get(&url).send().await.is_err(), "the door is closed");
    }

    #[tokio::test]
    async fn a_client_of_http_2_hears_that_it_shall_go() {
        let doors = Tasks::default();
        let draining = doors.token().child_token();
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None, PLACES).unwrap();
        let address = listener.local_address().unwrap();
        let router = Router::new().route("/", get(|| async { "answered" }));
        listener.serve(router, &doors, draining.clone()).unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut requests, connection) = hyper::client::conn::http2::handshake(
            hyper_util::rt::TokioExecutor::new(),
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .unwrap();
        let connection = TaskTracker::new().spawn(connection);
        let uri = format!("http://{address}/");
        let request = hyper::Request::get(uri).body(axum::body::Body::empty()).unwrap();
        assert!(
            requests
                .send_request(request)
                .await
                .unwrap()
                .status()
                .is_success()
        );

        draining.cancel();
        connection.await.unwrap().unwrap();
        assert!(!doors.token().is_cancelled(), "the doors are still open");
        doors.shut_down().await;
    }
}
