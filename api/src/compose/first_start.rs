//! The first start: the installation's identity, certificate authority, organization and admin token (DESIGN §4, §8).
//!
//! The token's file is durable before the commit that makes it valid: a crash anywhere leaves a token that the next start makes
//! valid, or none that anybody was told of.

use anyhow::Context;
use commands::bootstrap::{self, FirstStart, Installation};
use commands::bus::CommandBus;
use commands::entropy;
use domain::token::{self, Role};
use domain::{Clock, OrganizationId, Secret};
use tracing::warn;
use uuid::{Builder, Uuid};

use super::authority;
use super::data_directory::DataDirectory;

/// The admin token's file in the data directory.
pub const ADMIN_TOKEN_FILE: &str = "admin.token";
/// The certificate authority's certificate in the data directory.
pub const AUTHORITY_FILE: &str = "ca.pem";
/// The first organization's name.
const ORGANIZATION: &str = "default";

/// Makes the installation if it isn't there. The admin token comes back if this start has made it valid.
pub async fn run(
    directory: &DataDirectory,
    bus: &CommandBus,
    clock: &dyn Clock,
) -> anyhow::Result<(Installation, Option<Secret>)> {
    let first = !is_complete(bus).await?;
    let admin = if first {
        written_token(directory)?
    } else {
        fresh_token()
    };
    let installation = bootstrap::bootstrap(
        bus,
        FirstStart {
            log_id: fresh_id(),
            organization: OrganizationId(fresh_id()),
            name: ORGANIZATION.to_owned(),
            authority: authority::create(clock.now())?,
            admin: token::hash(admin.expose()),
        },
    )
    .await
    .context("the installation can't be read or made")?;
    if first && !installation.admin_accepted {
        warn!("another process made this installation; its data directory has the admin token");
        directory.remove(ADMIN_TOKEN_FILE)?;
    }
    if let Some(authority) = &installation.system.state.authority {
        directory.write_durably(AUTHORITY_FILE, &authority.certificate, false)?;
    }
    let made = first && installation.admin_accepted;
    Ok((installation, made.then_some(admin)))
}

/// Whether system and organization are there, so that nobody needs a first token.
async fn is_complete(bus: &CommandBus) -> anyhow::Result<bool> {
    let system = bus.system_state().await?;
    let Some(organization) = system.state.organizations.keys().next() else {
        return Ok(false);
    };
    let organization = bus.organization_state(*organization).await?;
    Ok(organization.state.id.is_some())
}

/// The token of a first start that a crash cut short, or a new one, in its file.
fn written_token(directory: &DataDirectory) -> anyhow::Result<Secret> {
    if let Some(text) = directory.read(ADMIN_TOKEN_FILE)? {
        let text = text.trim();
        if token::read(text).is_ok() {
            return Ok(Secret::new(text.to_owned()));
        }
    }
    let token = fresh_token();
    directory.write_durably(ADMIN_TOKEN_FILE, &format!("{}\n", token.expose()), true)?;
    Ok(token)
}

fn fresh_token() -> Secret {
    token::write(Role::Admin, entropy::seed())
}

fn fresh_id() -> Uuid {
    let mut bytes = [0; 16];
    entropy::fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use commands::bus;
    use commands::keyring::{MasterKey, MemoryKeyring, MemoryPages};
    use commands::log::MemoryLog;
    use commands::sandbox::{ProcessSandbox, Program};
    use commands::tasks::Tasks;

    use super::*;
    use crate::clock::SystemClock;

    async fn empty_bus() -> CommandBus {
        let keyring = MemoryKeyring::open(MemoryPages::default(), MasterKey::generate());
        CommandBus::new(bus::Options {
            log: Arc::new(MemoryLog::new()),
            keyring: Arc::new(keyring.await.unwrap()),
            states: None,
            follower: None,
            clock: Arc::new(SystemClock),
            spawner: Arc::new(Tasks::default()),
            sandbox: Arc::new(ProcessSandbox::new(Program::this())),
            deadline: bus::DEADLINE,
            group_retention: None,
        })
    }

    #[tokio::test]
    async fn the_first_start_makes_a_token_and_later_ones_make_none() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDirectory::create_and_lock(&home.path().join("data")).unwrap();
        let bus = empty_bus().await;

        let (installation, admin) = run(&directory, &bus, &SystemClock).await.unwrap();
        let admin = admin.unwrap();
        let written = directory.read(ADMIN_TOKEN_FILE).unwrap().unwrap();
        assert_eq!(written.trim(), admin.expose());
        assert!(installation.admin_accepted);
        assert!(directory.read(AUTHORITY_FILE).unwrap().is_some());

        directory.remove(ADMIN_TOKEN_FILE).unwrap();
        let (again, admin) = run(&directory, &bus, &SystemClock).await.unwrap();
        assert!(admin.is_none());
        assert_eq!(again.organization, installation.organization);
        assert_eq!(directory.read(ADMIN_TOKEN_FILE).unwrap(), None);
    }

    #[tokio::test]
    async fn a_token_written_before_a_crash_is_the_one_that_the_next_start_makes_valid() {
        let home = tempfile::tempdir().unwrap();
        let directory = DataDirectory::create_and_lock(&home.path().join("data")).unwrap();
        let promised = written_token(&directory).unwrap();

        let (_, admin) = run(&directory, &empty_bus().await, &SystemClock).await.unwrap();

        assert_eq!(admin.unwrap().expose(), promised.expose());
    }
}
