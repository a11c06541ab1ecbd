//! `revert`: one change taken back, as a new change.

use clap::Args;
use serde_json::json;

use super::ending::Ending;
use super::undoing::{Undoing, Undone};

/// Takes back what one change of a runtime group did, as a new change; later changes stay
///
/// Where a later change stands in the way, it is refused and each of them is named. A revert can be reverted.
#[derive(Args, Debug)]
pub struct Revert {
    /// The change to take back
    #[arg(value_name = "VERSION")]
    version: u64,
    #[command(flatten)]
    undoing: Undoing,
}

impl Revert {
    /// Takes the change back and prints what that changed.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let (version, group) = (self.version, &self.undoing.group);
        let undone = Undone {
            path: format!("/versions/{version}/revert"),
            query: String::new(),
            body: json!({}),
            consequence: Some(format!(
                "This takes back what version {version} of the runtime group {group} did"
            )),
            effect: format!("without what version {version} did"),
        };
        self.undoing.run(undone).await
    }
}
