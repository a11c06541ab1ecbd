//! Thousands of v1 nodes in one process, cheap enough to measure a control plane with: a node keeps nothing of a frame but its end, and
//! each distinct frame is inflated once for all of them.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

use super::basic_info::basic_info;
use super::configuration::NO_HASH;
use super::settings::{Settings, random_id};
use super::tls;
use super::websocket::{self, FrameError, Opcode};
use super::wire::{Incoming, Outgoing, Wire};

/// A node says what it runs within a second of applying it.
const APPLIED_WITHIN: Duration = Duration::from_secs(1);
/// How long each of a fleet's nodes waits for a connection: with thousands of them the machine is the limit, not the control plane.
const PATIENCE: Duration = Duration::from_secs(15);

/// Nodes with the same settings but for their ids; gone when dropped.
#[derive(Debug)]
pub struct Fleet {
    nodes: JoinSet<()>,
    events: mpsc::UnboundedReceiver<Event>,
    frames: Arc<Frames>,
}

/// What happened to one of the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has a connection and said what it runs; its number.
    Connected(usize),
    /// The last byte of a configuration arrived.
    Arrived(Arrival),
    /// It got the pong that shows that the control plane has heard which configuration it runs.
    Settled(usize),
    /// It lost its connection, or didn't get one, for this reason.
    Lost(usize, String),
}

/// A configuration that arrived at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The node's number.
    pub node: usize,
    /// When the last byte came.
    pub at: std::time::Instant,
    /// How large the frame's payload is.
    pub bytes: usize,
    /// Which frame it is.
    pub frame: FrameId,
}

/// The end of a gzip member, its checksum and its length, says which one it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FrameId([u8; 8]);

/// What is known of the frames that came.
#[derive(Debug, Default)]
struct Frames {
    known: Mutex<HashMap<FrameId, Known>>,
}

#[derive(Debug)]
struct Known {
    /// Until somebody needs it.
    payload: Option<Vec<u8>>,
    message: Option<Arc<Message>>,
}

/// A message that was inflated.
#[derive(Debug, Deserialize)]
struct Message {
    config_hash: String,
    #[serde(skip)]
    text: String,
}

impl Fleet {
    /// Starts so many nodes. With `hash` they begin with that configuration stored.
    pub fn start(count: usize, settings: &Settings, hash: Option<&str>) -> Self {
        let (noted, events) = mpsc::unbounded_channel();
        let frames = Arc::new(Frames::default());
        let connector = tls::connector(&settings.identity, settings.tls_versions);
        let info: Arc<str> = basic_info(settings).to_string().into();
        let mut nodes = JoinSet::new();
        for number in 0..count {
            let settings = Settings {
                node_id: random_id(),
                socket_timeout: PATIENCE,
                ..settings.clone()
            };
            let node = Node {
                number,
                settings,
                connector: connector.clone(),
                info: Arc::clone(&info),
                hash: hash.unwrap_or(NO_HASH).to_owned(),
                frames: Arc::clone(&frames),
                noted: noted.clone(),
            };
            nodes.spawn(node.live());
        }
        Self {
            nodes,
            events,
            frames,
        }
    }

    /// How many nodes there are.
    pub fn size(&self) -> usize {
        self.nodes.len()
    }

    /// The next thing that happens.
    ///
    /// # Panics
    /// When every node has crashed.
    pub async fn event(&mut self) -> Event {
        self.events
            .recv()
            .await
            .expect("the nodes live as long as their fleet")
    }

    /// The next thing that has happened already.
    pub fn past_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// Whether a frame's message has this text in it; the frame has arrived somewhere.
    ///
    /// # Panics
    /// When it hasn't, or can't be inflated.
    pub fn frame_contains(&self, frame: FrameId, text: &str) -> bool {
        let message = self.frames.message(frame).expect("a frame that arrived is known");
        message.text.contains(text)
    }

    /// The `config_hash` of a frame that has arrived somewhere.
    ///
    /// # Panics
    /// When it hasn't, or can't be inflated.
    pub fn hash_of(&self, frame: FrameId) -> String {
        let message = self.frames.message(frame).expect("a frame that arrived is known");
        message.config_hash.clone()
    }
}

impl Frames {
    fn is_known(&self, frame: FrameId) -> bool {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&frame)
    }

    fn keep(&self, frame: FrameId, payload: Vec<u8>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the frames before it only the hash is needed any more.
        for message in known.values_mut().filter_map(|known| known.message.as_mut()) {
            *message = Arc::new(Message {
                config_hash: message.config_hash.clone(),
                text: String::new(),
            });
        }
        known.entry(frame).or_insert(Known {
            payload: Some(payload),
            message: None,
        });
    }

    /// The message of a frame; inflated by whoever asks first. `None` while nobody has kept the frame.
    fn message(&self, frame: FrameId) -> Option<Arc<Message>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_mut(&frame)?;
        if let Some(payload) = known.payload.take() {
            let mut text = String::new();
            let read = flate2::read::GzDecoder::new(&payload[..]).read_to_string(&mut text);
            read.expect("a configuration is gzip of text");
            let message: Message = serde_json::from_str(&text).expect("a configuration is JSON");
            known.message = Some(Arc::new(Message { text, ..message }));
        }
        known.message.clone()
    }
}

