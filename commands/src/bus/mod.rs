//! The command bus: the one way to change anything (DESIGN §5). A command goes to its boundary's writer and its answer
//! comes back when it is durable.
//!
//! [`mailboxes`] finds or starts the writer; [`deletion`] is the order of the two boundaries in which a group is
//! deleted and restored, [`certificates`] that in which instances' certificates come and go, [`erasure`] that of log and keyring
//! in which a consumer is erased and a group purged; [`hashed`] are slow secrets before a writer sees them.

mod certificates;
mod deletion;
pub(crate) mod erasure;
mod hashed;
mod mailboxes;

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::follower::Follower;
use domain::gateway::{Accepted, CommandError, Commands};
use domain::group::{Decision, Group, GroupCommand, GroupError, Outcome, hashing, rehearse};
use domain::organization::{Organization, OrganizationCommand, OrganizationOutcome};
use domain::sandbox::{Sandbox, with_judgements};
use domain::state_store::StateStore;
use domain::system::{System, SystemCommand};
use domain::{
    Boundary, Cause, Clock, Context, EventLog, GroupId, Keyring, OrganizationId, Position, Spawner,
    Timestamp, Version,
};

use self::certificates::Addition;
use self::mailboxes::Mailboxes;
use crate::aggregate::JudgedCommand;
use crate::entropy;
use crate::reactors::Watchlist;
pub use crate::writer::Durable;
use crate::writer::{LargeCommits, Surroundings};

/// How long a caller waits for a definite answer unless told otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// What a command bus works with.
pub struct Options {
    /// Where changes become durable.
    pub log: Arc<dyn EventLog>,
    /// The keys that seal their secrets.
    pub keyring: Arc<dyn Keyring>,
    /// Where folded states are kept for a fast start; none has every writer fold its boundary's whole log.
    pub states: Option<Arc<dyn StateStore>>,
    /// The views, which large commits leave time for; none where nobody waits for them.
    pub follower: Option<Arc<dyn Follower>>,
    /// The time of changes.
    pub clock: Arc<dyn Clock>,
    /// Runs the writers.
    pub spawner: Arc<dyn Spawner>,
    /// Where functions of uploaded schemas judge values.
    pub sandbox: Arc<dyn Sandbox>,
    /// How long a caller waits for a definite answer; [`DEADLINE`] for most.
    pub deadline: Duration,
    /// How long after its deletion a group is purged by itself; none: never.
    pub group_retention: Option<Duration>,
}

/// The command bus. Clones share their writers.
#[derive(Clone)]
pub struct CommandBus {
    pub(crate) inner: Arc<Inner>,
}

/// What clones of a bus share.
pub(crate) struct Inner {
    pub(crate) surroundings: Arc<Surroundings>,
    sandbox: Arc<dyn Sandbox>,
    pub(crate) deadline: Duration,
    pub(crate) group_retention: Option<Duration>,
    system: Mailboxes<System>,
    organizations: Mailboxes<Organization>,
    groups: Mailboxes<Group>,
}

/// What a command to a group would do, decided on its durable state and stored nowhere.
#[derive(Clone, Debug)]
pub struct DryRun {
    /// The version it was decided on.
    pub version: Version,
    /// The time it was decided for.
    pub at: Timestamp,
    /// The boundary's newest commit in that state.
    pub position: Position,
    /// What would happen; no events mean "already so". Of operations, without those that would be refused.
    pub decision: Decision,
    /// The operations that would be refused, each by its number from 0; one is enough to refuse the command.
    pub refused: Vec<(usize, GroupError)>,
    /// The group as it is.
    pub before: Group,
    /// The group as it would be.
    pub after: Group,
}

impl CommandBus {
    /// A bus over these; nothing is read before the first command.
    pub fn new(options: Options) -> Self {
        let surroundings = Arc::new(Surroundings {
            log: options.log,
            keyring: options.keyring,
            states: options.states,
            clock: options.clock,
            spawner: options.spawner,
            watchlist: Arc::new(Watchlist::default()),
            large_commits: LargeCommits::new(options.follower),
        });
        let deadline = options.deadline;
        Self {
            inner: Arc::new(Inner {
                system: Mailboxes::new(Arc::clone(&surroundings), deadline),
                organizations: Mailboxes::new(Arc::clone(&surroundings), deadline),
                groups: Mailboxes::new(Arc::clone(&surroundings), deadline),
                surroundings,
                sandbox: options.sandbox,
                deadline,
                group_retention: options.group_retention,
            }),
        }
    }

    /// Where uploaded schemas are evaluated.
    pub fn sandbox(&self) -> &dyn Sandbox {
        &*self.inner.sandbox
    }

    /// A command to the system.
    pub async fn system(&self, command: SystemCommand, cause: Cause) -> Result<Accepted<()>, CommandError> {
        self.inner.system.command(Boundary::System, command, cause).await
    }

    /// The system with everything that is durable now.
    pub async fn system_state(&self) -> Result<Arc<Durable<System>>, CommandError> {
        self.inner.system.fresh(Boundary::System).await
    }

