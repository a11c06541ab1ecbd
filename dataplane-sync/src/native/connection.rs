//! One connection of the native protocol: the thin task between a socket and its [`Session`].

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::NodeId;
use domain::organization::RuntimeType;
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::frames::{self, Applied, INSTANCE_MESSAGE_LIMIT, ServerFrame};
use super::session::{Output, Report, Session};
use crate::configurations::ConfigurationState;
use crate::gatekeeper::Pass;
use crate::hub::Hub;
use crate::node_record::Protocol;
use crate::nodes::{Arrival, Introduction};
use crate::sessions::Shared;

/// How long a farewell may take before the connection is cut.
const FAREWELL: Duration = Duration::from_secs(2);
/// Over how long instances are asked to spread their return, in milliseconds.
const RETURN_SPREAD: u64 = 5_000;

/// WebSocket buffers for many mostly idle connections.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(INSTANCE_MESSAGE_LIMIT))
        .max_frame_size(Some(INSTANCE_MESSAGE_LIMIT))
}

/// Why a connection ended.
enum End {
    /// The instance, or the network.
    Gone(Option<String>),
    /// We end it, for this reason.
    Close(String),
    /// The process ends, or the instance shall come again.
    GoingAway(&'static str),
}

/// A connection being served.
struct Connection<Stream> {
    socket: WebSocketStream<Stream>,
    session: Session,
    number: u64,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    pass: Pass,
    address: SocketAddr,
    node: Option<NodeId>,
    /// Ends when the connection must: with its token, with the process, or replaced by a newer one of the instance.
    interrupted: CancellationToken,
    outbox: VecDeque<Bytes>,
}

/// Serves an accepted connection until it ends.
pub async fn serve<Stream: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: WebSocketStream<Stream>,
    number: u64,
    shared: Arc<Shared>,
    hub: Arc<Hub>,
    pass: Pass,
    address: SocketAddr,
) {
    let newest = applied(hub.current().as_ref());
    let session = Session::new(
        shared.log,
        pass.admission.group,
        number,
        newest,
        shared.clock.now(),
    );
    let interrupted = pass.withdrawn.child_token();
    let connection = Connection {
        socket,
        session,
        number,
        shared,
        hub,
        pass,
        address,
        node: None,
        interrupted,
        outbox: VecDeque::new(),
    };
    connection.run().await;
}

impl<Stream: AsyncRead + AsyncWrite + Unpin + Send> Connection<Stream> {
    async fn run(mut self) {
        let interrupted = self.interrupted.clone();
        let end = tokio::select! {
            end = self.converse() => end,
            () = interrupted.cancelled() => self.interruption(),
        };
        let reason = match &end {
            End::Gone(reason) => reason.clone(),
            End::Close(reason) => Some(reason.clone()),
            End::GoingAway(reason) => Some((*reason).to_owned()),
        };
        let group = self.pass.admission.group;
        if let Some(node) = self.node {
            self.shared.nodes.left(group, node, self.number, reason.clone());
            tracing::info!(%group, %node, session = self.number, reason, "instance disconnected");
        } else {
            tracing::debug!(%group, session = self.number, reason, "a connection ended before its hello");
        }
        // Whatever it does, a peer that doesn't read can't hold the task.
        drop(tokio::time::timeout(FAREWELL, self.farewell(end)).await);
    }

    /// Why the connection must end although nobody said anything on it.
    fn interruption(&self) -> End {
        if self.shared.shutdown.is_cancelled() {
            End::GoingAway("the control plane is shutting down")
        } else if self.pass.withdrawn.is_cancelled() {
            End::Close("the token or its runtime group doesn't admit this instance any more".to_owned())
        } else {
            End::Close("a newer connection of the same node id has replaced this one".to_owned())
        }
    }

    async fn converse(&mut self) -> End {
        let mut newest = self.hub.subscribe();
        // Armed once and not at each frame: when it fires too early, the session has nothing to say.
        let tick = tokio::time::sleep(self.until_deadline());
        tokio::pin!(tick);
        loop {
            if let Err(end) = self.catch_up().await {
                return end;
            }
            let outputs = tokio::select! {
                message = self.socket.next() => match self.heard(message) {
                    Ok(outputs) => outputs,
                    Err(end) => return end,
                },
                _ = newest.changed() => {
                    if self.hub.ended().is_cancelled() {
                        return End::GoingAway("the configuration isn't followed any more");
                    }
                    let state = applied(newest.borrow_and_update().as_ref());
                    self.session.available(state);
                    Vec::new()
                }
                () = &mut tick => {
                    let outputs = self.session.tick(self.shared.clock.now());
                    tick.as_mut().reset(Instant::now() + self.until_deadline());
                    outputs
                }
            };
            if let Err(end) = self.carry_out(outputs).await {
                return end;
            }
        }
    }

    fn until_deadline(&self) -> Duration {
        let wait = self.session.deadline().0 - self.shared.clock.now().0;
        Duration::from_millis(wait.max(1) as u64)
    }

