//! One connection of `/v1/outlet` or `/v1/wrpc`: the thin task between a socket and its [`Conversation`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::compatibility::{Dialect, GatewayVersion, Level, Release, is_bundled_plugin};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::basic_info::BasicInfo;
use super::conversation::Conversation;
use super::frame::Frame;
use super::levels::{Encoding, LiveLevel, Offered};
use super::node::{Compatibility, KongNode};
use super::presence::Presence;
use super::session::{Output, Report};
use super::websocket::WebSocket;
use super::{default_max_payload, router_of};
use crate::hub::Hub;

/// How long a farewell may take before the connection is cut.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

/// A connection being served.
struct Connection<Stream> {
    socket: WebSocket<Stream>,
    session: Conversation,
    presence: Presence,
    hub: Arc<Hub>,
    release: Release,
    /// Whether the registry knows of it.
    is_present: bool,
    level: Option<Served>,
}

/// What a node gets once it is known what it can take.
struct Served {
    level: Arc<LiveLevel>,
    newest: watch::Receiver<Arc<Offered>>,
    /// What was offered to the session last.
    offered: Arc<Offered>,
}

/// Why a connection ended; none where the instance or the network ended it without a word.
pub(super) type End = Option<String>;

/// Serves an accepted connection until it ends.
pub(crate) async fn serve<Stream: AsyncRead + AsyncWrite + Unpin + Send>(
    mut socket: WebSocket<Stream>,
    presence: Presence,
    hub: Arc<Hub>,
) {
    let version = GatewayVersion::parse(&presence.identity.version);
    let release = version.ok_or_else(|| "its version can't be read".to_owned());
    let release = release.and_then(|version| Release::of(version).map_err(|error| error.to_string()));
    match (version, release) {
        (Some(version), Ok(release)) => {
            let rest = presence.shared.push_rest.as_millis() as i64;
            let (limit, now) = (default_max_payload(version), presence.shared.clock.now());
            let session = Conversation::new(presence.protocol, limit, rest, now);
            let connection = Connection {
                socket,
                session,
                presence,
                hub,
                release,
                is_present: false,
                level: None,
            };
            connection.run().await;
        }
        (_, refused) => {
            let reason = refused.err().unwrap_or_default();
            turn_away(&presence, reason).await;
            drop(tokio::time::timeout(FAREWELL, socket.close()).await);
        }
    }
}

/// Notes a node whose version isn't served, so that somebody can see why it gets nothing.
async fn turn_away(presence: &Presence, reason: String) {
    let version = &presence.identity.version;
    let kong = KongNode {
        compatibility: Compatibility::KongVersionIncompatible,
        ..KongNode::default()
    };
    if presence
        .arrived(std::collections::BTreeMap::new(), kong)
        .await
        .is_ok()
    {
        presence.left(Some(format!("Kong {version} isn't served: {reason}")));
    }
}

impl<Stream: AsyncRead + AsyncWrite + Unpin + Send> Connection<Stream> {
    async fn run(mut self) {
        let interrupted = self.presence.interrupted.clone();
        let end = tokio::select! {
            end = self.converse() => end,
            () = interrupted.cancelled() => Some(self.presence.interruption().to_owned()),
        };
        if self.is_present {
            self.presence.left(end.clone());
        } else {
            tracing::debug!(
                session = self.presence.number,
                reason = end,
                "a connection ended before the node introduced itself"
            );
        }
        if end.is_some() {
            drop(tokio::time::timeout(FAREWELL, self.socket.close()).await);
        }
    }

    async fn converse(&mut self) -> End {
        let tick = tokio::time::sleep(self.until_deadline());
        tokio::pin!(tick);
        loop {
            let outputs = tokio::select! {
                message = self.socket.receive() => match message {
                    Ok(message) => self.session.message(message, self.now()),
                    Err(error) => return gone(&error),
                },
                offered = newest(&mut self.level) => match offered {
                    Some(()) => self.offered(),
                    None => return Some("the configuration isn't followed any more".to_owned()),
                },
                () = &mut tick => self.session.tick(self.now()),
            };
            if let Err(end) = self.carry_out(outputs).await {
                return end;
            }
            tick.as_mut().reset(Instant::now() + self.until_deadline());
        }
    }

    /// Tells the session of what has just been offered.
    fn offered(&mut self) -> Vec<Output> {
        let now = self.now();
        let Some(served) = &mut self.level else {
            return Vec::new();
        };
        let offered = served.newest.borrow_and_update().clone();
        served.offered = offered.clone();
        let hash = offered
            .frame
            .as_ref()
            .ok()
            .map(|frame| frame.hashes.config.clone());
        self.presence.offered(&offered, hash);
        let outputs = self.session.offered(&offered, now);
        if let Some(hash) = self.session.runs_offer() {
            self.presence.has(&hash, Some(offered.applied));
        }
        outputs
    }

