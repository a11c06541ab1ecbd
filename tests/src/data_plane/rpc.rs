//! JSON-RPC over `/v2/outlet`: the hello of 3.9 and 3.10, and what follows from its answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::basic_info::process_conf;
use super::configuration::{Received, Verdict};
use super::deltas::{Refused, Store};
use super::node::{Order, Shared, attempt};
use super::observed::Protocol;
use super::settings::Settings;
use super::v1;
use super::websocket::{self, Frame, Opcode};
use super::wire::{Incoming, Outgoing, Wire};

/// What is asked for in the handshake, and has to come back.
const SUBPROTOCOL: &str = "kong.meta.v1";
/// The capability of the deltas.
const SYNC: &str = "kong.sync.v2";
/// The only encoding there is; whatever its name says, it is the bare block format.
const ENCODING: &str = "x-snappy-framed";
/// How long a call may take.
const CALL: Duration = Duration::from_secs(5);

/// One connection from the attempt to its end; answers why it ended. Without synchronisation in the answer the node opens v1 beside it.
pub(super) async fn live(
    settings: &Settings,
    connector: &TlsConnector,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> String {
    let target = format!("{}/v2/outlet", settings.path_prefix);
    let opened = attempt(
        settings,
        connector,
        shared,
        &target,
        Some(SUBPROTOCOL),
        Protocol::Rpc,
    )
    .await;
    let mut wire = match opened {
        Ok(wire) => wire,
        Err(reason) => return reason,
    };
    let offered = match introduce(settings, &mut wire).await {
        Ok(offered) => offered,
        Err(reason) => return reason,
    };
    let syncs = settings.rpc_sync && offered.iter().any(|name| name == SYNC);
    if settings.rpc_sync && !syncs && settings.version.is_before(3, 10) {
        // 3.9 with incremental synchronisation has no v1.
        return "the control plane doesn't offer kong.sync.v2".to_owned();
    }
    let (incoming, outgoing) = wire.split();
    let (arrived, frames) = mpsc::channel(1);
    let mut session = Session {
        settings,
        shared,
        outgoing,
        frames,
        store: Store::opened(shared),
        next_id: 0,
    };
    let read = read(settings, incoming, arrived);
    if syncs {
        return tokio::select! {
            ended = read => ended,
            ended = session.synchronise(orders) => ended,
        };
    }
    tokio::select! {
        ended = read => ended,
        ended = session.listen() => ended,
        ended = v1::live(settings, connector, shared, orders) => ended,
    }
}

/// Sends the hello and answers what is offered.
async fn introduce(settings: &Settings, wire: &mut Wire) -> Result<Vec<String>, String> {
    let hello = hello(settings).to_string();
    let written = wire.write(Opcode::Binary, hello.as_bytes()).await;
    written.map_err(|error| format!("failed to send the hello: {error}"))?;
    match wire.read().await {
        Ok(frame) if frame.opcode == Opcode::Binary => capabilities(&frame.payload),
        Ok(frame) => Err(format!(
            "a {:?} frame instead of the answer to the hello",
            frame.opcode
        )),
        Err(error) => Err(format!("no answer to the hello: {}", error.text())),
    }
}

/// The first message, plain JSON.
fn hello(settings: &Settings) -> Value {
    let capabilities: &[&str] = if settings.rpc_sync { &[SYNC] } else { &[] };
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "kong.meta.v1.hello",
        "params": [{
            "rpc_capabilities": capabilities,
            "rpc_frame_encodings": [ENCODING],
            "kong_version": settings.version_text,
            "kong_hostname": settings.hostname,
            "kong_node_id": settings.node_id,
            "kong_conf": process_conf(settings),
        }],
    })
}

/// What the answer to the hello offers.
fn capabilities(answer: &[u8]) -> Result<Vec<String>, String> {
    let answer: Value =
        serde_json::from_slice(answer).map_err(|error| format!("the answer to the hello: {error}"))?;
    let result = &answer["result"];
    if result["rpc_frame_encoding"] != ENCODING {
        return Err(format!("the answer to the hello has another encoding: {answer}"));
    }
    let offered = result["rpc_capabilities"].as_array();
    let offered = offered.ok_or_else(|| format!("the answer to the hello has no capabilities: {answer}"))?;
    Ok(offered
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect())
}

