//! Commands from requests: who and why travel along, and what an organization's change makes stale is forgotten.

use commands::bus::DryRun;
use domain::Cause;
use domain::gateway::{Accepted, CommandError, Commands as _};
use domain::group::decide::{OperationResult, Outcome};
use domain::group::{GroupCommand, GroupError, Operation};
use domain::organization::{OrganizationCommand, OrganizationOutcome};
use domain::{EntityId, Kind};
use projections::{ChangeDetail, EventDetail};

use super::endpoint::{Parameter, header};
use super::exchange::Exchange;
use super::refusal::Refusal;

/// The headers every change reads.
pub(crate) const WRITE_HEADERS: [Parameter; 4] = [
    header(
        "If-Match",
        "change only if it was last touched by this version: its ETag",
    ),
    header("If-None-Match", "*: create only"),
    header(
        "Idempotency-Key",
        "repeat the request with the same key to learn its outcome; kept 24 h",
    ),
    header("X-Change-Message", "why; recorded with the change"),
];

impl Exchange {
    /// A request about one entity, to the group in the path. The caller knows nothing of its steps, so a refusal doesn't
    /// number them.
    pub(crate) async fn change_entities(&self, steps: Vec<Operation>) -> Result<Accepted<Outcome>, Refusal> {
        let command = GroupCommand::Operate {
            operations: steps,
            expected_version: None,
        };
        let decided = self.send(command, None).await?;
        decided.map_err(|error| match error {
            CommandError::Group(GroupError::InOperation { error, .. }) => (*error).into(),
            error => error.into(),
        })
    }

    /// A command to the group in the path.
    pub(crate) async fn change_group(&self, command: GroupCommand) -> Result<Accepted<Outcome>, Refusal> {
        self.change_group_because(command, None).await
    }

    /// The same with a reason, which counts where the header gives none.
    pub(crate) async fn change_group_because(
        &self,
        command: GroupCommand,
        reason: Option<String>,
    ) -> Result<Accepted<Outcome>, Refusal> {
        Ok(self.send(command, reason).await??)
    }

    /// The same, where the command's own refusal is still to be put into words.
    pub(crate) async fn send(
        &self,
        command: GroupCommand,
        reason: Option<String>,
    ) -> Result<Result<Accepted<Outcome>, CommandError>, Refusal> {
        let (organization, group) = self.place()?;
        let cause = self.cause()?;
        let cause = Cause {
            reason: cause.reason.or(reason),
            ..cause
        };
        if cause.reason.iter().any(|reason| reason.contains('\0')) {
            let why = "must not contain the character NUL";
            return Err(Refusal::invalid("message", "characters", why));
        }
        let decided = self.services.commands.group(organization, group, command, cause);
        Ok(decided.await)
    }

    /// Tells a repeated request's results as they were then, from the history.
    pub(crate) async fn recall_bodies(&self, accepted: &mut Accepted<Outcome>) -> Result<(), Refusal> {
        if !accepted.replayed {
            return Ok(());
        }
        let group = self.group()?.id;
        let reads = self.reads();
        reads.caught_up_to(accepted.position).await?;
        let recorded = reads.change(group, accepted.version).await?;
        accepted.outcome.results = recorded.map(results_of).unwrap_or_default();
        Ok(())
    }

    /// What a command to the group in the path would do; nothing is changed.
    pub(crate) async fn try_group(
        &self,
        command: &GroupCommand,
    ) -> Result<Result<DryRun, CommandError>, Refusal> {
        let (organization, group) = self.place()?;
        let decided = self.services.commands.dry_run(organization, group, command);
        Ok(decided.await)
    }

    /// A command to the caller's organization.
    pub(crate) async fn change_organization(
        &self,
        command: OrganizationCommand,
    ) -> Result<Accepted<OrganizationOutcome>, Refusal> {
        let organization = self.caller()?.organization;
        let cause = self.cause()?;
        let accepted = self
            .services
            .commands
            .organization(organization, command, cause)
            .await;
        // Even a refused or unknown outcome says that what is remembered may be old.
        self.services.access.forget();
        Ok(accepted?)
    }
}

/// What a recorded change left of each entity it touched, in order of first touch.
fn results_of(change: ChangeDetail) -> Vec<OperationResult> {
    let told = change.events.into_iter().filter(|event| !event.summary.repeated);
    let result = |event: EventDetail| {
        Some(OperationResult {
            kind: Kind::named(event.summary.kind.as_deref()?)?,
            id: EntityId(event.summary.id?),
            created: event.before.is_none(),
            entity: event.after,
        })
    };
    told.filter_map(result).collect()
}