    async fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), End> {
        for output in outputs {
            match output {
                Output::Pong(payload) => self.socket.pong(&payload).await.map_err(|error| gone(&error))?,
                Output::Send(frame) => self.send(&frame).await.map_err(|error| gone(&error))?,
                Output::Push => self.push().await.map_err(|error| gone(&error))?,
                Output::Report(Report::Arrived(info)) => Box::pin(self.arrived(info)).await?,
                Output::Report(report) => self.report(report),
                Output::Close(reason) => return Err(Some(reason).filter(|reason| !reason.is_empty())),
            }
        }
        Ok(())
    }

    async fn push(&mut self) -> io::Result<()> {
        let Some(Ok(frame)) = self.level.as_ref().map(|served| served.offered.frame.clone()) else {
            return Ok(());
        };
        self.socket.send_frame(&frame.bytes).await?;
        count_update(frame.bytes.len());
        Ok(())
    }

    async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.socket.send_parts(&frame.head, &frame.body).await?;
        if !frame.body.is_empty() {
            count_update(frame.length());
        }
        Ok(())
    }

    async fn arrived(&mut self, info: BasicInfo) -> Result<(), End> {
        let encoding = Encoding {
            level: self.level_of(&info),
            envelope: self.session.envelope(),
        };
        let kong = KongNode {
            settings: info.settings,
            ..KongNode::default()
        };
        let arrived = self.presence.arrived(info.labels, kong).await;
        arrived.map_err(|error| Some(error.to_string()))?;
        self.is_present = true;
        let level = self
            .hub
            .level(encoding)
            .await
            .map_err(|error| Some(error.to_string()))?;
        self.presence.served(level.level());
        let newest = level.subscribe();
        let offered = newest.borrow().clone();
        self.level = Some(Served {
            level,
            newest,
            offered,
        });
        let outputs = self.offered();
        // It has just arrived: nothing of this is another arrival.
        Box::pin(self.carry_out(outputs)).await
    }

    fn level_of(&self, info: &BasicInfo) -> Level {
        let plugins = info.plugins.iter();
        Level {
            release: self.release,
            dialect: Dialect::Document,
            plugins: Arc::new(
                plugins
                    .map(|(name, version)| plugin(self.release, name, version))
                    .collect(),
            ),
            filters: info.filters.iter().cloned().collect(),
            router: router_of(self.release, info),
        }
    }

    fn report(&self, report: Report) {
        let Some(served) = &self.level else {
            return;
        };
        match report {
            Report::Pinged(hash) => self.presence.has(&hash, served.level.applied(&hash)),
            Report::Refused(hash) => {
                if let Some(refused) = served.level.applied(&hash) {
                    self.presence.refused(refused, "the node still runs its earlier configuration long after this one was sent: its log says why it refused it");
                }
            }
            Report::Failed(error) => self.presence.failed(error),
            Report::TooLarge(payload, takes) => {
                let reason = format!(
                    "the configuration has {payload} bytes compressed and the node takes {takes}: raise its cluster_max_payload"
                );
                self.presence.withheld(&served.offered, reason);
            }
            Report::Arrived(_) => (),
        }
    }

    fn until_deadline(&self) -> Duration {
        let wait = self.session.deadline().0 - self.now().0;
        Duration::from_millis(wait.max(1) as u64)
    }

    fn now(&self) -> Timestamp {
        self.presence.shared.clock.now()
    }
}

/// Counts an update that was sent, of so many bytes.
pub(super) fn count_update(bytes: usize) {
    metrics::counter!("dataplane_updates_sent").increment(1);
    metrics::counter!("dataplane_update_bytes_sent").increment(bytes as u64);
}

/// A plugin as it matters for the level: since 3.0 the bundled ones have Kong's own version, which is the release's.
fn plugin(release: Release, name: &str, version: &Option<String>) -> (String, Option<String>) {
    let version = version.clone();
    let version = version.filter(|_| !is_bundled_plugin(name) || release == Release::OLDEST);
    (name.to_owned(), version)
}

/// Returns when something newer is offered, and none when nothing will be.
async fn newest(served: &mut Option<Served>) -> Option<()> {
    match served {
        Some(served) => served.newest.changed().await.ok(),
        None => std::future::pending().await,
    }
}

/// An end of file is how data planes end (§1.4).
pub(super) fn gone(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => None,
        _ => Some(error.to_string()),
    }
}
