//! A TCP proxy that holds back what flows through it: the way to an append whose outcome is unknown.

use std::net::SocketAddr;

use commands::tasks::Tasks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything.
    Both,
    /// Only what the client sends: the server acts, but its answers wait.
    RequestsOnly,
    /// Only what the server sends: requests wait.
    AnswersOnly,
}

/// Stands between one client and one server on the loopback interface.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    flow: watch::Sender<Flow>,
    tasks: Tasks,
}

impl Proxy {
    /// Listens on a port of its own and connects to the server for every client.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let flow = watch::Sender::new(Flow::Both);
        let tasks = Tasks::default();
        let (spawner, flows) = (tasks.clone(), flow.clone());
        tasks.spawn("proxy", async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                spawner.spawn(
                    "requests",
                    pump(from_client, to_server, flows.subscribe(), Flow::AnswersOnly),
                );
                spawner.spawn(
                    "answers",
                    pump(from_server, to_client, flows.subscribe(), Flow::RequestsOnly),
                );
            }
        });
        Self { address, flow, tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// From now on this flows; what was held back goes on when it may.
    pub(crate) fn let_flow(&self, flow: Flow) {
        self.flow.send_replace(flow);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

/// Copies one direction, waiting whenever the flow is `held`.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flow: watch::Receiver<Flow>, held: Flow) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if flow.wait_for(|flow| *flow != held).await.is_err() || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
