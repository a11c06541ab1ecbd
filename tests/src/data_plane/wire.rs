//! One connection of a node, from TCP to the answered handshake.

use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::settings::Settings;
use super::tls;
use super::upgrade::{self, Head};
use super::websocket::{self, Frame, FrameError, Limits, Opcode};

/// The half of a connection that is read.
pub type Incoming = ReadHalf<TlsStream<TcpStream>>;
/// The half that is written.
pub type Outgoing = WriteHalf<TlsStream<TcpStream>>;

/// A TLS connection; what is asked of it step by step is what a data plane does at once.
#[derive(Debug)]
pub struct Wire {
    stream: TlsStream<TcpStream>,
    limits: Limits,
}

impl Wire {
    /// Connects and shakes hands; an error says what the node's log would.
    pub async fn open(settings: &Settings, connector: &TlsConnector) -> Result<Self, String> {
        let stream = tls::connect(
            connector,
            &settings.identity,
            settings.address,
            settings.socket_timeout,
        );
        Ok(Self {
            stream: stream.await?,
            limits: settings.limits(),
        })
    }

    /// Asks for a WebSocket.
    pub async fn upgrade(
        &mut self,
        settings: &Settings,
        target: &str,
        subprotocol: Option<&str>,
    ) -> Result<Head, String> {
        let request = upgrade::websocket_request(target, &settings.host(), subprotocol);
        self.request(&request).await
    }

    /// Asks whether there is wRPC, as a 3.0 node does.
    pub async fn probe_for_wrpc(&mut self, settings: &Settings) -> Result<Head, String> {
        let request = upgrade::wrpc_probe(&settings.path_prefix, &settings.host());
        self.request(&request).await
    }

    /// Sends any request and reads the head of the answer.
    pub async fn request(&mut self, request: &str) -> Result<Head, String> {
        upgrade::exchange(&mut self.stream, request, self.limits.read).await
    }

    /// Whether a node takes an answer for a WebSocket.
    pub fn takes(&self, settings: &Settings, head: &Head, subprotocol: Option<&str>) -> bool {
        if settings.version.takes_any_answer_for_connected() {
            return head.status_line.starts_with("HTTP/1.1");
        }
        let agreed = subprotocol.is_none() || head.header("sec-websocket-protocol") == subprotocol;
        head.status_line.starts_with("HTTP/1.1 101") && agreed
    }

    /// The cipher suite's version of TLS that was agreed on.
    pub fn tls_version(&self) -> Option<rustls::ProtocolVersion> {
        self.stream.get_ref().1.protocol_version()
    }

    /// The application protocol that was agreed on; a data plane offers none.
    pub fn application_protocol(&self) -> Option<&[u8]> {
        self.stream.get_ref().1.alpn_protocol()
    }

    /// The next frame.
    pub async fn read(&mut self) -> Result<Frame, FrameError> {
        websocket::read(&mut self.stream, self.limits).await
    }

    /// The next frame other than a pong, waiting longer than a node does for each read.
    pub async fn read_patiently(&mut self, patience: Duration) -> Result<Frame, FrameError> {
        let limits = Limits {
            read: patience,
            ..self.limits
        };
        websocket::read(&mut self.stream, limits).await
    }

    /// Writes a message in one frame.
    pub async fn write(&mut self, opcode: Opcode, payload: &[u8]) -> std::io::Result<()> {
        websocket::write(&mut self.stream, opcode, payload).await
    }

    /// Writes bytes that needn't be a frame.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Its two halves.
    pub fn split(self) -> (Incoming, Outgoing) {
        split(self.stream)
    }
}
