//! Undoing: what rollback, revert and restore share. One that would take back later changes is refused, each of them named.

use std::sync::Arc;

use axum::http::StatusCode;
use domain::gateway::{Accepted, CommandError};
use domain::group::decide::Outcome;
use domain::group::event::ERASED;
use domain::group::undo::left_out_then;
use domain::group::{Conflict, Entity, GroupCommand, GroupError, Obstacle};
use domain::{GroupId, Version};
use projections::EntityChange;
use serde_json::{Value, json};

use super::answer::Answer;
use super::endpoint::{Parameter, query};
use super::exchange::Exchange;
use super::presentation;
use super::refusal::Refusal;

/// What every way of undoing reads.
pub(crate) const DRY_RUN: Parameter = query("dry_run", "only say what would change");

/// How many conflicts a refusal lists.
const LISTED_CONFLICTS: usize = 1_000;
/// How many its sentence names.
const NAMED_CONFLICTS: usize = 5;
/// Of how many of them the later change is looked up in the history, and among how many changes of an entity.
const EXPLAINED_CONFLICTS: usize = 50;
const LATER_CHANGES: usize = 100;
/// The longest reason of a change, in bytes.
const LONGEST_REASON: usize = 4_096;

impl Exchange {
    /// Carries out a command that undoes something that stood at a version, or says what it would do (`?dry_run`).
    pub(crate) async fn undo(
        &self,
        command: GroupCommand,
        since: Version,
        reason: Option<String>,
    ) -> Result<Answer, Refusal> {
        if self.query.flag("dry_run")? {
            return match self.try_group(&command).await? {
                Ok(tried) => self.report_tried(tried).await,
                Err(error) => Err(self.refuse_undoing(error, since).await?),
            };
        }
        let reason = reason.map(|reason| shortened(&reason, LONGEST_REASON).to_owned());
        let brought_back = command.brings_back();
        match self.send(command, reason).await? {
            Ok(mut accepted) => {
                self.recall_left_out(&mut accepted, &brought_back).await?;
                self.report(&accepted).await
            }
            Err(error) => Err(self.refuse_undoing(error, since).await?),
        }
    }

    /// Fills in what a repeated request left out when it was made.
    async fn recall_left_out(
        &self,
        accepted: &mut Accepted<Outcome>,
        brought_back: &[Arc<Entity>],
    ) -> Result<(), Refusal> {
        if !accepted.replayed {
            return Ok(());
        }
        let (reads, group) = (self.reads(), self.group()?.id);
        reads.caught_up_to(accepted.position).await?;
        let made = reads.change(group, accepted.version).await?;
        let made =
            made.ok_or_else(|| Refusal::unavailable("the change is made; look at the history to see it"))?;
        let outcome = reads.configuration(group, accepted.version).await?;
        let state = reads.live(group).await?.current();
        accepted.outcome.left_out = left_out_then(&state.group, brought_back, &outcome, made.change.at);
        Ok(())
    }

    async fn refuse_undoing(&self, error: CommandError, since: Version) -> Result<Refusal, Refusal> {
        let CommandError::Group(GroupError::Conflicts(conflicts)) = &error else {
            return Ok(error.into());
        };
        let group = self.group()?.id;
        // What stands in the way may be newer than what the views held when the request came.
        self.reads().caught_up_with_group(group).await?;
        let mut listed = Vec::new();
        for (number, conflict) in conflicts.iter().take(LISTED_CONFLICTS).enumerate() {
            let later = match number < EXPLAINED_CONFLICTS {
                true => self.later_change(group, conflict, since).await?,
                false => None,
            };
            listed.push(shown(conflict, later.or_else(|| conflict.touched())));
        }
        let message = summary(&listed, conflicts.len());
        let mut refusal = Refusal::new(StatusCode::CONFLICT, message);
        refusal.kind = Some("undo-conflict");
        refusal.conflicts = listed;
        Ok(refusal)
    }