/// One of a fleet's nodes.
struct Node {
    number: usize,
    settings: Settings,
    connector: TlsConnector,
    info: Arc<str>,
    hash: String,
    frames: Arc<Frames>,
    noted: mpsc::UnboundedSender<Event>,
}

impl Node {
    async fn live(mut self) {
        loop {
            let ended = self.connect_once().await;
            self.note(Event::Lost(self.number, ended));
            tokio::time::sleep(self.settings.pause()).await;
        }
    }

    fn note(&self, event: Event) {
        // Nobody listens only when the fleet is gone.
        let _ = self.noted.send(event);
    }

    async fn connect_once(&mut self) -> String {
        let (mut incoming, mut outgoing) = match self.open().await {
            Ok(halves) => halves,
            Err(reason) => return reason,
        };
        self.note(Event::Connected(self.number));
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let reader = Reader {
            number: self.number,
            settings: &self.settings,
            frames: &self.frames,
            noted: &self.noted,
            arrived,
        };
        let (interval, hash) = (self.settings.ping_interval, &mut self.hash);
        let frames = &self.frames;
        let pinging = async {
            let mut next = Instant::now() + interval;
            let mut latest = None;
            loop {
                tokio::select! {
                    frame = arrivals.recv() => {
                        latest = frame;
                        let share = f64::from(commands::entropy::seed()[0]) / 255.0;
                        next = Instant::now() + APPLIED_WITHIN.mul_f64(share);
                    }
                    () = sleep_until(next) => {
                        if let Some(message) = latest.and_then(|frame| frames.message(frame)) {
                            hash.clone_from(&message.config_hash);
                        }
                        next = Instant::now() + interval;
                        if let Err(error) = websocket::write(&mut outgoing, Opcode::Ping, hash.as_bytes()).await {
                            return format!("failed to send: {error}");
                        }
                    }
                }
            }
        };
        tokio::select! {
            ended = reader.run(&mut incoming) => ended,
            ended = pinging => ended,
        }
    }

    async fn open(&self) -> Result<(Incoming, Outgoing), String> {
        let mut wire = Wire::open(&self.settings, &self.connector).await?;
        let target = self.settings.target("/v1/outlet");
        let head = wire.upgrade(&self.settings, &target, None).await?;
        if head.status() != 101 {
            return Err(head.status_line);
        }
        let sent = async {
            wire.write(Opcode::Binary, self.info.as_bytes()).await?;
            wire.write(Opcode::Ping, self.hash.as_bytes()).await
        };
        sent.await.map_err(|error| format!("failed to send: {error}"))?;
        Ok(wire.split())
    }
}

struct Reader<'a> {
    number: usize,
    settings: &'a Settings,
    frames: &'a Frames,
    noted: &'a mpsc::UnboundedSender<Event>,
    arrived: mpsc::UnboundedSender<FrameId>,
}

impl Reader<'_> {
    async fn run(&self, incoming: &mut Incoming) -> String {
        let limits = websocket::Limits {
            read: self.settings.silence,
            ..self.settings.limits()
        };
        loop {
            let header = match websocket::read_header(incoming, limits).await {
                Ok(header) => header,
                Err(error) => return error.text(),
            };
            if !header.last {
                return FrameError::Again.text();
            }
            let length = usize::try_from(header.length).unwrap_or_default();
            let read = match header.opcode {
                Opcode::Binary => self.configuration(incoming, length, limits).await,
                Opcode::Close => return "closed by the control plane".to_owned(),
                other => self.small(incoming, length, limits, other).await,
            };
            if let Err(error) = read {
                return error.text();
            }
        }
    }

    async fn small(
        &self,
        incoming: &mut Incoming,
        length: usize,
        limits: websocket::Limits,
        opcode: Opcode,
    ) -> Result<(), FrameError> {
        let mut payload = vec![0; length];
        websocket::read_exactly(incoming, &mut payload, limits).await?;
        if opcode == Opcode::Pong {
            let _ = self.noted.send(Event::Settled(self.number));
        }
        Ok(())
    }

    /// Takes a configuration: the first node keeps it whole, the others its last bytes.
    async fn configuration(
        &self,
        incoming: &mut Incoming,
        length: usize,
        limits: websocket::Limits,
    ) -> Result<(), FrameError> {
        let keeps = self.number == 0;
        let mut whole = if keeps { vec![0; length] } else { Vec::new() };
        let mut id = FrameId::default();
        if keeps {
            websocket::read_exactly(incoming, &mut whole, limits).await?;
            id.0.copy_from_slice(whole.last_chunk::<8>().unwrap_or(&[0; 8]));
        } else {
            let mut piece = vec![0; 64 * 1024];
            let mut rest = length.saturating_sub(8);
            while rest > 0 {
                let size = rest.min(piece.len());
                websocket::read_exactly(incoming, &mut piece[..size], limits).await?;
                rest -= size;
            }
            websocket::read_exactly(incoming, &mut id.0, limits).await?;
        }
        let arrival = Arrival {
            node: self.number,
            at: std::time::Instant::now(),
            bytes: length,
            frame: id,
        };
        // Kept before it is noted: whoever hears of it may look into it at once.
        if keeps && !self.frames.is_known(id) {
            self.frames.keep(id, whole);
        }
        let _ = self.noted.send(Event::Arrived(arrival));
        let _ = self.arrived.send(id);
        Ok(())
    }
}
