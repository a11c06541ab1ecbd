//! v1 over `/v1/outlet`: basic_info, pings, whole configurations.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;

use super::basic_info::basic_info;
use super::configuration::{self, Received, Verdict};
use super::node::{Order, Shared, attempt};
use super::observed::Protocol;
use super::settings::Settings;
use super::websocket::{self, Frame, FrameError, Opcode};
use super::wire::{Incoming, Outgoing};

/// The silence is looked for as often.
const SILENCE_TICK: Duration = Duration::from_secs(5);

/// One connection from the attempt to its end; answers why it ended.
pub(super) async fn live(
    settings: &Settings,
    connector: &TlsConnector,
    shared: &Shared,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) -> String {
    let target = settings.target("/v1/outlet");
    let wire = match attempt(settings, connector, shared, &target, None, Protocol::V1).await {
        Ok(wire) => wire,
        Err(reason) => return reason,
    };
    let (incoming, outgoing) = wire.split();
    let (said, to_say) = mpsc::unbounded_channel();
    let reading = watch::Sender::new(true);
    let heard = watch::Sender::new(Instant::now());
    let reader = Reader {
        settings,
        shared,
        incoming,
        said,
        heard: &heard,
    };
    let writer = Writer {
        settings,
        shared,
        outgoing,
        reading: &reading,
    };
    tokio::select! {
        ended = reader.run(reading.subscribe()) => ended,
        ended = writer.run(orders, to_say, heard.subscribe()) => ended,
    }
}

/// Takes what comes.
struct Reader<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    incoming: Incoming,
    /// Tells the writer that a ping is due: a configuration was applied or refused.
    said: mpsc::UnboundedSender<()>,
    heard: &'a watch::Sender<Instant>,
}

impl Reader<'_> {
    async fn run(mut self, mut reading: watch::Receiver<bool>) -> String {
        loop {
            if reading.wait_for(|reading| *reading).await.is_err() {
                return "the process ends".to_owned();
            }
            match websocket::read(&mut self.incoming, self.settings.limits()).await {
                Ok(frame) => {
                    self.heard.send_replace(Instant::now());
                    if let Err(ended) = self.take(frame) {
                        return ended;
                    }
                }
                Err(FrameError::Timeout) => {}
                Err(FrameError::Stalled) => self.shared.note(|observed| observed.stalls += 1),
                Err(error) => {
                    return format!("failed to receive a frame from control plane: {}", error.text());
                }
            }
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), String> {
        match frame.opcode {
            Opcode::Binary => self.apply(frame),
            Opcode::Pong => {
                self.shared.note(|observed| observed.pongs += 1);
                Ok(())
            }
            Opcode::Close => Err("received \"close\" frame from control plane".to_owned()),
            // Pings of the server, too: "unknown frame type".
            _ => {
                self.shared.note(|observed| observed.unknown_frames += 1);
                Ok(())
            }
        }
    }

    fn apply(&mut self, frame: Frame) -> Result<(), String> {
        let message = configuration::inflate(&frame.payload)
            .map_err(|error| format!("the thread that applies has crashed: {error}"))?;
        let verdict = configuration::judge(&message, &self.shared.hash(), &self.settings.validator());
        let received = Received {
            payload: frame.payload,
            message: Arc::new(message),
        };
        self.shared.conclude(received, &verdict);
        let pings = match verdict {
            Verdict::Applied(_) => true,
            Verdict::Refused(_) => self.settings.version.pings_when_it_refuses(),
            Verdict::Skipped | Verdict::Ignored => false,
        };
        if pings {
            // The writer is gone only with this reader.
            let _ = self.said.send(());
        }
        Ok(())
    }
}

/// Says what is to be said.
struct Writer<'a> {
    settings: &'a Settings,
    shared: &'a Shared,
    outgoing: Outgoing,
    reading: &'a watch::Sender<bool>,
}

impl Writer<'_> {
    async fn run(
        mut self,
        orders: &mut mpsc::UnboundedReceiver<Order>,
        mut due: mpsc::UnboundedReceiver<()>,
        heard: watch::Receiver<Instant>,
    ) -> String {
        let info = basic_info(self.settings).to_string();
        if let Err(error) = self.send(Opcode::Binary, info.as_bytes()).await {
            return error;
        }
        let mut next_ping = Instant::now();
        let mut next_tick = Instant::now() + SILENCE_TICK.min(self.settings.silence);
        loop {
            let sent = tokio::select! {
                () = sleep_until(next_ping) => {
                    next_ping += self.settings.ping_interval;
                    self.ping().await
                }
                Some(()) = due.recv() => self.ping().await,
                order = orders.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return "the process ends".to_owned(),
                },
                () = sleep_until(next_tick) => {
                    next_tick += SILENCE_TICK.min(self.settings.silence);
                    self.look_for_silence(&heard).await
                }
            };
            if let Err(ended) = sent {
                return ended;
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Ping => self.ping().await,
            Order::PingWith(payload) => self.ping_with(&payload).await,
            Order::Say(payload) => self.send(Opcode::Binary, &payload).await,
            Order::Garbage(bytes) => {
                let written = self.outgoing.write_all(&bytes).await;
                written.map_err(|error| format!("failed to send: {error}"))?;
                self.outgoing
                    .flush()
                    .await
                    .map_err(|error| format!("failed to send: {error}"))
            }
            Order::StopReading => {
                self.reading.send_replace(false);
                Ok(())
            }
            Order::ReadAgain => {
                self.reading.send_replace(true);
                Ok(())
            }
            Order::HangUp => Err("hung up".to_owned()),
        }
    }

    async fn ping(&mut self) -> Result<(), String> {
        let hash = self.shared.hash();
        self.ping_with(hash.as_bytes()).await
    }

    async fn ping_with(&mut self, payload: &[u8]) -> Result<(), String> {
        let said = String::from_utf8_lossy(payload).into_owned();
        self.shared.note(|observed| observed.pings.push(said));
        self.send(Opcode::Ping, payload).await
    }

    async fn look_for_silence(&mut self, heard: &watch::Receiver<Instant>) -> Result<(), String> {
        if heard.borrow().elapsed() <= self.settings.silence {
            return Ok(());
        }
        self.send(Opcode::Close, &[]).await?;
        Err("did not receive pong frame from control plane".to_owned())
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), String> {
        let written = websocket::write(&mut self.outgoing, opcode, payload).await;
        written.map_err(|error| format!("failed to send a frame to control plane: {error}"))
    }
}
