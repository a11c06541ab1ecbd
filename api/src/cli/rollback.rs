//! `rollback`: an earlier configuration again, as a new change.

use clap::Args;
use serde_json::json;

use super::ending::Ending;
use super::undoing::{Undoing, Undone};

/// Makes a runtime group's configuration that of an earlier version again, as a new change
///
/// Nothing is forgotten: the changes in between stay in the history, and a rollback can be rolled back.
#[derive(Args, Debug)]
pub struct Rollback {
    /// The version whose configuration shall be again
    #[arg(value_name = "VERSION")]
    to: u64,
    #[command(flatten)]
    undoing: Undoing,
}

impl Rollback {
    /// Rolls back and prints what that changed.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let consequence = format!(
            "This takes back every change of the runtime group {} after version {}",
            self.undoing.group, self.to
        );
        let undone = Undone {
            path: "/rollback".to_owned(),
            query: String::new(),
            body: json!({ "to": self.to }),
            consequence: Some(consequence),
            effect: format!("as it was at version {}", self.to),
        };
        self.undoing.run(undone).await
    }
}
