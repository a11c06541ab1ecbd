//! A data plane's connection as the registry hears of it, whatever protocol it speaks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use domain::NodeId;
use domain::compatibility::Level;
use domain::organization::RuntimeType;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::levels::Offered;
use super::node::{Compatibility, KongNode, NodeCertificate, Withheld};
use crate::fleet_budget::TooManyNewNodes;
use crate::gatekeeper::Pass;
use crate::native::frames::Applied;
use crate::node_record::Protocol;
use crate::nodes::{Arrival, Introduction};
use crate::said;
use crate::sessions::Shared;
use crate::unwritten_records::Urgency;

/// What a node says of itself, as far as every protocol has it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Its id.
    pub(crate) node: NodeId,
    /// Its host's name.
    pub(crate) hostname: String,
    /// Its version, as it says.
    pub(crate) version: String,
}

/// A connected data plane.
pub(crate) struct Presence {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pass: Pass,
    pub(crate) address: SocketAddr,
    /// The session's number.
    pub(crate) number: u64,
    pub(crate) identity: Identity,
    pub(crate) protocol: Protocol,
    /// Ends when the connection must.
    pub(crate) interrupted: CancellationToken,
}

impl Presence {
    /// It has introduced itself.
    ///
    /// # Errors
    /// [`TooManyNewNodes`] where it isn't taken.
    pub(crate) async fn arrived(
        &self,
        labels: BTreeMap<String, String>,
        kong: KongNode,
    ) -> Result<(), TooManyNewNodes> {
        let account = self.pass.account();
        let certificate = self
            .pass
            .certificate
            .map(|shown| NodeCertificate::new(shown.listed, shown.fingerprint, shown.expires_at));
        let arrival = Arrival {
            group: self.pass.admission.group,
            session: self.number,
            introduction: Introduction {
                node: self.identity.node,
                hostname: self.identity.hostname.clone(),
                version: self.identity.version.clone(),
                labels,
                protocol: self.protocol,
                kong: Some(Box::new(KongNode { certificate, ..kong })),
            },
            address: self.address,
            credential: &self.pass.credential,
            account: &account,
            connection: self.interrupted.clone(),
        };
        self.shared.nodes.arrived(arrival).await?;
        let Identity {
            node,
            hostname,
            version,
        } = &self.identity;
        tracing::info!(group = %self.pass.admission.group, %node, version, session = self.number, address = %self.address, "data plane connected");
        self.shared
            .admitted(&self.pass, *node, hostname, RuntimeType::KongGateway);
        Ok(())
    }

    /// It is served as one that can take this.
    pub(crate) fn served(&self, level: &Arc<Level>) {
        let (group, node) = (self.pass.admission.group, self.identity.node);
        self.shared.nodes.served(group, node, self.number, level.clone());
    }

    /// It is offered this, which it will call so when it has it.
    pub(crate) fn offered(&self, offered: &Offered, hash: Option<Arc<str>>) {
        self.update(Urgency::Whenever, |kong| {
            kong.findings = offered.findings.clone();
            match &offered.frame {
                Ok(_) => {
                    kong.expected_hash = hash;
                    kong.compatibility = Compatibility::Normal;
                    kong.withheld = None;
                }
                Err((incompatibility, reason)) => {
                    kong.expected_hash = None;
                    kong.compatibility = (*incompatibility).into();
                    kong.withheld = Some(Withheld {
                        version: offered.applied.version,
                        reason: reason.clone(),
                    });
                }
            }
        });
        if offered.frame.is_err() {
            self.shared.nodes.hindered(self.pass.admission.group);
        }
    }

    /// It isn't sent what it is offered, for this reason.
    pub(crate) fn withheld(&self, offered: &Offered, reason: String) {
        tracing::warn!(group = %self.pass.admission.group, node = %self.identity.node, reason, "a configuration isn't sent to a data plane");
        self.update(Urgency::Now, |kong| {
            kong.compatibility = Compatibility::ConfigurationIncompatible;
            kong.withheld = Some(Withheld {
                version: offered.applied.version,
                reason,
            });
        });
        self.shared.nodes.hindered(self.pass.admission.group);
    }

    /// It is there, and has the configuration with this hash: this one, where that is known.
    pub(crate) fn has(&self, hash: &str, applied: Option<Applied>) {
        let (group, node) = (self.pass.admission.group, self.identity.node);
        let nodes = &self.shared.nodes;
        nodes.returned(group, node, self.number, &self.interrupted);
        self.update(Urgency::Whenever, |kong| {
            if kong.config_hash != hash {
                hash.clone_into(&mut kong.config_hash);
            }
        });
        match applied {
            Some(applied) => nodes.runs(group, node, self.number, applied),
            None => nodes.heard(group, node, self.number),
        }
    }

    /// It was sent this and doesn't run it.
    pub(crate) fn refused(&self, refused: Applied, reason: &str) {
        self.shared
            .refused(&self.pass, self.identity.node, self.number, refused, reason);
    }

    /// It said what is wrong.
    pub(crate) fn failed(&self, error: Value) {
        let error = said::error(error);
        tracing::warn!(group = %self.pass.admission.group, node = %self.identity.node, %error, "a data plane reports an error");
        self.update(Urgency::Now, |kong| kong.failed(error));
    }

    /// It has gone.
    pub(crate) fn left(&self, reason: Option<String>) {
        let (group, node) = (self.pass.admission.group, self.identity.node);
        tracing::info!(%group, %node, session = self.number, reason, "data plane disconnected");
        self.shared.nodes.left(group, node, self.number, reason);
    }

    /// Why the connection must end although nobody said anything on it.
    pub(crate) fn interruption(&self) -> &'static str {
        if self.shared.shutdown.is_cancelled() {
            "the control plane is shutting down"
        } else if self.pass.withdrawn.is_cancelled() {
            "the certificate or its runtime group doesn't admit this instance any more"
        } else {
            "a newer connection of the same node id has replaced this one"
        }
    }

    fn update(&self, urgency: Urgency, change: impl FnOnce(&mut KongNode)) {
        let (group, node) = (self.pass.admission.group, self.identity.node);
        self.shared.nodes.kong(group, node, self.number, urgency, change);
    }
}
