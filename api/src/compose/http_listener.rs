//! The API's front door: accepts connections, speaks TLS if it has a certificate, and has them served until the program stops.
//!
//! It listens before there is anything to serve: who connects meanwhile waits to be accepted, and nobody is refused.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use commands::tasks::Tasks;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::http_connection::HttpConnections;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;
/// How many connections are served at once; more wait.
const CONNECTIONS: usize = 10_000;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
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

    /// Serves the router on every connection until the doors' token is cancelled; from `draining` on so, that clients leave.
    pub fn serve(self, router: Router, doors: &Tasks, draining: CancellationToken) {
        let connections = HttpConnections::new(router, draining, doors.token().clone());
        let door = Door {
            connections: Arc::new(connections),
            tls: self.tls,
            doors: doors.clone(),
            places: Arc::new(Semaphore::new(CONNECTIONS)),
        };
        doors.spawn("http listener", door.accept(self.socket));
    }
}

/// What every connection comes through.
#[derive(Clone)]
struct Door {
    connections: Arc<HttpConnections>,
    tls: Option<TlsAcceptor>,
    doors: Tasks,
    places: Arc<Semaphore>,
}

impl Door {
    async fn accept(self, socket: TcpListener) {
        let stop = self.doors.token().clone();
        let arrival = async || {
            let place = Arc::clone(&self.places)
                .acquire_owned()
                .await
                .expect("nobody closes the semaphore");
            (place, socket.accept().await)
        };
        loop {
            let (place, accepted) = tokio::select! {
                arrived = arrival() => arrived,
                () = stop.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => self.enter(stream, peer, place),
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
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            match socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(true)?;
                    self.enter(TcpStream::from_std(stream)?, peer, place);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn enter(&self, stream: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
        let serve = self.clone().serve(stream, peer, place);
        self.doors.spawn("http connection", serve);
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, _place: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%peer, %error, "the connection is gone already");
            return;
        }
        let Some(tls) = &self.tls else {
            return self.connections.serve(stream, peer).await;
        };
        match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.connections.serve(stream, peer).await,
            Ok(Err(error)) => debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => debug!(%peer, "a TLS handshake took too long"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use tokio_util::task::TaskTracker;

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
        let draining = doors.token().child_token();
        listener.serve(Router::new().route("/", get(handler)), &doors, draining);

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
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let url = format!("http://{}/", listener.local_address().unwrap());
        let router = Router::new().route("/", get(|| async { "answered" }));
        listener.serve(router, &doors, draining.clone());
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
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let address = listener.local_address().unwrap();
        let router = Router::new().route("/", get(|| async { "answered" }));
        listener.serve(router, &doors, draining.clone());
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
