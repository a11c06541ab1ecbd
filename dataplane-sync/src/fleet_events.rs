//! What instances do that is worth keeping for ever (DESIGN §7): the first admission of a node with a credential, a
//! refusal, the type of a group's first instance. Reported through the command gateway, off the sessions' path.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::gateway::{CommandError, SharedCommands};
use domain::organization::{OrganizationCommand, RuntimeType};
use domain::{Cause, Digest, GroupId, NodeId, OrganizationId};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How many reports are on their way at once: they share commits.
const AT_ONCE: usize = 64;
/// How long the gateway is left alone when it takes nothing.
const RETRY: Duration = Duration::from_secs(1);
/// How many reports are remembered as made; the organization knows them all anyway.
const REMEMBERED: usize = 100_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Subject {
    Type(GroupId),
    Admission(GroupId, NodeId, String),
    Refusal(GroupId, NodeId, Digest),
}

/// A report on its way.
struct Report {
    subject: Subject,
    organization: OrganizationId,
    command: OrganizationCommand,
    denied: CancellationToken,
}

/// Takes reports.
#[derive(Clone)]
pub struct FleetEvents {
    reports: mpsc::UnboundedSender<Report>,
}

impl FleetEvents {
    /// The reporter, and the task that hands its reports to the gateway until the process ends.
    pub fn new(
        commands: SharedCommands,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (reports, queue) = mpsc::unbounded_channel();
        (Self { reports }, hand_over(queue, commands, shutdown))
    }

    /// Reports; `denied` ends if the organization says that the group's instances are of another type.
    pub fn report(
        &self,
        organization: OrganizationId,
        command: OrganizationCommand,
        denied: &CancellationToken,
    ) {
        let Some(subject) = subject(&command) else {
            return;
        };
        let report = Report {
            subject,
            organization,
            command,
            denied: denied.clone(),
        };
        // The task that takes reports ends only with the process.
        drop(self.reports.send(report));
    }

    /// The group's first instance is of this type.
    pub fn first_instance(
        &self,
        organization: OrganizationId,
        group: GroupId,
        runtime_type: RuntimeType,
        denied: &CancellationToken,
    ) {
        let command = OrganizationCommand::SetRuntimeType {
            group,
            runtime_type,
            replace: false,
        };
        self.report(organization, command, denied);
    }
}

fn subject(command: &OrganizationCommand) -> Option<Subject> {
    match command {
        OrganizationCommand::SetRuntimeType { group, .. } => Some(Subject::Type(*group)),
        OrganizationCommand::AdmitNode {
            group,
            node,
            credential,
            ..
        } => Some(Subject::Admission(*group, *node, credential.clone())),
        OrganizationCommand::RefuseNode {
            group, node, digest, ..
        } => Some(Subject::Refusal(*group, *node, *digest)),
        _ => None,
    }
}

async fn hand_over(
    queue: mpsc::UnboundedReceiver<Report>,
    commands: SharedCommands,
    shutdown: CancellationToken,
) {
    let mut made = HashSet::new();
    let reports = futures::stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
    let new = reports.filter(|report| {
        if made.len() >= REMEMBERED {
            made.clear();
        }
        // A group's type is asked for each time: the answer may be a refusal.
        let wanted = matches!(report.subject, Subject::Type(_)) || made.insert(report.subject.clone());
        std::future::ready(wanted)
    });
    let all = new.for_each_concurrent(AT_ONCE, |report| hand_over_one(report, commands.clone()));
    tokio::select! {
        () = all => (),
        () = shutdown.cancelled() => (),
    }
}

async fn hand_over_one(report: Report, commands: Arc<dyn domain::gateway::Commands>) {
    loop {
        let cause = Cause::system("dataplane-sync");
        let answer = commands
            .organization(report.organization, report.command.clone(), cause)
            .await;
        match answer {
            Ok(_) => return,
            Err(CommandError::OutcomeUnknown | CommandError::LogFull(_) | CommandError::Unavailable(_)) => {
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                tracing::warn!(%error, subject = ?report.subject, "what an instance reported was refused");
                if matches!(report.subject, Subject::Type(_)) {
                    report.denied.cancel();
                }
                return;
            }
        }
    }
}
