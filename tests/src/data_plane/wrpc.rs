//! wRPC over `/v1/wrpc`, the only protocol of Kong 3.1.

use std::sync::Arc;
use std::time::Duration;

use domain::Clock;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::configuration::{self, HASHES, Received, Verdict};
use super::node::{Order, Shared, attempt};
use super::observed::Protocol;
use super::protobuf::{Fields, Message};
use super::settings::Settings;
use super::websocket::{self, Frame, Opcode};
use super::wire::{Incoming, Outgoing};

/// What is asked for in the handshake.
const SUBPROTOCOL: &str = "wrpc.konghq.com";
/// How long a node bears to hear nothing.
const SILENCE: Duration = Duration::from_secs(90);
/// How long a call may take.
const CALL: Duration = Duration::from_secs(60);
const PROTO3: u64 = 1;
const RPC: u64 = 2;

/// A service with one of its procedures.
type Procedure = (u64, u64);
const NEGOTIATE: Procedure = (5, 1);
const REPORT_METADATA: Procedure = (1, 4);
const SYNC_CONFIG: Procedure = (1, 2);
const PING: Procedure = (1, 3);

/// One connection from the attempt to its end; answers why it ended.
pub(super) async fn live(
    settings: &Settings,
    connector: &TlsConnector,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> String {
    let target = settings.target("/v1/wrpc");
    let opened = attempt(
        settings,
        connector,
        shared,
        &target,
        Some(SUBPROTOCOL),
        Protocol::Wrpc,
    )
    .await;
    let (incoming, outgoing) = match opened {
        Ok(wire) => wire.split(),
        Err(reason) => return reason,
    };
    let (arrived, frames) = mpsc::channel(1);
    let mut session = Session {
        settings,
        shared,
        outgoing,
        frames,
        sequence: 0,
    };
    tokio::select! {
        ended = read(settings, incoming, arrived) => ended,
        ended = session.run(orders) => ended,
    }
}

/// Hands on what comes.
async fn read(settings: &Settings, mut incoming: Incoming, arrived: mpsc::Sender<Frame>) -> String {
    let limits = websocket::Limits {
        read: SILENCE,
        ..settings.limits()
    };
    loop {
        match websocket::read(&mut incoming, limits).await {
            Ok(frame) if frame.opcode == Opcode::Close => return "closed by the control plane".to_owned(),
            Ok(frame) => {
                if arrived.send(frame).await.is_err() {
                    return "the process ends".to_owned();
                }
            }
            Err(error) => return format!("failed to receive: {}", error.text()),
        }
    }
}

struct Session<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    outgoing: Outgoing,
    frames: mpsc::Receiver<Frame>,
    sequence: u64,
}

