//! A simulated node: it connects, comes back when it lost its connection, and keeps its configuration while it doesn't have one.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::configuration::{Configuration, Received, Verdict};
use super::observed::{Observed, Protocol};
use super::release::FirstContact;
use super::settings::{Settings, random_id};
use super::storage::Storage;
use super::wire::Wire;
use super::{rpc, tls, v1, wrpc};
use crate::eventually::eventually;

/// A node; gone without a farewell when dropped.
#[derive(Debug)]
pub struct DataPlane {
    settings: Settings,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    process: JoinSet<()>,
}

/// What a test has a node do.
#[derive(Clone, Debug)]
pub enum Order {
    /// The regular ping, now.
    Ping,
    /// A ping with another payload than the node's hash.
    PingWith(Vec<u8>),
    /// A binary frame with this payload, as the error reports of Enterprise nodes are.
    Say(Vec<u8>),
    /// Bytes that needn't be a frame.
    Garbage(Vec<u8>),
    /// Stops reading from the socket.
    StopReading,
    /// Reads again.
    ReadAgain,
    /// Ends the connection with a FIN and nothing else; the node comes back.
    HangUp,
}

/// What the node's process has in common with the test.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) observed: watch::Sender<Observed>,
    pub(super) storage: Mutex<Storage>,
}

impl Shared {
    pub(super) fn note(&self, change: impl FnOnce(&mut Observed)) {
        self.observed.send_modify(change);
    }

    pub(super) fn hash(&self) -> String {
        self.storage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .hash()
            .to_owned()
    }

    /// Notes what arrived and what became of it.
    pub(super) fn conclude(&self, received: Received, verdict: &Verdict) {
        if let Verdict::Applied(configuration) = verdict {
            self.keep(configuration.clone());
        }
        self.note(|observed| {
            observed.received = Some(received);
            observed.arrivals += 1;
            match verdict {
                Verdict::Ignored => {}
                Verdict::Skipped => observed.skipped += 1,
                Verdict::Applied(configuration) => {
                    observed.applications += 1;
                    observed.applied = Some(configuration.clone());
                }
                Verdict::Refused(reasons) => observed.refusals.push(reasons.clone()),
            }
        });
    }

    fn keep(&self, configuration: Configuration) {
        let mut storage = self.storage.lock().unwrap_or_else(PoisonError::into_inner);
        storage.keep(configuration);
    }
}

impl DataPlane {
    /// Starts a node with an empty prefix.
    pub fn start(settings: Settings) -> Self {
        let shared = Arc::new(Shared {
            observed: watch::Sender::default(),
            storage: Mutex::default(),
        });
        let mut node = Self {
            settings,
            shared,
            orders: mpsc::unbounded_channel().0,
            process: JoinSet::new(),
        };
        node.launch();
        node
    }

    /// Its settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What is to be seen of it now.
    pub fn observed(&self) -> Observed {
        self.shared.observed.borrow().clone()
    }

    /// Has it do something.
    pub fn order(&self, order: Order) {
        // A node that was stopped does nothing.
        drop(self.orders.send(order));
    }

    /// Has it send its regular ping now.
    pub fn ping_now(&self) {
        self.order(Order::Ping);
    }

    /// Ends its process as SIGKILL does: the connection ends with a FIN.
    pub async fn stop(&mut self) {
        self.process.shutdown().await;
        self.shared.note(|observed| observed.connected = false);
    }

    /// Ends its process and starts another one with the same prefix.
    pub async fn restart(&mut self) {
        self.restart_as(|_| {}).await;
    }

    /// The same with other settings: an upgrade, more plugins.
    pub async fn restart_as(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop().await;
        change(&mut self.settings);
        if !self.settings.version.remembers_its_id() {
            self.settings.node_id = random_id();
        }
        let mut storage = self.shared.storage.lock().unwrap_or_else(PoisonError::into_inner);
        storage.reopen(self.settings.version);
        let stored = storage.configuration().cloned();
        drop(storage);
        self.shared.note(|observed| observed.applied = stored);
        self.launch();
    }

    /// Waits until what is seen of it is as `look` wants it.
    pub async fn sees<Found>(&self, what: &str, look: impl Fn(&Observed) -> Option<Found>) -> Found {
        let who = format!("Kong {} ({what})", self.settings.version_text);
        eventually(&who, async || {
            let observed = self.observed();
            look(&observed).ok_or_else(|| describe(&observed))
        })
        .await
    }

