//! The first start: one guarded first commit on the system's boundary, then the organization (DESIGN §4). Of several
//! processes that start on an empty log, the losers read the winner's; one killed between the two commits is finished
//! by the next start.

use std::sync::Arc;

use domain::gateway::{CommandError, Commands};
use domain::organization::{OrganizationCommand, OrganizationError};
use domain::system::{Authority, System, SystemCommand, SystemError};
use domain::token::TokenHash;
use domain::{Cause, OrganizationId};
use uuid::Uuid;

use crate::bus::{CommandBus, Durable};

/// What an installation is made of if this start is its first.
#[derive(Clone, Debug)]
pub struct FirstStart {
    /// The log's identity.
    pub log_id: Uuid,
    /// The organization's id.
    pub organization: OrganizationId,
    /// The organization's name.
    pub name: String,
    /// The built-in certificate authority.
    pub authority: Authority,
    /// The hash of the first admin token.
    pub admin: TokenHash,
}

/// What the installation is, whoever started it first.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The system: log identity, certificate authority.
    pub system: Arc<Durable<System>>,
    /// The organization.
    pub organization: OrganizationId,
    /// Whether the admin token given is one that works here.
    pub admin_accepted: bool,
}

/// Makes the installation if it isn't there, and answers what it is.
pub async fn bootstrap(bus: &CommandBus, first: FirstStart) -> Result<Installation, CommandError> {
    let admin = first.admin;
    let (system, organization, name) = initialized(bus, first).await?;
    let create = OrganizationCommand::Create {
        id: organization,
        name,
        admin,
    };
    if bus.organization_state(organization).await?.state.id.is_none() {
        match bus
            .organization(organization, create, Cause::system("bootstrap"))
            .await
        {
            Ok(_) | Err(CommandError::Organization(OrganizationError::AlreadyCreated)) => {}
            Err(error) => return Err(error),
        }
    }
    let state = bus.organization_state(organization).await?;
    Ok(Installation {
        system,
        organization,
        admin_accepted: state.state.hashes.contains_key(&admin),
    })
}

/// The system after its first commit, with its organization's id and name.
async fn initialized(
    bus: &CommandBus,
    first: FirstStart,
) -> Result<(Arc<Durable<System>>, OrganizationId, String), CommandError> {
    if bus.system_state().await?.state.log_id.is_none() {
        let initialize = SystemCommand::Initialize {
            log_id: first.log_id,
            organization: first.organization,
            name: first.name,
            authority: first.authority,
        };
        match bus.system(initialize, Cause::system("bootstrap")).await {
            Ok(_) | Err(CommandError::System(SystemError::AlreadyInitialized)) => {}
            Err(error) => return Err(error),
        }
    }
    let system = bus.system_state().await?;
    let organization = system.state.organizations.get_min();
    let (id, name) = organization.cloned().ok_or_else(|| {
        CommandError::Unavailable("the system has no organization: restore the log from an export".to_owned())
    })?;
    Ok((system, id, name))
}
