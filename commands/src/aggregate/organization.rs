//! An organization.

use domain::commit::Changes;
use domain::gateway::CommandError;
use domain::organization::{
    Organization, OrganizationCommand, OrganizationEvent, OrganizationOutcome, Subject, decide,
};
use domain::{Actor, Change, Context, Timestamp, Version};

use super::{Aggregate, Decided, Recalled};

/// More than any of its events takes beside a certificate: names, labels and settings have limits of their own.
const EVENT_SIZE: usize = 2 * 1024;

impl Aggregate for Organization {
    type Command = OrganizationCommand;
    type Event = OrganizationEvent;
    type Told = Subject;
    type Outcome = OrganizationOutcome;

    const NAME: &'static str = "organization";
    const WRITER: &'static str = "organization writer";

    fn version(&self) -> Version {
        self.version
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn decide(
        &self,
        command: &OrganizationCommand,
        context: &mut Context,
    ) -> Result<Decided<Self>, CommandError> {
        let decision = decide(self, command, context)?;
        Ok(Decided {
            events: decision.events,
            told: decision.subject,
        })
    }

    fn outcome(&self, told: Subject) -> OrganizationOutcome {
        OrganizationOutcome::of(told, self)
    }

    fn apply(&mut self, change: &Change<OrganizationEvent>) {
        Self::apply(self, change);
    }

    fn recall(&self, actor: &Actor, key: &str) -> Option<Recalled<Self>> {
        let remembered = self.idempotency.recall(actor, key)?;
        let subject = remembered.touched.first().copied().unwrap_or_default();
        Some(Recalled {
            request: remembered.request,
            version: remembered.version,
            at: remembered.at,
            outcome: OrganizationOutcome::of(subject, self),
        })
    }

    fn changes(changes: Changes) -> Option<Vec<Change<OrganizationEvent>>> {
        match changes {
            Changes::Organization(_, changes) => Some(changes),
            _ => None,
        }
    }

    fn size(event: &OrganizationEvent) -> usize {
        match event {
            OrganizationEvent::NodeCertificateAdded { certificate } => {
                EVENT_SIZE + certificate.content.pem.len() + certificate.content.subject.len()
            }
            OrganizationEvent::NodeCertificateRemoved { subject, .. } => EVENT_SIZE + subject.len(),
            _ => EVENT_SIZE,
        }
    }
}
