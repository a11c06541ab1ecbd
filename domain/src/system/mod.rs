//! The system: one per installation. The log's identity, its organizations, the built-in certificate authority, and
//! which group of the installation each instance's certificate belongs to.
//!
//! [`certificate_claim`] decides whose a certificate is, [`possession`] whether who adds it holds its private key.
//!
//! The first start is one guarded first commit here: of two processes starting on an empty log, the loser reads the
//! winner's (DESIGN §4).

pub mod certificate_claim;
mod claimed_certificate;
pub mod event;
pub mod possession;

pub use certificate_claim::{CertificateClaim, GroupOfOrganization, Wanted};
pub use claimed_certificate::ClaimedCertificate;
pub use event::SystemEvent;
pub use possession::{Possession, SignedChallenge, Unproven};

use imbl::{HashMap, OrdMap};
use uuid::Uuid;

use crate::fingerprint::Fingerprint;
use crate::{Change, Context, OrganizationId, Secret, Timestamp, Version};

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
    ClaimCertificate(Wanted),
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
    /// It isn't shown that whoever adds the certificate holds its private key.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The certificate meets what another group has. Nobody is told whose it is.
    #[error(
        "this certificate belongs to another runtime group, has a key that does, or stands above or below one that does: an instance belongs to one group, so use another certificate, or remove the other one there first"
    )]
    CertificateTaken,
    /// The certificate is the installation's own.
    #[error(
        "this is the installation's built-in CA, or an authority above or below it, which issues certificates for every runtime group: use another CA, or issue a certificate for this group"
    )]
    BuiltInAuthority,
}

/// Decides a command; the answer is the events of one change.
pub fn decide(
    state: &System,
    command: &SystemCommand,
    context: &Context,
) -> Result<Vec<SystemEvent>, SystemError> {
    match command {
        SystemCommand::Initialize { .. } => initialize(state, command),
        SystemCommand::ClaimCertificate(wanted) => certificate_claim::claim(state, wanted, context.at),
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
        SystemEvent::CertificateClaimed {
            fingerprint,
            by,
            certificate,
        } => {
            let claim = CertificateClaim {
                by: *by,
                at: state.clock,
                certificate: certificate.clone(),
            };
            state.certificates.insert(*fingerprint, claim);
        }
        SystemEvent::CertificateReleased { fingerprint, .. } => {
            state.certificates.remove(fingerprint);
        }
    }
}