    /// The newest change after a version that brought the conflict about.
    async fn later_change(
        &self,
        group: GroupId,
        conflict: &Conflict,
        since: Version,
    ) -> Result<Option<Version>, Refusal> {
        let Some((kind, id)) = conflict.blamed() else {
            return Ok(None);
        };
        let reads = self.reads();
        let history = reads.entity_history(group, kind, id, None, LATER_CHANGES).await?;
        let mut later = history.iter().filter(|change| change.change.version > since);
        let found = later.find(|change| brings_about(change, conflict));
        Ok(found.map(|change| change.change.version))
    }
}

/// Whether a change of the entity to blame made it stand in the way.
fn brings_about(change: &EntityChange, conflict: &Conflict) -> bool {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    let newly = |is_so: &dyn Fn(&Entity) -> bool| after.is_some_and(is_so) && !before.is_some_and(is_so);
    match &conflict.obstacle {
        Obstacle::ChangedSince => {
            let field = conflict.field.as_deref().unwrap_or_default();
            let value = |entity: Option<&Entity>| value_at(&Value::Object(entity?.map()), field).cloned();
            value(before) != value(after)
        }
        Obstacle::DeletedSince | Obstacle::Missing { .. } => after.is_none(),
        Obstacle::ExistsAgain => before.is_none(),
        Obstacle::ReferredTo { .. } => {
            let wanted = (conflict.entity.kind, conflict.entity.id);
            let refers = |entity: &Entity| {
                let to = entity.references.iter().map(|to| (to.kind, to.id));
                to.chain(entity.listed.iter().copied()).any(|to| to == wanted)
            };
            newly(&refers)
        }
        Obstacle::Taken { .. } => {
            let holds = |entity: &Entity| {
                let mut keys = conflict.entity.unique.iter();
                keys.any(|key| entity.unique.contains(key))
            };
            newly(&holds)
        }
        Obstacle::Erased | Obstacle::Expired | Obstacle::Invalid(_) => false,
    }
}

fn value_at<'body>(body: &'body Value, path: &str) -> Option<&'body Value> {
    path.split('.').try_fold(body, |value, field| value.get(field))
}

/// The first conflicts as a sentence, and how many more there are.
fn summary(listed: &[Value], all: usize) -> String {
    let told = listed.iter().filter_map(|conflict| conflict["detail"].as_str());
    let mut told: Vec<_> = told.take(NAMED_CONFLICTS).map(str::to_owned).collect();
    if all > told.len() {
        told.push(format!("and {} more", all - told.len()));
    }
    let told = told.join("; ");
    format!("nothing was undone, because of what came later: {told}")
}

fn shown(conflict: &Conflict, later: Option<Version>) -> Value {
    let by = match &conflict.obstacle {
        Obstacle::ReferredTo { by } | Obstacle::Taken { by } => Some(named(by)),
        Obstacle::Missing { kind, id } => Some(json!({ "kind": kind, "id": id })),
        _ => None,
    };
    let mut shown = named(&conflict.entity);
    shown["field"] = json!(conflict.field);
    shown["reason"] = json!(conflict.obstacle.name());
    shown["version"] = json!(later);
    shown["by"] = json!(by);
    let since = later
        .map(|later| format!(" (version {later})"))
        .unwrap_or_default();
    let entity = &conflict.entity;
    let who = shown["name"]
        .as_str()
        .map_or_else(|| entity.id.to_string(), str::to_owned);
    let field = conflict
        .field
        .as_ref()
        .map(|field| format!("{field} "))
        .unwrap_or_default();
    let detail = format!("{} {who}: {field}{}{since}", entity.kind, conflict.obstacle);
    shown["detail"] = Value::from(detail);
    shown
}

fn named(entity: &Entity) -> Value {
    let name = presentation::name_field(entity.kind).and_then(|field| entity.map().remove(field));
    json!({ "kind": entity.kind, "id": entity.id, "name": name.filter(|name| name.is_string() && *name != ERASED) })
}

/// As much of a text as fits into so many bytes.
fn shortened(text: &str, longest: usize) -> &str {
    let end = (0..=longest.min(text.len())).rev();
    let mut ends = end.filter(|end| text.is_char_boundary(*end));
    &text[..ends.next().unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_too_long_ends_between_two_letters() {
        assert_eq!(shortened("abc", 9), "abc");
        assert_eq!(shortened("a\u{e4}b", 2), "a");
    }
}
