//! One connection of `/v2/outlet`: the thin task between a socket and its [`Session`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use domain::compatibility::{Dialect, GatewayVersion, Level, Release, is_bundled_plugin};
use domain::group::Group;
use domain::{NodeId, Timestamp};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::delta_encodings::DeltaEncodings;
use super::deltas::NoDeltas;
use super::hello::Hello;
use super::session::{Deltas, Output, Session, Wanted};
use super::version::SyncVersion;
use crate::hub::Hub;
use crate::kong::basic_info::BasicInfo;
use crate::kong::connection::{End, FAREWELL, count_update, gone};
use crate::kong::document::Envelope;
use crate::kong::levels::{Encoding, LiveLevel, Offered};
use crate::kong::node::{Compatibility, KongNode, Withheld};
use crate::kong::presence::{Identity, Presence};
use crate::kong::websocket::{Message, WebSocket};
use crate::kong::{default_max_payload, router_of};
use crate::native::frames::Applied;
use crate::said;

/// A connection being served.
struct Connection<Stream> {
    socket: WebSocket<Stream>,
    session: Session,
    /// Whose identity is known from its hello on.
    presence: Presence,
    hub: Arc<Hub>,
    /// Whether the registry knows of it.
    is_present: bool,
    sync: Option<Sync>,
}

/// What an instance gets whose configuration travels here.
struct Sync {
    encodings: Arc<DeltaEncodings>,
    /// Kept current as long as somebody holds it.
    _level: Arc<LiveLevel>,
    newest: watch::Receiver<Arc<Offered>>,
    /// What it said last that it has.
    has: Option<String>,
}