impl Session<'_> {
    async fn run(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> String {
        match self.begin().await {
            Ok(()) => self.go_on(orders).await.unwrap_or_else(|ended| ended),
            Err(ended) => ended,
        }
    }

    /// Agrees on the service, then reports the plugins.
    async fn begin(&mut self) -> Result<(), String> {
        let node = Message::default()
            .bytes(2, "KONG")
            .bytes(3, &self.settings.version_text)
            .bytes(4, &self.settings.hostname);
        let requested = Message::default().bytes(1, "config").bytes(2, "v1");
        let request = Message::default().bytes(1, node).bytes(2, requested);
        let answer = self.call(NEGOTIATE, request).await?;
        if !answer.text(1).is_empty() {
            return Err(format!("negotiation failed: {}", answer.text(1)));
        }
        let accepted = answer.message(3)?;
        if (accepted.text(1), accepted.text(2)) != ("config".to_owned(), "v1".to_owned()) {
            return Err("the control plane doesn't accept the service config v1".to_owned());
        }
        let mut request = Message::default();
        for (name, version) in &self.settings.plugins {
            let plugin = Message::default().bytes(1, name);
            let plugin = match version {
                Some(version) => plugin.bytes(2, version),
                None => plugin,
            };
            request = request.bytes(1, plugin);
        }
        let answer = self.call(REPORT_METADATA, request).await?;
        match answer.text(1).is_empty() {
            true => Err(format!("the metadata was refused: {}", answer.text(2))),
            false => Ok(()),
        }
    }

    async fn go_on(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> Result<String, String> {
        let mut next_ping = Instant::now();
        loop {
            tokio::select! {
                () = sleep_until(next_ping) => {
                    next_ping += self.settings.ping_interval;
                    self.ping().await?;
                }
                frame = self.frames.recv() => {
                    let envelope = envelope(&frame.ok_or("the connection is gone")?)?;
                    self.take(&envelope).await?;
                }
                order = orders.recv() => match order {
                    Some(Order::Ping) => self.ping().await?,
                    Some(Order::HangUp) => return Err("hung up".to_owned()),
                    Some(order) => return Err(format!("a wRPC node can't do this: {order:?}")),
                    None => return Ok("the process ends".to_owned()),
                },
            }
        }
    }

    async fn ping(&mut self) -> Result<(), String> {
        let hash = self.shared.hash();
        self.shared.note(|observed| observed.pings.push(hash.clone()));
        self.call(PING, Message::default().bytes(1, hash)).await?;
        self.shared.note(|observed| observed.pongs += 1);
        Ok(())
    }

    /// Makes a call and waits for its answer; what is asked meanwhile is answered.
    async fn call(&mut self, procedure: Procedure, request: Message) -> Result<Fields, String> {
        let deadline = unix_time() + CALL.as_secs();
        let sequence = self.send(procedure, 0, deadline, request).await?;
        let until = Instant::now() + CALL;
        loop {
            let frame = timeout_at(until, self.frames.recv()).await;
            let frame = frame.map_err(|_| format!("no answer to {procedure:?}"))?;
            let envelope = envelope(&frame.ok_or("the connection is gone")?)?;
            if envelope.number(6) != sequence {
                self.take(&envelope).await?;
                continue;
            }
            if envelope.number(1) != RPC {
                return Err(format!("{procedure:?} failed: {}", envelope.message(2)?.text(2)));
            }
            if envelope.number(7) != 0 {
                return Err("an answer has a deadline".to_owned());
            }
            return envelope.message(9);
        }
    }

    /// Takes a request of the control plane.
    async fn take(&mut self, request: &Fields) -> Result<(), String> {
        let procedure = (request.number(3), request.number(4));
        if request.number(6) != 0 || request.number(1) != RPC {
            return Ok(());
        }
        // A request whose deadline is past, or that has none, is discarded.
        if request.number(7) <= unix_time() || procedure != SYNC_CONFIG {
            self.shared.note(|observed| observed.unknown_frames += 1);
            return Ok(());
        }
        let sequence = request.number(5);
        if sequence == 0 {
            return Err("a request has the sequence number 0".to_owned());
        }
        let configuration = request.message(9)?;
        self.send(SYNC_CONFIG, sequence, 0, Message::default().number(1, 1))
            .await?;
        self.apply(&configuration)
    }

    fn apply(&self, request: &Fields) -> Result<(), String> {
        let version = request.number(2);
        let mut stale = false;
        self.shared.note(|observed| {
            stale = observed.versions.last().is_some_and(|last| version <= *last);
            observed.versions.push(version);
        });
        if stale {
            return Ok(());
        }
        let payload = bytes::Bytes::copy_from_slice(request.bytes(1).unwrap_or_default());
        let table = configuration::inflate(&payload)?;
        let hash = request.text(3);
        let given = request.message(4)?;
        let hashes: serde_json::Map<_, _> = (HASHES.iter().zip(1..))
            .filter_map(|(name, field)| {
                Some((
                    (*name).to_owned(),
                    given.bytes(field).map(String::from_utf8_lossy)?.into(),
                ))
            })
            .collect();
        let hashes = serde_json::Value::Object(hashes);
        let stored = self.shared.hash();
        let validator = self.settings.validator();
        let verdict = configuration::judge_table(&table, &hash, Some(&hashes), &stored, &validator);
        debug_assert_ne!(verdict, Verdict::Ignored, "a configuration is judged");
        let message = serde_json::json!({ "config_table": table, "config_hash": hash, "hashes": hashes });
        let received = Received {
            payload,
            message: Arc::new(message),
        };
        self.shared.conclude(received, &verdict);
        Ok(())
    }

    /// Sends a request, or with `answering` a sequence number the answer to it; answers the own sequence number.
    async fn send(
        &mut self,
        (service, procedure): Procedure,
        answering: u64,
        deadline: u64,
        payload: Message,
    ) -> Result<u64, String> {
        self.sequence += 1;
        let content = Message::default()
            .number(1, RPC)
            .number(3, service)
            .number(4, procedure)
            .number(5, self.sequence)
            .number(6, answering)
            .number(7, deadline)
            .number(8, PROTO3)
            .bytes(9, payload);
        let envelope = Message::default().number(1, 1).bytes(2, content).finish();
        let written = websocket::write(&mut self.outgoing, Opcode::Binary, &envelope).await;
        written.map_err(|error| format!("failed to send: {error}"))?;
        Ok(self.sequence)
    }
}

/// The content of the envelope in a frame.
fn envelope(frame: &Frame) -> Result<Fields, String> {
    if frame.opcode != Opcode::Binary {
        return Err(format!("a {:?} frame in wRPC", frame.opcode));
    }
    let envelope = Fields::read(&frame.payload)?;
    if envelope.number(1) != 1 {
        return Err(format!("version {} of the envelope", envelope.number(1)));
    }
    envelope.message(2)
}

/// Seconds since 1970.
fn unix_time() -> u64 {
    u64::try_from(api::clock::SystemClock.now().0 / 1000).unwrap_or_default()
}
