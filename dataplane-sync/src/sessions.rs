//! What every session has of the process it runs in, whatever its protocol.

use std::sync::Arc;
use std::time::Duration;

use domain::organization::{OrganizationCommand, RuntimeType};
use domain::{Clock, NodeId};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::fleet_events::FleetEvents;
use crate::gatekeeper::Pass;
use crate::native::frames::Applied;
use crate::nodes::NodeRegistry;
use crate::said;

/// What every connection shares.
pub struct Shared {
    /// The log's identity.
    pub log: Uuid,
    /// The registry.
    pub nodes: Arc<NodeRegistry>,
    /// Reports worth keeping.
    pub events: FleetEvents,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long to rest between two pushes of a whole configuration to one instance.
    pub push_rest: Duration,
    /// Ends when the process shall end.
    pub shutdown: CancellationToken,
}

impl Shared {
    /// An instance has been let in: worth keeping for ever, once per node and credential.
    pub(crate) fn admitted(&self, pass: &Pass, node: NodeId, hostname: &str, runtime_type: RuntimeType) {
        let admission = pass.admission;
        let command = OrganizationCommand::AdmitNode {
            group: admission.group,
            node,
            hostname: hostname.to_owned(),
            credential: pass.credential.clone(),
        };
        if admission.first {
            self.events.first_instance(pass, runtime_type);
        }
        self.events.report(pass, command);
    }

    /// An instance has refused a configuration: worth keeping for ever, once per node and digest.
    pub(crate) fn refused(&self, pass: &Pass, node: NodeId, session: u64, refused: Applied, reason: &str) {
        let (admission, reason) = (pass.admission, said::shortened(reason, said::REASON_LIMIT));
        self.nodes
            .refused(admission.group, node, session, refused, &reason);
        let command = OrganizationCommand::RefuseNode {
            group: admission.group,
            node,
            version: refused.version,
            digest: refused.digest,
            reason: reason.clone(),
        };
        if self.events.report(pass, command) {
            tracing::warn!(group = %admission.group, %node, version = refused.version, reason, "instance refused a configuration");
        }
    }
}
