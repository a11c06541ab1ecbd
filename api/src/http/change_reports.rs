//! What a change of many entities did or would do, as its answer says it: `/apply` and `/rollback`.

use domain::gateway::Accepted;
use domain::group::GroupCommand;
use domain::group::decide::Outcome;
use serde_json::{Value, json};

use super::answer::Answer;
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::refusal::Refusal;

impl Exchange {
    /// What a change did. A repeated request's is in the history.
    pub(crate) async fn report(&self, accepted: &Accepted<Outcome>) -> Result<Value, Refusal> {
        let changes = if accepted.replayed {
            let group = self.group()?.id;
            let reads = &self.services.reads;
            reads.caught_up_to(accepted.position).await?;
            let recorded = reads.change(group, accepted.version).await?;
            recorded.as_ref().map(EntityChanges::recorded).unwrap_or_default()
        } else {
            EntityChanges::decided(&accepted.outcome.changes)
        };
        let left_out = accepted.outcome.left_out.iter();
        let left_out: Vec<_> = left_out
            .map(|(kind, id)| json!({ "kind": kind, "id": id }))
            .collect();
        Ok(json!({
            "version": accepted.version,
            "changed": accepted.changed || accepted.replayed,
            "dry_run": false,
            "changes": changes.shown(self.caller()?.reads_secrets()),
            "left_out": left_out,
        }))
    }

    /// The answer about what a command would do.
    pub(crate) async fn report_trial(&self, command: GroupCommand) -> Result<Answer, Refusal> {
        let tried = self.try_group(&command).await?;
        let changes = EntityChanges::decided(&tried.decision.outcome.changes);
        let body = json!({
            "version": tried.version,
            "changed": !tried.decision.events.is_empty(),
            "dry_run": true,
            "changes": changes.shown(self.caller()?.reads_secrets()),
            "left_out": [],
        });
        Ok(Answer::ok(&body).at_version(tried.version))
    }
}