    /// Waits until it has a connection.
    pub async fn connected(&self) {
        self.sees("is connected", |observed| observed.connected.then_some(()))
            .await;
    }

    /// Waits until it runs a configuration.
    pub async fn applied(&self) -> Configuration {
        self.sees("has a configuration", |observed| observed.applied.clone())
            .await
    }

    /// Waits until it runs a configuration that is as `look` wants it.
    pub async fn runs(&self, what: &str, look: impl Fn(&Configuration) -> bool) -> Configuration {
        let applied = |observed: &Observed| observed.applied.clone().filter(|applied| look(applied));
        self.sees(what, applied).await
    }

    /// Waits until it runs a configuration in which a collection has the entity of this name.
    pub async fn runs_with(&self, collection: &str, name: &str) -> Configuration {
        let what = format!("runs with {name} in {collection}");
        self.runs(&what, |applied| applied.find(collection, name).is_some())
            .await
    }

    fn launch(&mut self) {
        let (orders, received) = mpsc::unbounded_channel();
        self.orders = orders;
        self.process
            .spawn(live(self.settings.clone(), Arc::clone(&self.shared), received));
    }
}

/// A line about a node, for a test that waited in vain.
fn describe(observed: &Observed) -> String {
    format!(
        "connected: {}, connections: {}, protocol: {:?}, arrivals: {}, hash: {:?}, skipped: {}, pongs: {}, answer: {:?}, last refusal: {:?}, endings: {:?}",
        observed.connected,
        observed.connections,
        observed.protocol,
        observed.arrivals,
        observed.hash(),
        observed.skipped,
        observed.pongs,
        observed.answer.as_ref().map(|head| &head.status_line),
        observed.last_refusal(),
        observed.endings.iter().rev().take(3).collect::<Vec<_>>(),
    )
}

/// The node's process.
async fn live(settings: Settings, shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let connector = tls::connector(&settings.identity, settings.tls_versions);
    let mut contact = settings.version.first_contact(settings.rpc);
    loop {
        if contact == FirstContact::ProbeForWrpc {
            contact = probe(&settings, &connector, &shared).await;
        }
        let ended = match contact {
            FirstContact::Wrpc => wrpc::live(&settings, &connector, &shared, &mut orders).await,
            FirstContact::Rpc => rpc::live(&settings, &connector, &shared, &mut orders).await,
            FirstContact::V1 | FirstContact::ProbeForWrpc => {
                v1::live(&settings, &connector, &shared, &mut orders).await
            }
        };
        shared.note(|observed| {
            observed.connected = false;
            observed.endings.push(ended);
        });
        tokio::time::sleep(settings.pause()).await;
    }
}

/// What a 3.0 node does once per start.
async fn probe(settings: &Settings, connector: &TlsConnector, shared: &Shared) -> FirstContact {
    match Wire::open(settings, connector).await {
        Ok(mut wire) => match wire.probe_for_wrpc(settings).await {
            Ok(head) => {
                let found = head.status() != 404;
                shared.note(|observed| observed.answer = Some(head));
                if found {
                    FirstContact::Wrpc
                } else {
                    FirstContact::V1
                }
            }
            Err(_) => FirstContact::V1,
        },
        Err(_) => FirstContact::V1,
    }
}

/// Notes an attempt to connect and opens the WebSocket; the error says why there is none.
pub(super) async fn attempt(
    settings: &Settings,
    connector: &TlsConnector,
    shared: &Shared,
    target: &str,
    subprotocol: Option<&str>,
    protocol: Protocol,
) -> Result<Wire, String> {
    shared.note(|observed| observed.attempts += 1);
    let mut wire = Wire::open(settings, connector).await?;
    let head = wire.upgrade(settings, target, subprotocol).await?;
    let accepted = wire.takes(settings, &head, subprotocol);
    let status_line = head.status_line.clone();
    shared.note(|observed| observed.answer = Some(head));
    if !accepted {
        return Err(format!("the control plane answered: {status_line}"));
    }
    shared.note(|observed| {
        observed.connected = true;
        observed.connections += 1;
        observed.protocol = Some(protocol);
    });
    Ok(wire)
}