/// Hands on what comes.
async fn read(settings: &Settings, mut incoming: Incoming, arrived: mpsc::Sender<Frame>) -> String {
    let limits = websocket::Limits {
        read: settings.silence,
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
    store: Store,
    next_id: u64,
}

impl Session<'_> {
    /// Without synchronisation: answers pings and asks after its peer when it hears nothing.
    async fn listen(&mut self) -> String {
        loop {
            let next_ping = Instant::now() + self.settings.ping_interval;
            let outcome = tokio::select! {
                frame = self.frames.recv() => match frame {
                    Some(frame) => self.take(frame).await.map(drop),
                    None => return "the connection is gone".to_owned(),
                },
                () = sleep_until(next_ping) => self.send(Opcode::Ping, &[]).await,
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    async fn synchronise(&mut self, orders: &mut mpsc::UnboundedReceiver<Order>) -> String {
        let mut next_poll = Instant::now();
        loop {
            let outcome = tokio::select! {
                () = sleep_until(next_poll) => {
                    next_poll += self.settings.ping_interval;
                    self.get_delta().await
                }
                frame = self.frames.recv() => match frame {
                    Some(frame) => self.heed(frame).await,
                    None => return "the connection is gone".to_owned(),
                },
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return "the process ends".to_owned(),
                },
            };
            if let Err(ended) = outcome {
                return ended;
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Ping => self.get_delta().await,
            Order::Say(text) => self.say(&text).await,
            Order::Garbage(bytes) => {
                let written = self.outgoing.write_all(&bytes).await;
                written.map_err(|error| format!("failed to send: {error}"))
            }
            Order::HangUp => Err("hung up".to_owned()),
            other => Err(format!("a node of sync v2 can't do this: {other:?}")),
        }
    }

    /// Takes what came, and asks for deltas where it says that there are newer ones.
    async fn heed(&mut self, frame: Frame) -> Result<(), String> {
        for message in self.take(frame).await? {
            let newer = message["params"][0]["default"]["new_version"].as_str();
            if message["method"] == "kong.sync.v2.notify_new_version"
                && newer.is_some_and(|version| version > self.store.version.as_str())
            {
                self.get_delta().await?;
            }
        }
        Ok(())
    }

    /// The messages in a frame; what has to be answered at once is answered.
    async fn take(&mut self, frame: Frame) -> Result<Vec<Value>, String> {
        match frame.opcode {
            Opcode::Ping => {
                self.shared.note(|observed| observed.answered_pings += 1);
                self.send(Opcode::Pong, &frame.payload).await?;
                return Ok(Vec::new());
            }
            Opcode::Binary => {}
            _ => return Ok(Vec::new()),
        }
        let text = snap::raw::Decoder::new().decompress_vec(&frame.payload);
        let text = text.map_err(|error| format!("a frame isn't a block of Snappy: {error}"))?;
        let said: Value =
            serde_json::from_slice(&text).map_err(|error| format!("a frame isn't JSON: {error}"))?;
        let messages = match said {
            Value::Array(batch) => batch,
            single => vec![single],
        };
        for message in &messages {
            let heard = Arc::new(message.clone());
            self.shared.note(|observed| observed.heard.push(heard));
            if message["method"].is_string() && !message["id"].is_null() {
                let answer = json!({ "jsonrpc": "2.0", "id": message["id"], "result": true });
                self.say(answer.to_string().as_bytes()).await?;
            }
        }
        Ok(messages)
    }

    /// Asks for what is new and applies it.
    async fn get_delta(&mut self) -> Result<(), String> {
        let id = self.next_id;
        self.next_id += 1;
        let version = self.store.version.clone();
        self.shared.note(|observed| observed.pings.push(version.clone()));
        let params = json!([{ "default": { "version": version } }]);
        let request =
            json!({ "jsonrpc": "2.0", "id": id, "method": "kong.sync.v2.get_delta", "params": params });
        self.say(request.to_string().as_bytes()).await?;
        let until = Instant::now() + CALL;
        loop {
            let frame = timeout_at(until, self.frames.recv()).await;
            let frame = frame.map_err(|_| "get_delta wasn't answered in time")?;
            let frame = frame.ok_or("the connection is gone")?;
            let payload = frame.payload.clone();
            for message in self.take(frame).await? {
                if message["id"] == id && message["method"].is_null() {
                    return self.apply(payload, &message).await;
                }
            }
        }
    }

    async fn apply(&mut self, payload: Bytes, answer: &Value) -> Result<(), String> {
        self.shared.note(|observed| observed.pongs += 1);
        let result = &answer["result"]["default"];
        let deltas = result["deltas"].as_array();
        let Some(deltas) = deltas else {
            return Err(format!("get_delta was answered so: {answer}"));
        };
        let full = result["full_sync"] == true || result["wipe"] == true;
        if deltas.is_empty() && !full {
            return Ok(());
        }
        let outcome = self.store.apply(deltas, full, &self.settings.validator());
        let received = Received {
            payload,
            message: Arc::new(result.clone()),
        };
        match outcome {
            Ok(()) => {
                self.shared
                    .conclude(received, &Verdict::Applied(self.store.configuration()));
                let params = json!([{ "default": { "version": self.store.version } }]);
                self.notify("kong.sync.v2.get_delta", &params).await
            }
            Err(Refused(reasons)) => {
                let message = reasons.join("; ");
                self.shared.conclude(received, &Verdict::Refused(reasons));
                let version = result["latest_version"]
                    .as_str()
                    .unwrap_or("v02_deltas_have_no_latest_version_field");
                let params = json!([{ "version": version, "error": {
                    "code": 21, "name": "sync deltas parse failure", "source": "kong.clustering.services.sync.validate.validate_deltas",
                    "message": message, "flattened_errors": [], "fields": {},
                }}]);
                self.notify("kong.sync.v2.notify_validation_error", &params).await
            }
        }
    }

    /// A call that isn't answered.
    async fn notify(&mut self, method: &str, params: &Value) -> Result<(), String> {
        let said = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.say(said.to_string().as_bytes()).await
    }

    async fn say(&mut self, text: &[u8]) -> Result<(), String> {
        let block = snap::raw::Encoder::new().compress_vec(text);
        let block = block.map_err(|error| format!("Snappy: {error}"))?;
        self.send(Opcode::Binary, &block).await
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), String> {
        let written = websocket::write(&mut self.outgoing, opcode, payload).await;
        written.map_err(|error| format!("failed to send: {error}"))
    }
}
