//! What a change of many entities did or would do, as its answer says it: `/apply` and every way of undoing.

use commands::bus::DryRun;
use dataplane_sync::outlook::{Hindered, Prospect};
use domain::gateway::Accepted;
use domain::group::decide::Outcome;
use domain::group::{GroupCommand, LeftOut};
use serde_json::{Value, json};

use super::answer::Answer;
use super::entity_changes::EntityChanges;
use super::exchange::Exchange;
use super::refusal::Refusal;
use super::streamed::StreamedObject;

impl Exchange {
    /// The answer about what a change did. A repeated request's is in the history.
    pub(crate) async fn report(&self, accepted: &Accepted<Outcome>) -> Result<Answer, Refusal> {
        let changes = if accepted.replayed {
            let group = self.group()?.id;
            let reads = self.reads();
            reads.caught_up_to(accepted.position).await?;
            let recorded = reads.change(group, accepted.version).await?;
            recorded.as_ref().map(EntityChanges::recorded).unwrap_or_default()
        } else {
            EntityChanges::decided(&accepted.outcome.changes)
        };
        let head = json!({
            "version": accepted.version,
            "changed": accepted.changed || accepted.replayed,
            "dry_run": false,
        });
        let body = StreamedObject::beginning_with(&head)
            .with_list("changes", changes.shown(self.caller()?.reads_secrets()))
            .with("left_out", &left_out(&accepted.outcome.left_out));
        Ok(body.ok().tagged(accepted.version).at_version(accepted.version))
    }

    /// The answer about what a command would do.
    pub(crate) async fn report_trial(&self, command: GroupCommand) -> Result<Answer, Refusal> {
        let tried = self.try_group(&command).await??;
        self.report_tried(tried).await
    }

    /// The same of a command that was tried.
    pub(crate) async fn report_tried(&self, tried: DryRun) -> Result<Answer, Refusal> {
        let outcome = &tried.decision.outcome;
        let changes = EntityChanges::decided(&outcome.changes);
        let head = json!({
            "version": tried.version,
            "changed": !tried.decision.events.is_empty(),
            "dry_run": true,
            "left_out": left_out(&outcome.left_out),
            "nodes": self.hindered_nodes(&tried).await?,
        });
        let body = StreamedObject::beginning_with(&head)
            .with_list("changes", changes.shown(self.caller()?.reads_secrets()));
        Ok(body.ok().at_version(tried.version))
    }

    /// The connected instances that couldn't express what a command would make of the configuration, and what of it.
    pub(crate) async fn hindered_nodes(&self, tried: &DryRun) -> Result<Vec<Value>, Refusal> {
        let changes = tried.decision.outcome.changes.iter();
        let prospect = Prospect {
            before: tried.before.clone(),
            after: tried.after.clone(),
            touched: changes.map(|change| (change.kind, change.id)).collect(),
        };
        let hindered = self.services.nodes.hindered_by(self.group()?.id, prospect).await;
        let hindered = hindered.map_err(|error| Refusal::unavailable(error.to_string()))?;
        Ok(hindered.iter().map(hindered_node).collect())
    }
}

fn hindered_node(node: &Hindered) -> Value {
    json!({
        "id": node.id,
        "hostname": node.hostname,
        "version": node.version,
        "findings": &*node.findings.first,
        "total": node.findings.total,
    })
}

fn left_out(entities: &[LeftOut]) -> Vec<Value> {
    let one = |left_out: &LeftOut| {
        let LeftOut { kind, id, reason } = left_out;
        json!({ "kind": kind, "id": id, "reason": reason.name() })
    };
    entities.iter().map(one).collect()
}