    /// An organization with everything that is durable now.
    pub async fn organization_state(
        &self,
        organization: OrganizationId,
    ) -> Result<Arc<Durable<Organization>>, CommandError> {
        let boundary = Boundary::Organization(organization);
        self.inner.organizations.fresh(boundary).await
    }

    /// A group with everything that is durable now.
    pub async fn group_state(&self, group: GroupId) -> Result<Arc<Durable<Group>>, CommandError> {
        self.inner.groups.fresh(Boundary::Group(group)).await
    }

    /// The boundary's newest commit that this process knows to be durable: every command answered here is at or before
    /// it. None if no writer of the boundary is awake; the log knows then.
    pub fn position(&self, boundary: Boundary) -> Option<Position> {
        match boundary {
            Boundary::System => self.inner.system.published(boundary).map(|known| known.position),
            Boundary::Organization(_) => {
                let known = self.inner.organizations.published(boundary);
                known.map(|known| known.position)
            }
            Boundary::Group(_) => self.inner.groups.published(boundary).map(|known| known.position),
        }
    }

    /// What a command to a group would do now.
    pub async fn dry_run(
        &self,
        organization: OrganizationId,
        group: GroupId,
        command: &GroupCommand,
    ) -> Result<DryRun, CommandError> {
        self.check_group(organization, group).await?;
        let hashed = match hashing::is_needed(command) {
            true => Some(self.hashed(group, command.clone()).await?),
            false => None,
        };
        let command = hashed.as_ref().unwrap_or(command);
        let durable = self.group_state(group).await?;
        let (at, seed) = (self.inner.surroundings.clock.now(), entropy::seed());
        let rehearsal = with_judgements(self.sandbox(), group, |judgements| {
            let mut context = Context::new(at, seed).knowing(judgements);
            ready(rehearse(&durable.state, command, &mut context).map_err(CommandError::from))
        });
        let rehearsal = rehearsal.await?;
        Ok(DryRun {
            version: durable.state.version,
            at,
            position: durable.position,
            decision: rehearsal.decision,
            refused: rehearsal.refused,
            before: durable.state.clone(),
            after: rehearsal.outcome,
        })
    }

    /// Refuses a group that the organization doesn't have; one that isn't known is looked up once more in the log.
    async fn check_group(&self, organization: OrganizationId, group: GroupId) -> Result<(), CommandError> {
        let boundary = Boundary::Organization(organization);
        let known = self.inner.organizations.known(boundary).await?;
        if known.state.group(group).is_some() {
            return Ok(());
        }
        let fresh = self.inner.organizations.fresh(boundary).await?;
        match fresh.state.group(group) {
            Some(_) => Ok(()),
            None => Err(CommandError::NoSuchGroup),
        }
    }

    /// A command to a group, whatever its organization says about it.
    pub(crate) async fn to_group(
        &self,
        group: GroupId,
        command: GroupCommand,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        let (boundary, command, seed) = (Boundary::Group(group), Arc::new(command), entropy::seed());
        with_judgements(self.sandbox(), group, |judgements| {
            let command = JudgedCommand {
                command: Arc::clone(&command),
                judgements,
                seed,
            };
            self.inner.groups.command(boundary, command, cause.clone())
        })
        .await
    }

    /// A command to an organization and to nobody else.
    pub(crate) async fn to_organization(
        &self,
        organization: OrganizationId,
        command: OrganizationCommand,
        cause: Cause,
    ) -> Result<Accepted<OrganizationOutcome>, CommandError> {
        let boundary = Boundary::Organization(organization);
        self.inner.organizations.command(boundary, command, cause).await
    }
}

#[async_trait]
impl Commands for CommandBus {
    async fn group(
        &self,
        organization: OrganizationId,
        group: GroupId,
        command: GroupCommand,
        cause: Cause,
    ) -> Result<Accepted<Outcome>, CommandError> {
        self.check_group(organization, group).await?;
        match command {
            GroupCommand::EraseConsumer { consumer, condition } => {
                self.erase_consumer(group, consumer, condition, cause).await
            }
            command => {
                let command = self.hashed(group, command).await?;
                self.to_group(group, command, cause).await
            }
        }
    }

    async fn organization(
        &self,
        organization: OrganizationId,
        command: OrganizationCommand,
        cause: Cause,
    ) -> Result<Accepted<OrganizationOutcome>, CommandError> {
        match command {
            OrganizationCommand::DeleteGroup { group, expected } => {
                self.delete_group(organization, group, expected, cause).await
            }
            OrganizationCommand::RestoreGroup { group, name, .. } => {
                self.restore_group(organization, group, name, cause).await
            }
            OrganizationCommand::PurgeGroup { group, expected } => {
                self.purge_group(organization, group, expected, cause).await
            }
            OrganizationCommand::AddNodeCertificate {
                group,
                pem,
                name,
                possession,
            } => {
                let addition = Addition {
                    pem,
                    name,
                    possession,
                };
                self.add_node_certificate(organization, group, addition, cause)
                    .await
            }
            OrganizationCommand::RemoveNodeCertificate { group, certificate } => {
                self.remove_node_certificate(organization, group, certificate, cause)
                    .await
            }
            command => self.to_organization(organization, command, cause).await,
        }
    }
}