/// Serves an accepted connection until it ends.
pub(crate) async fn serve<Stream: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: WebSocket<Stream>,
    presence: Presence,
    hub: Arc<Hub>,
) {
    let connection = Connection {
        socket,
        session: Session::new(presence.shared.clock.now()),
        presence,
        hub,
        is_present: false,
        sync: None,
    };
    connection.run().await;
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
            let session = self.presence.number;
            tracing::debug!(session, reason = end, "a connection without sync ended");
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
                    Ok(message) => self.heard(message).await,
                    Err(error) => return gone(&error),
                },
                offered = newest(&mut self.sync) => match offered {
                    Some(()) => Ok(self.offered()),
                    None => return Some("the configuration isn't followed any more".to_owned()),
                },
                () = &mut tick => Ok(self.session.tick(self.now())),
            };
            let done = match outputs {
                Ok(outputs) => self.carry_out(outputs).await,
                Err(end) => Err(end),
            };
            if let Err(end) = done {
                return end;
            }
            tick.as_mut().reset(Instant::now() + self.until_deadline());
        }
    }

    async fn heard(&mut self, message: Message) -> Result<Vec<Output>, End> {
        let now = self.now();
        self.session.heard(now);
        match message {
            Message::Binary(bytes) => Ok(self.session.frame(&bytes, now)),
            Message::Ping(payload) => {
                self.socket.pong(&payload).await.map_err(|error| gone(&error))?;
                Ok(Vec::new())
            }
            Message::Text(_) | Message::Pong => Ok(Vec::new()),
            Message::Close => Err(None),
        }
    }

    async fn carry_out(&mut self, outputs: Vec<Output>) -> Result<(), End> {
        let mut outputs = VecDeque::from(outputs);
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send(frame) => {
                    let sent = self.socket.send_parts(&frame.head, &frame.body).await;
                    sent.map_err(|error| gone(&error))?;
                    if !frame.body.is_empty() {
                        count_update(frame.length());
                    }
                }
                Output::Ping => self.socket.ping().await.map_err(|error| gone(&error))?,
                Output::Arrived(hello) => self.arrived(&hello).await?,
                Output::Wanted(wanted) => outputs.extend(self.answer(&wanted).await),
                Output::Runs(version) => self.runs(version),
                Output::Refused { version, reason } => self.refused(&version, &reason),
                Output::TooLarge(reason) => self.too_large(reason),
                Output::Failed(error) => self.presence.failed(json!(error)),
                Output::Close(reason) => return Err(Some(reason)),
            }
        }
        Ok(())
    }

    /// Answers a hello: an instance whose configuration doesn't travel here goes on to `/v1/outlet`, and is known from
    /// there on.
    async fn arrived(&mut self, hello: &Hello) -> Result<(), End> {
        let node = Uuid::try_parse(&hello.node);
        let node = node.map_err(|_| Some(format!("{} isn't a node's id", hello.node)))?;
        self.presence.identity = Identity {
            node: NodeId(node),
            hostname: hello.hostname.clone(),
            version: hello.version.clone(),
        };
        let info = BasicInfo::default().with_settings(&hello.settings);
        let version = GatewayVersion::parse(&hello.version);
        let release = version.and_then(|version| Release::of(version).ok());
        let newest = release.filter(|release| *release == Release::NEWEST && hello.offers_sync());
        let (Some(version), Some(release)) = (version, newest) else {
            let answer = self.session.admitted(None, usize::MAX);
            self.send(answer).await?;
            // One that is told to get its configuration here and nowhere else.
            if hello.offers_sync() && release.is_some() {
                self.left_out(hello, info).await?;
            }
            return Ok(());
        };
        let state = self.hub.current();
        let level = Level {
            release,
            dialect: Dialect::Deltas,
            plugins: Arc::new(plugins(release, &hello.plugins(), state.group())),
            filters: BTreeSet::new(),
            router: router_of(release, &info),
        };
        let encodings = self.hub.deltas(self.presence.shared.log, &level);
        let max_payload = info.max_payload().unwrap_or(default_max_payload(version));
        let newest = encodings.version_of(state.as_ref());
        let answer = self.session.admitted(Some(newest), max_payload);
        self.send(answer).await?;
        self.synced(hello, info, level, encodings).await
    }

    async fn send(&mut self, outputs: Vec<Output>) -> Result<(), End> {
        for output in outputs {
            if let Output::Send(frame) = output {
                let sent = self.socket.send_parts(&frame.head, &frame.body).await;
                sent.map_err(|error| gone(&error))?;
            }
        }
        Ok(())
    }

    /// From now on its configuration travels here.
    async fn synced(
        &mut self,
        hello: &Hello,
        info: BasicInfo,
        level: Level,
        encodings: Arc<DeltaEncodings>,
    ) -> Result<(), End> {
        let kong = KongNode {
            settings: info.settings,
            rpc_capabilities: hello.capabilities.clone(),
            ..KongNode::default()
        };
        let arrived = self.presence.arrived(hello.labels(), kong).await;
        arrived.map_err(|error| Some(error.to_string()))?;
        self.is_present = true;
        let encoding = Encoding {
            level,
            envelope: Envelope::Deltas,
        };
        let level = self.hub.level(encoding).await;
        let level = level.map_err(|error| Some(error.to_string()))?;
        self.presence.served(level.level());
        self.sync = Some(Sync {
            encodings,
            newest: level.subscribe(),
            _level: level,
            has: None,
        });
        // It asks for its configuration by itself.
        self.note_offer();
        Ok(())
    }

    /// An instance that asks for its configuration here, but whose version takes no deltas from this control plane: it
    /// would never get one, and somebody must be able to see that.
    async fn left_out(&mut self, hello: &Hello, info: BasicInfo) -> Result<(), End> {
        let reason = format!(
            "Kong {} can't be sent its configuration over RPC: switch cluster_incremental_sync or cluster_rpc_sync off \
             on the node, or update it to {}",
            hello.version,
            Release::NEWEST.name()
        );
        let kong = KongNode {
            settings: info.settings,
            rpc_capabilities: hello.capabilities.clone(),
            compatibility: Compatibility::KongVersionIncompatible,
            withheld: Some(Withheld {
                version: self.hub.current().version(),
                reason,
            }),
            ..KongNode::default()
        };
        let arrived = self.presence.arrived(hello.labels(), kong).await;
        arrived.map_err(|error| Some(error.to_string()))?;
        self.is_present = true;
        Ok(())
    }

    /// What there is to say when something newer is offered.
    fn offered(&mut self) -> Vec<Output> {
        let Some((newest, is_withheld)) = self.note_offer() else {
            return Vec::new();
        };
        let state = self.hub.current();
        let runs = |sync: &Sync| {
            let has = sync.has.clone()?;
            sync.encodings.runs(state.as_ref(), &has).then_some(has)
        };
        if let Some(has) = self.sync.as_ref().and_then(runs) {
            let (version, digest) = (state.version(), state.digest());
            self.presence.has(&has, Some(Applied { version, digest }));
            self.session.unchanged(newest);
            return Vec::new();
        }
        match is_withheld {
            true => Vec::new(),
            false => self.session.available(newest),
        }
    }

    /// Notes in the registry what the instance should have, and answers it: its version, and whether it is withheld.
    fn note_offer(&mut self) -> Option<(SyncVersion, bool)> {
        let sync = self.sync.as_mut()?;
        let offered = sync.newest.borrow_and_update().clone();
        let newest = sync.encodings.version_of(self.hub.current().as_ref());
        self.presence.offered(&offered, Some(newest.to_string().into()));
        Some((newest, offered.frame.is_err()))
    }

    async fn answer(&mut self, wanted: &Wanted) -> Vec<Output> {
        let Some(sync) = &self.sync else {
            return Vec::new();
        };
        let state = self.hub.current();
        match sync.encodings.since(&state, &wanted.has, wanted.whole).await {
            Ok(deltas) => self.session.answered(wanted, Deltas::Encoded(&deltas)),
            Err(NoDeltas::Withheld) => self.session.answered(wanted, Deltas::Withheld),
            Err(NoDeltas::TooLarge(error)) => {
                self.too_large(error.to_string());
                self.session.answered(wanted, Deltas::Withheld)
            }
        }
    }

    fn runs(&mut self, version: String) {
        let Some(sync) = &mut self.sync else {
            return;
        };
        let state = self.hub.current();
        let applied = match sync.encodings.runs(state.as_ref(), &version) {
            true => Some(Applied {
                version: state.version(),
                digest: state.digest(),
            }),
            false => sync.encodings.applied(state.as_ref(), &version),
        };
        self.presence.has(&version, applied);
        sync.has = Some(version);
    }

    fn refused(&self, version: &str, reason: &str) {
        let state = self.hub.current();
        let refused = SyncVersion::parse(version).and_then(|refused| {
            let (version, digest) = (refused.version, state.digest_at(refused.version)?);
            Some(Applied { version, digest })
        });
        match refused {
            Some(refused) => self.presence.refused(refused, reason),
            None => tracing::debug!(version, "a configuration was refused that isn't known here"),
        }
        self.presence
            .failed(json!({"name": "sync deltas refused", "message": reason, "config_hash": version}));
    }

    fn too_large(&self, reason: String) {
        if let Some(sync) = &self.sync {
            let offered = sync.newest.borrow().clone();
            self.presence.withheld(&offered, reason);
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

/// The plugins an instance has loaded that is told to load these. Those that come with it are of its version.
fn plugins(release: Release, told: &[&str], group: &Group) -> BTreeMap<String, Option<String>> {
    let all = Level::with_all_plugins(release, Dialect::Deltas, group);
    let bundled = all.plugins.keys().filter(|name| is_bundled_plugin(name));
    // So it is where nothing is said.
    let with_bundled = told.is_empty() || told.contains(&"bundled");
    let bundled = bundled.filter(|_| with_bundled).cloned();
    let others = said::named(told, |name| name).filter(|name| !["bundled", "off"].contains(*name));
    let names = bundled.chain(others.map(|name| (*name).to_owned()));
    names.map(|name| (name, None)).collect()
}

/// Returns when something newer is offered, and none when nothing will be.
async fn newest(sync: &mut Option<Sync>) -> Option<()> {
    match sync {
        Some(sync) => sync.newest.changed().await.ok(),
        None => std::future::pending().await,
    }
}
