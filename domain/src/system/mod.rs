//! The system: one per installation. The log's identity, its organizations, the built-in certificate authority, and
//! which group of the installation each instance's certificate belongs to.
//!
//! The first start is one guarded first commit here: of two processes starting on an empty log, the loser reads the
//! winner's (DESIGN §4).

pub mod certificate_claim;
pub mod event;

pub use certificate_claim::{CertificateClaim, GroupOfOrganization};
pub use event::SystemEvent;

use imbl::{HashMap, OrdMap};
use uuid::Uuid;

use crate::fingerprint::Fingerprint;
use crate::{Change, Context, GroupId, OrganizationId, Secret, Timestamp, Version};

/// The system's folded state.
#[derive(Clone, Debug, Default)]
pub struct System {
    /// The newest change's number.
    pub version: Version,
    /// The newest change's time in the order of changes.
    pub at: Timestamp,
    /// The newest change's time by the clock.
    pub clock: Timestamp,
    /// The log's identity; none before the first start.
    pub log_id: Option<Uuid>,
    /// Organizations by id, with their names.
    pub organizations: OrdMap<OrganizationId, String>,
    /// The built-in certificate authority.
    pub authority: Option<Authority>,
    /// The groups that certificates belong to.
    pub certificates: HashMap<Fingerprint, CertificateClaim>,
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
    /// A certificate belongs to a group from now on.
    ClaimCertificate {
        /// The certificate.
        fingerprint: Fingerprint,
        /// The group.
        by: GroupOfOrganization,
        /// Whose it may be taken from: a group that was found to be deleted.
        from: Option<GroupOfOrganization>,
    },
    /// A certificate belongs to its group no more.
    ReleaseCertificate {
        /// The certificate.
        fingerprint: Fingerprint,
        /// The group; another one's claim stays.
        by: GroupOfOrganization,
    },
}

/// Why the system refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// Another process was first.
    #[error("the installation exists already: read what it is instead of initializing it again")]
    AlreadyInitialized,
    /// The certificate belongs to another group of the installation; another organization's isn't named.
    #[error(
        "this certificate belongs to another runtime group{}: a certificate opens one group, so use another certificate or remove it there first",
        .holder.map(|holder| format!(" ({holder})")).unwrap_or_default()
    )]
    CertificateTaken {
        /// The group, if it is of the same organization.
        holder: Option<GroupId>,
    },
    /// The certificate is the installation's own.
    #[error(
        "this is the installation's built-in CA, which issues certificates for every runtime group: use another CA, or issue a certificate for this group"
    )]
    BuiltInAuthority,
}

/// Decides a command; the answer is the events of one change.
pub fn decide(
    state: &System,
    command: &SystemCommand,
    _context: &Context,
) -> Result<Vec<SystemEvent>, SystemError> {
    match command {
        SystemCommand::Initialize { .. } => initialize(state, command),
        SystemCommand::ClaimCertificate {
            fingerprint,
            by,
            from,
        } => certificate_claim::claim(state, *fingerprint, *by, *from),
        SystemCommand::ReleaseCertificate { fingerprint, by } => {
            Ok(certificate_claim::release(state, *fingerprint, *by))
        }
    }
}

fn initialize(state: &System, command: &SystemCommand) -> Result<Vec<SystemEvent>, SystemError> {
    let SystemCommand::Initialize {
        log_id,
        organization,
        name,
        authority,
    } = command
    else {
        return Ok(Vec::new());
    };
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
        (self.at, self.clock) = (change.at, change.clock);
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
        SystemEvent::CertificateClaimed { fingerprint, by } => {
            let claim = CertificateClaim {
                by: *by,
                at: state.clock,
            };
            state.certificates.insert(*fingerprint, claim);
        }
        SystemEvent::CertificateReleased { fingerprint, .. } => {
            state.certificates.remove(fingerprint);
        }
    }
}
