//! A TCP proxy on the loopback interface: a load balancer in front of several backends, or a wire that a test can cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::eventually::eventually;
use crate::port::Port;

/// How often a load balancer asks its backends whether they are ready.
const HEALTH_CHECK: Duration = Duration::from_millis(100);

/// What flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Everything.
    Both,
    /// Only what the client sends: the server acts, but its answers wait.
    RequestsOnly,
    /// Only what the server sends: requests wait.
    AnswersOnly,
    /// Nothing, and nobody is told: what a partitioned network looks like.
    Nothing,
}

impl Flow {
    const fn lets_requests(self) -> bool {
        matches!(self, Self::Both | Self::RequestsOnly)
    }

    const fn lets_answers(self) -> bool {
        matches!(self, Self::Both | Self::AnswersOnly)
    }
}

/// Where connections may be passed on to.
#[derive(Debug)]
struct Backend {
    address: SocketAddr,
    ready: AtomicBool,
}

/// A proxy; ended with its connections when dropped.
#[derive(Debug)]
pub struct TcpProxy {
    port: Port,
    backends: Arc<[Backend]>,
    flow: watch::Sender<Flow>,
    _tasks: JoinSet<()>,
}

impl TcpProxy {
    /// A wire to one address.
    pub fn wire(to: SocketAddr) -> Self {
        let ready = AtomicBool::new(true);
        Self::over([Backend { address: to, ready }].into(), JoinSet::new())
    }

    /// Passes connections on to one backend after the other, leaving out those whose readiness URL doesn't answer 200.
    pub fn balancer(backends: impl IntoIterator<Item = (SocketAddr, String)>) -> Self {
        let (mut tasks, mut watched) = (JoinSet::new(), Vec::new());
        for (address, readiness) in backends {
            let ready = AtomicBool::new(false);
            watched.push((Backend { address, ready }, readiness));
        }
        let (backends, urls): (Vec<_>, Vec<_>) = watched.into_iter().unzip();
        let backends: Arc<[Backend]> = backends.into();
        for (index, url) in urls.into_iter().enumerate() {
            tasks.spawn(check_health(Arc::clone(&backends), index, url));
        }
        Self::over(backends, tasks)
    }

    fn over(backends: Arc<[Backend]>, mut tasks: JoinSet<()>) -> Self {
        let port = Port::reserve();
        let flow = watch::Sender::new(Flow::Both);
        let listener = std::net::TcpListener::bind(port.address()).expect("a reserved port is free");
        listener.set_nonblocking(true).expect("a socket can be switched");
        let listener = TcpListener::from_std(listener).expect("a proxy is started inside a runtime");
        tasks.spawn(accept(listener, Arc::clone(&backends), flow.subscribe()));
        Self {
            port,
            backends,
            flow,
            _tasks: tasks,
        }
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Waits until every backend was seen to be ready.
    pub async fn all_ready(&self) {
        eventually("the load balancer sees all its backends", async || {
            let waiting = self
                .backends
                .iter()
                .find(|backend| !backend.ready.load(Ordering::Relaxed));
            waiting.map_or(Ok(()), |backend| Err(format!("{backend:?}")))
        })
        .await;
    }

    /// From now on this flows; what was held up goes on when it may.
    pub fn let_flow(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

async fn check_health(backends: Arc<[Backend]>, index: usize, url: String) {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .pool_max_idle_per_host(0)
        .build()
        .expect("a plain client can be made");
    let mut rounds = tokio::time::interval(HEALTH_CHECK);
    loop {
        rounds.tick().await;
        let ready = client
            .get(&url)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success());
        backends[index].ready.store(ready, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, backends: Arc<[Backend]>, flow: watch::Receiver<Flow>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (backends, next, flow) = (Arc::clone(&backends), Arc::clone(&next), flow.clone());
        connections.spawn(async move {
            if let Some(backend) = connect(&backends, &next, flow.clone()).await {
                splice(client, backend, flow).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// A connection to the next backend that takes one.
async fn connect(
    backends: &[Backend],
    next: &AtomicUsize,
    mut flow: watch::Receiver<Flow>,
) -> Option<TcpStream> {
    flow.wait_for(|flow| *flow != Flow::Nothing).await.ok()?;
    for _ in 0..backends.len() {
        let backend = &backends[next.fetch_add(1, Ordering::Relaxed) % backends.len()];
        if backend.ready.load(Ordering::Relaxed)
            && let Ok(stream) = TcpStream::connect(backend.address).await
        {
            return Some(stream);
        }
    }
    None
}

async fn splice(client: TcpStream, backend: TcpStream, flow: watch::Receiver<Flow>) {
    // Both ends speak in small messages; a proxy that holds them back would be measured with them.
    let _ = (client.set_nodelay(true), backend.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (backend_read, backend_write) = backend.into_split();
    let up = pump(client_read, backend_write, flow.clone(), Flow::lets_requests);
    let down = pump(backend_read, client_write, flow, Flow::lets_answers);
    // When either direction has failed the connection is gone; one that only ended leaves the other open.
    let _ = tokio::try_join!(up, down);
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
    may_pass: fn(Flow) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        flow.wait_for(|flow| may_pass(*flow))
            .await
            .map_err(io::Error::other)?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
