//! An agent without a disk: the real protocol over real TLS, the real replica, thousands in one process.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, bail};
use dataplane_sync::agent::replica::Replica;
use dataplane_sync::native::frames::{self, Hello, InstanceFrame, ServerFrame};
use dataplane_sync::native::parts::Assembler;
use dataplane_sync::native::{PATH, PROTOCOL};
use domain::NodeId;
use futures::{SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tests::server_process::ServerProcess;
use tests::servers::Servers;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

use crate::tls_client;

/// Where agents connect and with what.
pub(crate) struct Station {
    /// The servers' addresses for instances.
    addresses: Vec<String>,
    token: String,
    tls: TlsConnector,
}

impl Station {
    /// Gets an instance token of a group and the control plane's CA.
    pub(crate) async fn prepare(servers: &Servers, group: &str) -> anyhow::Result<Self> {
        let authority = CertificateDer::pem_file_iter(servers.server(0).data_dir().join("ca.pem"))?;
        Ok(Self {
            addresses: servers.iter().map(ServerProcess::dataplane_address).collect(),
            token: servers.api().instance_token(group).await,
            tls: tls_client::connector(authority.collect::<Result<Vec<_>, _>>()?)?,
        })
    }
}

/// One verified and acknowledged update.
pub(crate) struct Acknowledged {
    /// When the acknowledgement was handed to the socket.
    pub(crate) at: Instant,
    /// The update's bytes, as they came in the WebSocket message.
    pub(crate) received: usize,
}

/// One connection with its copy of the configuration.
pub(crate) struct LoadAgent {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    replica: Replica,
    parts: Assembler,
}

impl LoadAgent {
    /// The newest configuration, as one agent with nothing gets it: what the others begin with.
    pub(crate) async fn base(station: &Station) -> anyhow::Result<Replica> {
        let mut agent = Self::connect(station, 0, Replica::default()).await?;
        while agent.next().await?.is_none() {}
        Ok(agent.replica)
    }

    /// Connects agent number `index` with a base configuration, to one server after the other; when this answers, the control plane
    /// has welcomed it.
    pub(crate) async fn connect(station: &Station, index: usize, replica: Replica) -> anyhow::Result<Self> {
        let address = &station.addresses[index % station.addresses.len()];
        let stream = tls_client::connect(&station.tls, address).await?;
        let mut request = format!("wss://{address}{PATH}").into_client_request()?;
        let credential = HeaderValue::from_str(&format!("Bearer {}", station.token))?;
        request.headers_mut().insert("Authorization", credential);
        let (socket, _) = client_async(request, stream).await?;
        let mut agent = Self {
            socket,
            replica,
            parts: Assembler::default(),
        };
        agent.say(&agent.hello()).await?;
        let (frame, _) = agent.frame().await?;
        let ServerFrame::Welcome { .. } = frame else {
            bail!("the control plane did not welcome the agent")
        };
        agent.replica.answer(&frame);
        Ok(agent)
    }

    fn hello(&self) -> InstanceFrame {
        let origin = self.replica.origin();
        InstanceFrame::Hello(Hello {
            protocol: PROTOCOL,
            node: NodeId(Uuid::from_bytes(
                commands::entropy::seed()[..16]
                    .try_into()
                    .expect("16 of 32 bytes"),
            )),
            hostname: "load".to_owned(),
            version: "benchmark".to_owned(),
            labels: BTreeMap::new(),
            log: origin.map(|origin| origin.log),
            group: origin.map(|origin| origin.group),
            applied: self.replica.applied(),
        })
    }

    /// Acknowledges updates until it is dropped.
    pub(crate) async fn run(mut self, acknowledged: UnboundedSender<Acknowledged>) -> anyhow::Result<()> {
        loop {
            if let Some(update) = self.next().await?
                && acknowledged.send(update).is_err()
            {
                return Ok(());
            }
        }
    }

    /// Takes one frame; answers what was acknowledged, if it was an update.
    async fn next(&mut self) -> anyhow::Result<Option<Acknowledged>> {
        let (frame, received) = self.frame().await?;
        let Some(answer) = self.replica.answer(&frame) else {
            return Ok(None);
        };
        let InstanceFrame::Ack(_) = &answer else {
            bail!("an update was not accepted: {answer:?}")
        };
        self.say(&answer).await?;
        Ok(Some(Acknowledged {
            at: Instant::now(),
            received,
        }))
    }

    async fn frame(&mut self) -> anyhow::Result<(ServerFrame, usize)> {
        let mut received = 0;
        loop {
            match self
                .socket
                .next()
                .await
                .context("the control plane closed the connection")??
            {
                Message::Binary(bytes) => {
                    received += bytes.len();
                    if let Some(frame) = self.parts.take(frames::decode_server(&bytes)?)? {
                        return Ok((frame, received));
                    }
                }
                Message::Close(_) => bail!("the control plane closed the connection"),
                _ => {}
            }
        }
    }

    async fn say(&mut self, frame: &InstanceFrame) -> anyhow::Result<()> {
        self.socket
            .send(Message::Binary(frames::encode(frame).into()))
            .await?;
        Ok(())
    }
}
