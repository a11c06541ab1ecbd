//! The door for those who watch the program: health, readiness and metrics on an address and a thread of their own, so that they
//! are answered however many connections the other listeners have and whatever these keep the processors busy with.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use commands::tasks::Tasks;
use domain::places::PlaceLimits;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::http_listener::HttpListener;

/// How many connections are served at once: a monitoring system and some people have a few.
const PLACES: PlaceLimits = PlaceLimits {
    in_all: 256,
    per_source: 64,
};

/// A bound listener that doesn't accept yet.
pub struct OperationsListener(HttpListener);

impl OperationsListener {
    /// Binds the address.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        HttpListener::bind(address, None, PLACES).map(Self)
    }

    /// The address, with the port that the operating system chose if 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_address()
    }

    /// Serves the router until the tasks end.
    pub fn serve(self, router: Router, tasks: &Tasks) -> io::Result<()> {
        let (ended, end) = oneshot::channel();
        let stop = tasks.token().clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("operations".to_owned())
            .spawn(move || {
                let served = runtime.block_on(serve(self.0, router, stop));
                // Nobody waits any more? Then the process is gone.
                let _ = ended.send(served);
            })?;
        let failing = tasks.clone();
        tasks.spawn("operations listener", async move {
            let reason = match end.await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            error!(reason, "the listener for health and metrics has failed");
            failing.fail();
        });
        Ok(())
    }
}

async fn serve(listener: HttpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    let doors = Tasks::new(stop.child_token());
    listener.serve(router, &doors, doors.token().clone())?;
    doors.token().cancelled().await;
    doors.shut_down().await;
    match doors.failed() {
        true => Err(io::Error::other("a connection's task panicked")),
        false => Ok(()),
    }
}