    /// Sends the update that the session wants, if any, and everything else that waits to be sent.
    async fn catch_up(&mut self) -> Result<(), End> {
        if let Some(has) = self.session.wants_update() {
            let update = self.hub.update(has).await;
            self.session.sent(update.leads_to, update.snapshot);
            self.outbox.extend(update.messages.iter().cloned());
            metrics::counter!("dataplane_updates_sent").increment(1);
            metrics::counter!("dataplane_update_bytes_sent").increment(update.size() as u64);
        }
        while let Some(message) = self.outbox.pop_front() {
            tokio::select! {
                biased;
                sent = self.socket.send(Message::Binary(message)) => sent.map_err(gone)?,
                () = stalled() => return Err(End::Close("an update wasn't read for too long".to_owned())),
            }
            // Between the parts of a large update heartbeats are still answered.
            while !self.outbox.is_empty()
                && let Some(message) = self.socket.next().now_or_never()
            {
                let outputs = self.heard(message)?;
                self.carry_out(outputs).await?;
            }
        }
        Ok(())
    }

    fn heard(&mut self, message: Option<Result<Message, SocketError>>) -> Result<Vec<Output>, End> {
        let now = self.shared.clock.now();
        match message {
            None => Err(End::Gone(None)),
            Some(Err(error)) => Err(gone(error)),
            Some(Ok(Message::Close(frame))) => Err(End::Gone(
                frame
                    .map(|frame| frame.reason.to_string())
                    .filter(|reason| !reason.is_empty()),
            )),
            Some(Ok(Message::Binary(bytes))) => match frames::decode_instance(&bytes) {
                Ok(frame) => Ok(self.session.frame(frame, now)),
                Err(error) => Err(End::Close(error.to_string())),
            },
            Some(Ok(Message::Text(_))) => Err(End::Close("frames are binary messages".to_owned())),
            Some(Ok(_)) => Ok(Vec::new()),
        }
    }

    async fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), End> {
        for output in outputs {
            match output {
                Output::Send(frame) => self.outbox.push_back(frames::encode(&frame).into()),
                Output::Report(report) => self.report(report).await?,
                Output::Close(reason) => return Err(End::Close(reason)),
            }
        }
        Ok(())
    }

    async fn report(&mut self, report: Report) -> Result<(), End> {
        let (group, number) = (self.pass.admission.group, self.number);
        match (report, self.node) {
            (Report::Arrived(hello), _) => return self.arrived(&hello).await,
            (Report::Runs(applied), Some(node)) => self.shared.nodes.runs(group, node, number, applied),
            (Report::Heard, Some(node)) => self.shared.nodes.heard(group, node, number),
            (Report::Refused { refused, reason }, Some(node)) => {
                self.shared.refused(&self.pass, node, number, refused, &reason);
            }
            (_, None) => (),
        }
        Ok(())
    }

    async fn arrived(&mut self, hello: &frames::Hello) -> Result<(), End> {
        let (admission, account) = (self.pass.admission, self.pass.account());
        let arrival = Arrival {
            group: admission.group,
            session: self.number,
            introduction: Introduction {
                node: hello.node,
                hostname: hello.hostname.clone(),
                version: hello.version.clone(),
                labels: hello.labels.clone(),
                protocol: Protocol::Native,
                kong: None,
            },
            address: self.address,
            credential: &self.pass.credential,
            account: &account,
            connection: self.interrupted.clone(),
        };
        let arrived = self.shared.nodes.arrived(arrival).await;
        arrived.map_err(|error| End::Close(error.to_string()))?;
        self.node = Some(hello.node);
        tracing::info!(group = %admission.group, node = %hello.node, session = self.number, address = %self.address, "instance connected");
        self.shared
            .admitted(&self.pass, hello.node, &hello.hostname, RuntimeType::Native);
        Ok(())
    }

    async fn farewell(&mut self, end: End) {
        let (code, reason) = match end {
            End::Gone(_) => return,
            End::Close(reason) => (CloseCode::Policy, reason),
            End::GoingAway(reason) => {
                let retry_after = (self.number.wrapping_mul(0x9E37_79B9) % RETURN_SPREAD) as u32;
                let frame = ServerFrame::GoingAway {
                    reason: reason.to_owned(),
                    retry_after,
                };
                let message = Message::Binary(frames::encode(&frame).into());
                if self.socket.send(message).await.is_err() {
                    return;
                }
                (CloseCode::Away, reason.to_owned())
            }
        };
        let reason = Utf8Bytes::from(shortened(&reason));
        if self.socket.close(Some(CloseFrame { code, reason })).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}

/// Returns when a peer has taken nothing for as long as silence is borne.
async fn stalled() {
    tokio::time::sleep(Duration::from_secs(super::DISCONNECT_SECONDS as u64)).await;
}

fn applied(state: &dyn ConfigurationState) -> Applied {
    Applied {
        version: state.version(),
        digest: state.digest(),
    }
}

fn gone(error: SocketError) -> End {
    End::Gone(Some(match error {
        SocketError::Io(_)
        | SocketError::ConnectionClosed
        | SocketError::AlreadyClosed
        | SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection broke off".to_owned()
        }
        other => other.to_string(),
    }))
}

/// A close frame holds at most 123 bytes of reason.
fn shortened(reason: &str) -> &str {
    &reason[..reason.floor_char_boundary(123)]
}
