//! A command decided and not carried out: what would happen, and where operations would be refused, all that would be.

use super::decide::{Decision, Draft};
use super::{Group, GroupCommand, GroupError, decide, operations};
use crate::Context;

/// What a command would do.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// What would happen; of operations, without those that would be refused.
    pub decision: Decision,
    /// The operations that would be refused, each by its number from 0, in order. One is enough to refuse the command.
    pub refused: Vec<(usize, GroupError)>,
    /// The group as it would then be.
    pub outcome: Group,
}

/// Decides a command on a copy. What is refused as a whole is refused here, too; operations are tried one after the other, each
/// on what those before it did that would not be refused.
pub fn rehearse(
    state: &Group,
    command: &GroupCommand,
    context: &mut Context,
) -> Result<Rehearsal, GroupError> {
    let mut draft = Draft::new(state, context);
    let mut refused = Vec::new();
    match command {
        GroupCommand::Operate {
            operations,
            expected_version,
        } if !state.sealed => {
            draft.expect_version(*expected_version)?;
            for (number, operation) in operations.iter().enumerate() {
                let before = draft.mark();
                if let Err(error) = operations::apply(&mut draft, operation) {
                    draft.return_to(before);
                    refused.push((number, error));
                }
            }
            decide::all_judged(draft.context)?;
        }
        command => {
            let drafted = decide::draft(&mut draft, command);
            decide::all_judged(draft.context)?;
            drafted?;
        }
    }
    let outcome = draft.scratch.clone();
    Ok(Rehearsal {
        decision: draft.finish(),
        refused,
        outcome,
    })
}
