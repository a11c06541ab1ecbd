//! The system.

use domain::commit::Changes;
use domain::gateway::CommandError;
use domain::system::{System, SystemCommand, SystemEvent, decide};
use domain::{Actor, Change, Context, Timestamp, Version};

use super::{Aggregate, Decided, Recalled};

/// More than any of its events takes beside the certificate that a group claims; the CA's and its key are the largest.
const EVENT_SIZE: usize = 8 * 1024;

impl Aggregate for System {
    type Command = SystemCommand;
    type Event = SystemEvent;
    type Told = ();
    type Outcome = ();

    const NAME: &'static str = "system";
    const WRITER: &'static str = "system writer";

    fn version(&self) -> Version {
        self.version
    }

    fn at(&self) -> Timestamp {
        self.at
    }

    fn decide(&self, command: &SystemCommand, context: &mut Context) -> Result<Decided<Self>, CommandError> {
        let events = decide(self, command, context)?;
        Ok(Decided { events, told: () })
    }

    fn outcome(&self, (): ()) {}

    fn apply(&mut self, change: &Change<SystemEvent>) {
        Self::apply(self, change);
    }

    /// Nobody outside the program commands the system, so it remembers no keys.
    fn recall(&self, _actor: &Actor, _key: &str) -> Option<Recalled<Self>> {
        None
    }

    fn changes(changes: Changes) -> Option<Vec<Change<SystemEvent>>> {
        match changes {
            Changes::System(changes) => Some(changes),
            _ => None,
        }
    }

    fn size(event: &SystemEvent) -> usize {
        let claimed = match event {
            SystemEvent::CertificateClaimed { certificate, .. } => certificate.as_ref(),
            _ => None,
        };
        EVENT_SIZE + claimed.map_or(0, |certificate| certificate.der().len())
    }
}
