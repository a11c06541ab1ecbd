//! The system: one per installation. The log's identity, its organizations, and the built-in certificate authority.
//!
//! The first start is one guarded first commit here: of two processes starting on an empty log, the loser reads the
//! winner's (DESIGN §4).

pub mod event;

pub use event::SystemEvent;

use imbl::OrdMap;
use uuid::Uuid;

use crate::{Change, Context, OrganizationId, Secret, Timestamp, Version};

/// The system's folded state.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// The newest change's number.
    pub version: Version,
    /// The newest change's time.
    pub at: Timestamp,
    /// The log's identity; none before the first start.
    pub log_id: Option<Uuid>,
    /// Organizations by id, with their names.
    pub organizations: OrdMap<OrganizationId, String>,
    /// The built-in certificate authority.
    pub authority: Option<Authority>,
}

/// The built-in certificate authority, which the data-plane listener's certificate is issued by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS#8 PEM.
    pub key: Secret,
}

/// What can be asked of the system.
#[derive(Clone, Debug)]
pub enum SystemCommand {
    /// The first start.
    Initialize {
        /// The log's new identity.
        log_id: Uuid,
        /// The first organization.
        organization: OrganizationId,
        /// Its name.
        name: String,
        /// The certificate authority, made before the command.
        authority: Authority,
    },
}

/// Why the system refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// Another process was first.
    #[error("the installation exists already: read what it is instead of initializing it again")]
    AlreadyInitialized,
}

/// Decides a command; the answer is the events of one change.
pub fn decide(
    state: &System,
    command: &SystemCommand,
    _context: &Context,
) -> Result<Vec<SystemEvent>, SystemError> {
    let SystemCommand::Initialize {
        log_id,
        organization,
        name,
        authority,
    } = command;
    if state.log_id.is_some() {
        return Err(SystemError::AlreadyInitialized);
    }
    Ok(vec![
        SystemEvent::Initialized { log_id: *log_id },
        SystemEvent::AuthorityCreated {
            authority: authority.clone(),
        },
        SystemEvent::OrganizationRegistered {
            id: *organization,
            name: name.clone(),
        },
    ])
}

impl System {
    /// Folds one change.
    pub fn apply(&mut self, change: &Change<SystemEvent>) {
        self.version = change.version;
        self.at = change.at;
        for event in &change.events {
            evolve(self, event);
        }
    }
}

/// Folds one event.
pub fn evolve(state: &mut System, event: &SystemEvent) {
    match event {
        SystemEvent::Initialized { log_id } => state.log_id = Some(*log_id),
        SystemEvent::AuthorityCreated { authority } => state.authority = Some(authority.clone()),
        SystemEvent::OrganizationRegistered { id, name } => {
            state.organizations.insert(*id, name.clone());
        }
    }
}
