//! One connection of the API: HTTP/1.1 or HTTP/2, until its client leaves, has nothing to say for too long or the program stops.
//!
//! A client that keeps its connection can't know when we close it, and a request that is on its way then would be lost.
//! So the end has steps: while the program drains, every HTTP/1.1 answer says `Connection: close` and HTTP/2 clients are
//! told to go away, so that the next request comes on another connection; once the doors are closed, quiet connections
//! are listened to for a moment more; only then they are closed, each after the answer in hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Version};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{debug, warn};

use super::http_bodies::{AnswerBody, InHand, PacedBody};
use super::http_presence::{NEXT_HEAD, Presence};
use super::http_stream::WatchedStream;

/// The largest head of a request, in bytes.
const HEAD_SIZE: u32 = 64 * 1024;
/// How much of the bodies of one HTTP/2 connection may come before somebody takes it, in bytes; and of one of them.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const STREAM_WINDOW: u32 = 256 * 1024;
/// How often a silent HTTP/2 connection is asked whether somebody is there.
const PING: Duration = Duration::from_secs(30);
/// How many requests one HTTP/2 connection may have in flight.
const STREAMS: u32 = 256;
/// How long a request may be on its way on a quiet connection once the doors are closed.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// How long a connection that outstayed may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long what is in hand may take after the doors are closed.
const IN_HAND: Duration = Duration::from_secs(10);

/// What connections are served with.
pub struct HttpConnections {
    /// Answers requests.
    router: Router,
    /// HTTP/1.1 and HTTP/2 with bounds on what a client may make us wait for.
    protocol: Builder<TokioExecutor>,
    /// Cancelled when clients shall take their next requests elsewhere; at the latest with `closing`.
    draining: CancellationToken,
    /// Cancelled when the doors close.
    closing: CancellationToken,
}

impl HttpConnections {
    /// Served by this router.
    pub fn new(router: Router, draining: CancellationToken, closing: CancellationToken) -> Self {
        let mut protocol = Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .max_buf_size(HEAD_SIZE as usize)
            .header_read_timeout(NEXT_HEAD);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_SIZE)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        Self {
            router,
            protocol,
            draining,
            closing,
        }
    }

    /// Serves a connection until it ends.
    pub async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: SocketAddr,
        presence: Arc<Presence>,
    ) {
        let http2 = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request| self.answer(request, peer, &presence, Arc::clone(&http2)));
        let stream = TokioIo::new(WatchedStream::new(stream, Arc::clone(&presence)));
        let connection = self.protocol.serve_connection_with_upgrades(stream, service);
        let mut connection = pin!(connection);
        let ended = self.until_its_end(connection.as_mut(), &http2, peer);
        if presence.unless_outstayed(ended).await.is_some() {
            return;
        }
        connection.as_mut().graceful_shutdown();
        match timeout(FAREWELL, connection).await {
            Ok(ended) => note_end(peer, ended),
            Err(_) => debug!(%peer, "a connection outstayed and was cut"),
        }
    }

    async fn until_its_end<Served>(
        &self,
        mut connection: Pin<&mut Served>,
        http2: &AtomicBool,
        peer: SocketAddr,
    ) where
        Served: GracefulConnection<Error = Box<dyn std::error::Error + Send + Sync>>,
    {
        // In order: what a client has sent already is read before anything else.
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note_end(peer, ended),
            () = self.draining.cancelled() => {}
        }
        if http2.load(Ordering::Relaxed) {
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note_end(peer, ended),
            () = self.closing.cancelled() => {}
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => return note_end(peer, ended),
            () = sleep(ON_ITS_WAY) => connection.as_mut().graceful_shutdown(),
        }
        match timeout(IN_HAND, connection).await {
            Ok(ended) => note_end(peer, ended),
            Err(_) => warn!(%peer, "a request took too long to finish before the end"),
        }
    }

    fn answer(
        &self,
        request: hyper::Request<Incoming>,
        peer: SocketAddr,
        presence: &Arc<Presence>,
        http2: Arc<AtomicBool>,
    ) -> impl Future<Output = Result<hyper::Response<AnswerBody>, Infallible>> + use<> {
        let is_http2 = request.version() == Version::HTTP_2;
        if is_http2 {
            http2.store(true, Ordering::Relaxed);
        }
        let has_body = !request.body().is_end_stream();
        let in_hand = InHand::new(Arc::clone(presence), has_body);
        let mut request = request.map(|body| match has_body {
            true => Body::new(PacedBody::new(body, Arc::clone(presence))),
            false => Body::empty(),
        });
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = self.router.clone().call(request);
        let draining = self.draining.clone();
        async move {
            let mut answer = answer.await?;
            if draining.is_cancelled() && !is_http2 {
                let headers = answer.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer.map(|body| AnswerBody::new(body, in_hand)))
        }
    }
}

fn note_end(peer: SocketAddr, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        debug!(%peer, error, "a connection ended early");
    }
}
