//! What instances do that is worth keeping for ever (DESIGN §7): the first admission of a node with a credential, a
//! refusal, the type of a group's first instance. Reported through the command gateway, off the sessions' path.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::gateway::{CommandError, SharedCommands};
use domain::organization::{OrganizationCommand, RuntimeType};
use domain::{Cause, Digest, GroupId, NodeId, OrganizationId};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fleet_budget::{Expense, FleetBudget};
use crate::gatekeeper::Pass;

/// How many reports are on their way at once: they share commits.
const AT_ONCE: usize = 64;
/// How long the gateway is left alone when it takes nothing.
const RETRY: Duration = Duration::from_secs(1);
/// How many reports are remembered as made; the organization knows them all anyway.
const REMEMBERED: usize = 100_000;

/// How many reports may wait: beyond that, what may be lost is counted instead.
const WAITING: usize = 20_000;

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
    /// Whose budget an event of it is at the cost of, and what it is there; none for what must not be lost.
    cost: Option<(String, Expense)>,
    denied: CancellationToken,
}

/// Takes reports.
#[derive(Clone)]
pub struct FleetEvents {
    reports: mpsc::UnboundedSender<Report>,
    waiting: Arc<AtomicUsize>,
    budget: Arc<FleetBudget>,
}

impl FleetEvents {
    /// The reporter, and the task that hands its reports to the gateway until the process ends.
    pub fn new(
        commands: SharedCommands,
        budget: Arc<FleetBudget>,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (reports, queue) = mpsc::unbounded_channel();
        let events = Self {
            reports,
            waiting: Arc::default(),
            budget,
        };
        let hand_over = hand_over(queue, events.clone(), commands, shutdown);
        (events, hand_over)
    }

    /// Reports what an instance did, unless there is too much of it: then it is counted. Says which.
    pub(crate) fn report(&self, pass: &Pass, command: OrganizationCommand) -> bool {
        let Some(subject) = subject(&command) else {
            return false;
        };
        let cost = subject.expense().map(|expense| (pass.account(), expense));
        if let Some((account, expense)) = &cost
            && (self.budget.is_spent(account, *expense) || self.waiting.load(Ordering::Relaxed) >= WAITING)
        {
            count(*expense);
            return false;
        }
        let report = Report {
            subject,
            organization: pass.admission.organization,
            command,
            cost,
            denied: pass.withdrawn.clone(),
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // The task that takes reports ends only with the process.
        drop(self.reports.send(report));
        true
    }

    /// The group's first instance is of this type; the pass is withdrawn if the organization says that the group's
    /// instances are of another.
    pub(crate) fn first_instance(&self, pass: &Pass, runtime_type: RuntimeType) {
        let command = OrganizationCommand::SetRuntimeType {
            group: pass.admission.group,
            runtime_type,
            replace: false,
        };
        self.report(pass, command);
    }
}

impl Subject {
    const fn expense(&self) -> Option<Expense> {
        match self {
            Self::Type(_) => None,
            Self::Admission(..) => Some(Expense::Admission),
            Self::Refusal(..) => Some(Expense::Refusal),
        }
    }
}

/// Counts what becomes no event.
fn count(expense: Expense) {
    match expense {
        Expense::Refusal => metrics::counter!("dataplane_refusals_counted").increment(1),
        _ => metrics::counter!("dataplane_admissions_counted").increment(1),
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
    events: FleetEvents,
    commands: SharedCommands,
    shutdown: CancellationToken,
) {
    let mut made = HashSet::new();
    let reports = futures::stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
    let new = reports.filter(|report| {
        events.waiting.fetch_sub(1, Ordering::Relaxed);
        std::future::ready(is_wanted(report, &mut made, &events.budget))
    });
    let all = new.for_each_concurrent(AT_ONCE, |report| {
        hand_over_one(report, &events.budget, commands.clone())
    });
    tokio::select! {
        () = all => (),
        () = shutdown.cancelled() => (),
    }
}

/// Whether a report isn't made already and may become an event.
fn is_wanted(report: &Report, made: &mut HashSet<Subject>, budget: &FleetBudget) -> bool {
    let Some((account, expense)) = &report.cost else {
        // A group's type is asked for each time: the answer may be a refusal.
        return true;
    };
    if made.contains(&report.subject) {
        return false;
    }
    if budget.is_spent(account, *expense) {
        count(*expense);
        return false;
    }
    if made.len() >= REMEMBERED {
        made.clear();
    }
    made.insert(report.subject.clone())
}

async fn hand_over_one(report: Report, budget: &FleetBudget, commands: SharedCommands) {
    loop {
        let cause = Cause::system("dataplane-sync");
        let answer = commands
            .organization(report.organization, report.command.clone(), cause)
            .await;
        match answer {
            Ok(accepted) => {
                // What was known already costs nothing: after a restart a whole fleet says it again.
                if let Some((account, expense)) = report.cost.filter(|_| accepted.changed) {
                    budget.spend(&account, expense);
                }
                return;
            }
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
